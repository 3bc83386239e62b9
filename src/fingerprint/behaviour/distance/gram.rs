//! The kernel of one prompt's answers, and the statistic of a labelling.

/// The kernel between all answers to one prompt: the reference's first, then as many of the suspect.
pub(super) struct Gram {
    /// Twice the number of answers of one side.
    size: usize,
    kernel: Vec<f64>,
}

impl Gram {
    /// The kernel of answers cut and filled to `length` characters. Filling agrees with filling.
    pub(super) fn new(reference: &[&str], suspect: &[&str], length: usize) -> Self {
        let filled = |text: &&str| {
            let mut characters: Vec<Option<char>> = text.chars().take(length).map(Some).collect();
            characters.resize(length, None);
            characters
        };
        let all: Vec<_> = reference.iter().chain(suspect).map(filled).collect();
        let alike = |a: &[Option<char>], b: &[Option<char>]| {
            let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
            same as f64 / length.max(1) as f64
        };
        let size = all.len();
        let kernel = all.iter().flat_map(|a| all.iter().map(|b| alike(a, b))).collect();
        Self { size, kernel }
    }

    /// MMD² when `order[..n]` are taken for the reference's answers and the rest for the suspect's.
    pub(super) fn mmd(&self, order: &[usize]) -> f64 {
        let n = self.size / 2;
        let (x, y) = order.split_at(n);
        let sum = |a: &[usize], b: &[usize]| -> f64 {
            a.iter().map(|i| b.iter().map(|j| self.kernel[i * self.size + j]).sum::<f64>()).sum()
        };
        let diagonal = |a: &[usize]| a.iter().map(|i| self.kernel[i * self.size + i]).sum::<f64>();
        let pairs = (n * (n - 1)) as f64;
        let within = |a: &[usize]| (sum(a, a) - diagonal(a)) / pairs;
        within(x) + within(y) - 2.0 * sum(x, y) / (n * n) as f64
    }

    /// Answers of both sides.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistic_is_the_plain_sum() {
        let gram = Gram::new(&["ab", "abc"], &["xb", ""], 3);
        // Kernels: ab·abc 2/3, xb·"" 1/3, ab·xb 2/3, ab·"" 1/3, abc·xb 1/3, abc·"" 0.
        let expected = 2.0 / 3.0 + 1.0 / 3.0 - 2.0 * (2.0 / 3.0 + 1.0 / 3.0 + 1.0 / 3.0) / 4.0;
        assert!((gram.mmd(&[0, 1, 2, 3]) - expected).abs() < 1e-12);
        assert!((gram.mmd(&[2, 3, 0, 1]) - expected).abs() < 1e-12);
    }
}

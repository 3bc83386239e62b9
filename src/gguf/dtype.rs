//! How the values of a tensor are written.

/// A tensor's format: floats, or blocks of small integers under shared scales (ggml's `ggml_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub enum GgmlType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

impl GgmlType {
    /// Every format, with the number that files write for it, the values in a block and the bytes of a block.
    const TABLE: [(Self, u32, usize, usize); 13] = [
        (Self::F32, 0, 1, 4),
        (Self::F16, 1, 1, 2),
        (Self::Bf16, 30, 1, 2),
        (Self::Q4_0, 2, 32, 18),
        (Self::Q4_1, 3, 32, 20),
        (Self::Q5_0, 6, 32, 22),
        (Self::Q5_1, 7, 32, 24),
        (Self::Q8_0, 8, 32, 34),
        (Self::Q2K, 10, 256, 84),
        (Self::Q3K, 11, 256, 110),
        (Self::Q4K, 12, 256, 144),
        (Self::Q5K, 13, 256, 176),
        (Self::Q6K, 14, 256, 210),
    ];

    fn entry(self) -> (Self, u32, usize, usize) {
        // The table has every variant, in the order of their declaration.
        Self::TABLE[self as usize]
    }

    /// The format of a number, if it is one that this program reads.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::TABLE.into_iter().find(|entry| entry.1 == number).map(|entry| entry.0)
    }

    /// The number that files write.
    pub fn number(self) -> u32 {
        self.entry().1
    }

    /// Values in a block.
    pub fn block_len(self) -> usize {
        self.entry().2
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.entry().3
    }

    /// Whether values are integers under shared scales.
    pub fn is_quantised(self) -> bool {
        self.block_len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_variants() {
        for (index, (dtype, number, _, _)) in GgmlType::TABLE.into_iter().enumerate() {
            assert_eq!(dtype as usize, index);
            assert_eq!(dtype.number(), number);
            assert_eq!(GgmlType::from_number(number), Some(dtype));
        }
        assert_eq!(GgmlType::from_number(9), None);
    }
}

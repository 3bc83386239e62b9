//! Stopping when there is enough.

use serde::{Deserialize, Serialize};

/// Looks at growing evidence, each of which is paid for.
///
/// Look j = 1, 2, … at a p-value p_j costs the factor j(j+1). Since Σ 1/(j(j+1)) = 1,
///
/// ```text
/// P(p_j · j(j+1) ≤ α for some j) ≤ Σ_j α / (j(j+1)) = α
/// ```
///
/// for however many looks (Bonferroni with weights fixed beforehand): whoever stops at any of them, for whatever reason, may use
/// p_j · j(j+1). The looks come when the evidence has doubled, so that a long test pays little: 30 at the fifth look.
///
/// ```
/// use touchmark::attribution::Looks;
///
/// let mut looks = Looks::from(1_000);
/// assert!(!looks.is_due(999) && looks.is_due(1_000));
/// assert_eq!(looks.pass(), 2);
/// assert!(!looks.is_due(1_999) && looks.is_due(2_000));
/// assert_eq!(looks.take(), 6);
/// assert_eq!((looks.price(), looks.end()), (6, 12));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    next: u64,
    passed: u64,
    taken: u64,
}

impl Looks {
    /// The first look at so many tokens.
    pub fn from(tokens: u64) -> Self {
        Self { next: tokens.max(1), passed: 0, taken: 0 }
    }

    /// Whether so many tokens call for the next look.
    pub fn is_due(&self, tokens: u64) -> bool {
        tokens >= self.next
    }

    /// What the next look costs.
    pub fn price(&self) -> u64 {
        (self.passed + 1) * (self.passed + 2)
    }

    /// Takes the next look: what it costs. Where it shows nothing, it is to be passed.
    pub fn take(&mut self) -> u64 {
        self.taken = self.taken.max(self.passed + 1);
        self.price()
    }

    /// Takes the next look and goes on: what it cost.
    pub fn pass(&mut self) -> u64 {
        let price = self.take();
        self.passed += 1;
        self.next = self.next.saturating_mul(2);
        price
    }

    /// What the end costs of a test that goes on to it, whatever was seen at the looks that were taken: one more look, or nothing
    /// where none was.
    pub fn end(&self) -> u64 {
        if self.taken == 0 { 1 } else { (self.taken + 1) * (self.taken + 2) }
    }
}

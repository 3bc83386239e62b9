//! As much of an attack as leaves a text alike enough.

use super::{Attack, AttackError, Materials};

/// How strong an attack may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Greatest share of units that are edited, 0 to 1.
    pub strength: f64,
    /// Least similarity of the result with the text, 0 to 1; 0 asks for none.
    pub similarity: f64,
}

/// A text after an attack.
#[derive(Clone, Debug, PartialEq)]
pub struct Attacked {
    /// The text.
    pub text: String,
    /// The strength that was used.
    pub strength: f64,
    /// Similarity of the result with the text.
    pub similarity: f64,
}

impl Budget {
    /// The strongest of an attack that the budget allows: its strength, or where the result would be less alike, what twelve halvings
    /// below it find. Where the edits are nested, similarity falls with strength, or nearly; what is returned always keeps to the
    /// budget, and strength 0, which is to change nothing, is always in it.
    ///
    /// # Errors
    /// The first of `edit`, which makes an attack of a strength.
    pub fn spend<E>(
        self,
        text: &str,
        similarity: impl Fn(&str, &str) -> f64,
        mut edit: impl FnMut(f64) -> Result<String, E>,
    ) -> Result<Attacked, E> {
        let mut tried = |strength: f64| {
            let edited = edit(strength)?;
            let similarity = similarity(text, &edited);
            Ok(Attacked { text: edited, strength, similarity })
        };
        let whole = tried(self.strength)?;
        if whole.similarity >= self.similarity {
            return Ok(whole);
        }
        let (mut low, mut high) = (tried(0.0)?, self.strength);
        for _ in 0..12 {
            let middle = tried(0.5 * (low.strength + high))?;
            if middle.similarity >= self.similarity {
                low = middle;
            } else {
                high = middle.strength;
            }
        }
        Ok(low)
    }

    /// Refuses shares outside their range.
    ///
    /// # Errors
    /// [`AttackError`] with the share.
    pub fn check(self) -> Result<(), AttackError> {
        if !(0.0..=1.0).contains(&self.strength) {
            return Err(AttackError::Strength { got: self.strength });
        }
        if !(0.0..=1.0).contains(&self.similarity) {
            return Err(AttackError::Similarity { got: self.similarity });
        }
        Ok(())
    }
}

impl Attack {
    /// The strongest of this attack that a budget [allows](Budget::spend).
    ///
    /// # Errors
    /// [`AttackError`] as of [`apply`](Self::apply), and for a similarity outside its range.
    pub fn within(
        self,
        text: &str,
        budget: Budget,
        materials: &Materials<'_>,
        seed: u64,
        similarity: impl Fn(&str, &str) -> f64,
    ) -> Result<Attacked, AttackError> {
        self.check(budget, materials)?;
        budget.spend(text, similarity, |strength| self.apply(text, strength, materials, seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::chrf;

    #[test]
    fn budgets_are_kept_and_used() {
        let text: String = (0..200).map(|n| format!("word{} ", n * 7919 % 1000)).collect();
        let within = |strength, similarity| {
            let budget = Budget { strength, similarity };
            Attack::Delete.within(&text, budget, &Materials::default(), 3, chrf).unwrap()
        };
        assert_eq!(within(0.1, 0.0).strength, 0.1);
        let kept = within(1.0, 0.8);
        assert!(kept.similarity >= 0.8 && kept.similarity < 0.82, "{kept:?}");
        assert!(kept.strength > 0.1 && kept.strength < 0.5, "{}", kept.strength);
        assert_eq!(within(1.0, 1.0).text, text);
        let budget = Budget { strength: 0.5, similarity: 1.5 };
        let error = Attack::Delete.within(&text, budget, &Materials::default(), 3, chrf);
        assert_eq!(error, Err(AttackError::Similarity { got: 1.5 }));
    }
}

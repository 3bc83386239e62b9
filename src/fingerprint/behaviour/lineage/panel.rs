//! Where a suspect lies among independent models.

use serde::{Deserialize, Serialize};

use crate::stats::{LogP, StatsError, permutation_p, student_t_sf_ge};

/// How a panel gives a p-value; chosen before looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// By rank. Assumes nothing but that the suspect could be any of them; cannot go below 1/(m + 1).
    Rank,
    /// By Student's t, as if log-odds of agreement were normal among independent models.
    StudentT,
}

impl Law {
    /// The law that can reach α with so many members: by rank if it can.
    pub fn for_panel(members: usize, alpha: f64) -> Self {
        if (members as f64 + 1.0) * alpha >= 1.0 { Self::Rank } else { Self::StudentT }
    }

    /// P(a new member lies at `x` or above), given the members' values.
    ///
    /// # Errors
    /// [`StatsError`] for fewer than two members under Student's t.
    pub(super) fn p(self, x: f64, members: &[f64]) -> Result<LogP, StatsError> {
        match self {
            Self::Rank => {
                let above = members.iter().filter(|member| **member >= x).count();
                permutation_p(above as u64, members.len() as u64)
            }
            Self::StudentT => predictive(x, members),
        }
    }
}

/// Members that Student's t needs; with fewer its tail is too heavy to say anything.
pub const fn least_members() -> usize {
    3
}

/// P(T ≥ (x − x̄)/(s √(1 + 1/m))) with m − 1 degrees of freedom.
fn predictive(x: f64, members: &[f64]) -> Result<LogP, StatsError> {
    let m = members.len() as f64;
    let mean = members.iter().sum::<f64>() / m;
    let variance = members.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (m - 1.0);
    // Members that are all alike are no sign of a small spread.
    let s = variance.sqrt().max(0.05);
    student_t_sf_ge((x - mean) / (s * (1.0 + 1.0 / m).sqrt()), m - 1.0)
}

/// Log-odds of agreement, finite at none and at all.
pub(super) fn log_odds(agreed: u64, of: u64) -> f64 {
    ((agreed as f64 + 0.5) / ((of - agreed) as f64 + 0.5)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_cannot_go_below_one_in_all() {
        let members: Vec<f64> = (0..99).map(f64::from).collect();
        assert!((Law::Rank.p(1000.0, &members).unwrap().p() - 0.01).abs() < 1e-12);
        assert_eq!(Law::Rank.p(0.0, &members).unwrap(), LogP::ONE);
        assert_eq!(Law::for_panel(99, 0.01), Law::Rank);
        assert_eq!(Law::for_panel(98, 0.01), Law::StudentT);
    }

    #[test]
    fn the_predictive_law_has_its_published_quantile() {
        // m = 10: t = 2.821 is the 1 % point of 9 degrees of freedom.
        let members = [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0];
        let s = (10.0_f64 / 9.0).sqrt();
        let p = Law::StudentT.p(2.821 * s * 1.1_f64.sqrt(), &members).unwrap().p();
        assert!((p - 0.01).abs() < 1e-4, "{p}");
    }
}

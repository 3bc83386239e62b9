//! Whether weights lie on a quantiser's grid.
//!
//! Quantisers round to s · q with whole q, where s is the largest |w| of a group divided by the number of levels (symmetric), or to
//! m + s · q, m the smallest and s the range divided by the number of steps (affine). Each such grid is tried on a sample of rows: what
//! is left after rounding w / s is uniform on ±½ for other weights (0.29 on average), and zero on the grid.

use serde::{Deserialize, Serialize};

/// Levels on one side of zero.
const SYMMETRIC: [f32; 8] = [1.0, 3.0, 7.0, 8.0, 31.0, 32.0, 127.0, 128.0];
/// Steps from the smallest to the largest.
const AFFINE: [f32; 5] = [3.0, 7.0, 15.0, 31.0, 255.0];
/// Lengths of groups.
const GROUPS: [usize; 5] = [256, 128, 64, 32, 16];
/// Rows looked at.
const ROWS: usize = 32;
/// Root mean square of what is left, in steps, below which a group is on the grid. bfloat16 leaves some 0.06 on a grid of 127 levels.
const RESIDUAL: f32 = 0.1;
/// Share of groups that must be.
const SHARE: f64 = 0.9;
/// Fewest values of a group that are not on the grid's zero.
const OCCUPIED: usize = 6;

/// A grid that weights lie on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Bits that its levels take.
    pub bits: u32,
    /// Levels of one side (symmetric), or steps in all (affine).
    pub levels: u32,
    /// Zero is a level in the middle.
    pub symmetric: bool,
    /// What shares a scale.
    pub group: Grouping,
    /// Median spacing.
    pub spacing: f64,
    /// Share of the groups looked at that fit.
    pub fits: f64,
}

/// Weights under one scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// All of a tensor.
    Tensor,
    /// A row.
    Row,
    /// So many of a row, one after the other.
    Of(usize),
}

#[derive(Clone, Copy)]
struct Candidate {
    levels: f32,
    symmetric: bool,
}

impl Candidate {
    /// All, the coarsest first.
    fn all() -> Vec<Self> {
        let symmetric = SYMMETRIC.map(|levels| Self { levels, symmetric: true });
        let affine = AFFINE.map(|levels| Self { levels, symmetric: false });
        let mut all = [&symmetric[..], &affine[..]].concat();
        all.sort_by(|a, b| a.count().total_cmp(&b.count()));
        all
    }

    /// How many levels there are.
    fn count(self) -> f32 {
        if self.symmetric { 2.0 * self.levels + 1.0 } else { self.levels + 1.0 }
    }

    /// Bits that a q takes: −8…7 takes four, as does −7…7.
    fn bits(self) -> u32 {
        let values = if self.symmetric { 2.0 * self.levels } else { self.levels + 1.0 };
        values.log2().ceil().max(1.0) as u32
    }

    /// Origin and spacing of the grid that values from `low` to `high` would have.
    fn place(self, low: f32, high: f32) -> (f32, f32) {
        if self.symmetric {
            (0.0, low.abs().max(high.abs()) / self.levels)
        } else {
            (low, (high - low) / self.levels)
        }
    }
}

impl Grid {
    /// The coarsest grid with the longest groups that a matrix of rows of this length lies on.
    pub fn of(values: &[f32], columns: usize) -> Option<Self> {
        let rows = values.len() / columns.max(1);
        let step = rows.div_ceil(ROWS).max(1);
        let sample: Vec<&[f32]> =
            (0..rows).step_by(step).map(|row| &values[row * columns..][..columns]).collect();
        let whole = range(values);
        let all = Candidate::all();
        let on_tensor = || {
            let at = |candidate| {
                fit(candidate, Grouping::Tensor, sample.iter().map(|row| (*row, whole)))
            };
            all.iter().find_map(|&candidate| at(candidate))
        };
        let on_groups = |length: usize, group| {
            let groups = || sample.iter().flat_map(|row| row.chunks_exact(length));
            let at = |candidate| fit(candidate, group, groups().map(|group| (group, range(group))));
            all.iter().find_map(|&candidate| at(candidate))
        };
        let shorter = GROUPS.into_iter().filter(|&length| length < columns);
        on_tensor().or_else(|| on_groups(columns, Grouping::Row)).or_else(|| {
            shorter.into_iter().find_map(|length| on_groups(length, Grouping::Of(length)))
        })
    }
}

/// Tries a grid on groups, each with the least and the greatest value that its scale comes from.
fn fit<'a>(
    candidate: Candidate,
    group: Grouping,
    groups: impl Iterator<Item = (&'a [f32], (f32, f32))>,
) -> Option<Grid> {
    let (mut tried, mut misses, mut spacings) = (0usize, 0usize, Vec::new());
    for (values, (low, high)) in groups {
        let (origin, spacing) = candidate.place(low, high);
        match on_grid(values, origin, spacing) {
            Some(true) => spacings.push(spacing),
            Some(false) => misses += 1,
            // All zeros: on any grid.
            None => continue,
        }
        tried += 1;
        if misses as f64 > 2.0 + (1.0 - SHARE) * tried as f64 * 2.0 {
            return None;
        }
    }
    let fits = spacings.len() as f64 / tried.max(1) as f64;
    if spacings.len() < 4 || fits < SHARE {
        return None;
    }
    spacings.sort_by(f32::total_cmp);
    Some(Grid {
        bits: candidate.bits(),
        levels: candidate.levels as u32,
        symmetric: candidate.symmetric,
        group,
        spacing: spacings[spacings.len() / 2].into(),
        fits,
    })
}

/// Whether values lie on a grid, those beside its origin by themselves too; `None` for zeros.
fn on_grid(values: &[f32], origin: f32, spacing: f32) -> Option<bool> {
    if values.iter().all(|&value| value == 0.0) {
        return None;
    }
    if !(spacing > 0.0 && spacing.is_finite()) {
        return Some(false);
    }
    let (mut all, mut beside, mut occupied) = (0f32, 0f32, 0usize);
    for value in values {
        let steps = (value - origin) / spacing;
        let level = steps.round_ties_even();
        let off = (steps - level) * (steps - level);
        all += off;
        if level != 0.0 {
            beside += off;
            occupied += 1;
        }
    }
    let limit = RESIDUAL * RESIDUAL;
    let enough = occupied >= OCCUPIED.min(values.len());
    Some(enough && all <= limit * values.len() as f32 && beside <= limit * occupied as f32)
}

/// The least and the greatest value; no numbers are left out.
fn range(values: &[f32]) -> (f32, f32) {
    let least = values.iter().fold(f32::INFINITY, |least, &value| least.min(value));
    (least, values.iter().fold(f32::NEG_INFINITY, |most, &value| most.max(value)))
}

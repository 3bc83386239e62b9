//! An axis whose ticks and labels are chosen by whoever draws it.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// From one end to the other, with labelled ticks.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub ends: Range<f64>,
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// The axis without ticks that stand closer to the one before than this part of its length.
    pub fn thinned(mut self, part: f64) -> Self {
        let least = part * (self.ends.end - self.ends.start);
        let mut last = f64::NEG_INFINITY;
        self.ticks.retain(|&(at, _)| {
            let keep = self.ends.contains(&at) && at - last >= least;
            last = if keep { at } else { last };
            keep
        });
        self
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.ends.start) / (self.ends.end - self.ends.start);
        let length = f64::from(limit.1 - limit.0);
        limit.0 + (share.clamp(0.0, 1.0) * length).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|tick| tick.0).collect()
    }

    fn range(&self) -> Range<f64> {
        self.ends.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0 == *value);
        tick.map_or_else(String::new, |tick| tick.1.clone())
    }
}

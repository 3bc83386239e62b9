//! Two models in one.

use super::{Change, DeriveError, whole};
use crate::lm::{TensorError, TensorInfo, TensorSource};

/// Below this angle a great circle is a straight line.
const STRAIGHT: f64 = 1e-4;

pub(super) struct Merge<'a> {
    other: Box<dyn TensorSource + 'a>,
    weight: f64,
    spherical: bool,
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        source: &dyn TensorSource,
        other: Box<dyn TensorSource + 'a>,
        weight: f64,
        spherical: bool,
    ) -> Result<Self, DeriveError> {
        for info in source.tensors() {
            let missing = || DeriveError::Merge { tensor: info.name.clone() };
            let found = other.info(&info.name).ok_or_else(missing)?;
            if found.shape != info.shape {
                let (expected, found) = (info.shape.clone(), found.shape.clone());
                return Err(DeriveError::Shape { tensor: info.name.clone(), expected, found });
            }
        }
        Ok(Self { other, weight, spherical })
    }
}

impl Change for Merge<'_> {
    fn values(
        &self,
        source: &dyn TensorSource,
        info: &TensorInfo,
    ) -> Result<Vec<f32>, TensorError> {
        let mut ours = whole(source, &info.name)?;
        let theirs = whole(&*self.other, &info.name)?;
        let (a, b) = if self.spherical {
            great_circle(&ours, &theirs, self.weight)
        } else {
            (1.0 - self.weight, self.weight)
        };
        for (ours, theirs) in ours.iter_mut().zip(theirs) {
            *ours = (a * f64::from(*ours) + b * f64::from(theirs)) as f32;
        }
        Ok(ours)
    }
}

/// Weights of the two on the great circle: sin((1 − t) θ) / sin θ and sin(t θ) / sin θ (Shoemake 1985).
fn great_circle(a: &[f32], b: &[f32], t: f64) -> (f64, f64) {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let angle = (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).clamp(-1.0, 1.0).acos();
    if angle.is_nan() || angle.sin() < STRAIGHT {
        return (1.0 - t, t);
    }
    (((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin())
}

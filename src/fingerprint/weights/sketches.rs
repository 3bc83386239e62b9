//! What can be published of a model instead of its weights.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use super::hashes::{Canonical, Digest};
use super::simhash::{SimHash, Sketcher};
use crate::lm::{TensorError, TensorInfo, TensorSource};

/// Name of the sketches' form: fold, seeds and hashes.
const FORM: &str = "touchmark-sketch-v1";
/// Numbers read at a time.
const PIECE: usize = 1 << 20;

/// Hashes and sign sketches of a model's tensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketches {
    /// Version of this form.
    pub schema: u32,
    /// How sketches are made: `touchmark-sketch-v1`.
    pub form: String,
    /// By name.
    pub tensors: BTreeMap<String, Sketch>,
}

/// One tensor's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Number format in the file.
    pub dtype: String,
    /// BLAKE3 of the bytes in the file.
    pub raw: Digest,
    /// BLAKE3 of shape and numbers.
    pub canonical: Digest,
    /// Signs of 256 projections.
    pub simhash: SimHash,
}

impl Sketches {
    /// Of all tensors, on so many threads. Each tensor is read twice, bytes and numbers, in pieces.
    ///
    /// # Errors
    /// [`TensorError`]: a tensor that cannot be read.
    pub fn of(source: &dyn TensorSource, threads: usize) -> Result<Self, TensorError> {
        let tensors = source.tensors();
        // The longest first, so that no thread is left with one at the end.
        let mut order: Vec<&TensorInfo> = tensors.iter().collect();
        order.sort_by_key(|info| std::cmp::Reverse(info.len()));
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(tensors.len())));
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, tensors.len().max(1)) {
                scope.spawn(|| {
                    while let Some(info) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let sketch = Sketch::of(source, info);
                        let named = sketch.map(|sketch| (info.name.clone(), sketch));
                        done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(named);
                    }
                });
            }
        });
        let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let tensors = done.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { schema: 1, form: FORM.to_owned(), tensors })
    }

    /// Compares tensors of the same name, and finds those that are the same under another one. `other_name` says what the other model
    /// calls a tensor of this one, where names differ.
    pub fn compare(
        &self,
        other: &Self,
        other_name: impl Fn(&str) -> Option<String>,
    ) -> SketchComparison {
        let mut by_canonical = HashMap::new();
        for (name, sketch) in &other.tensors {
            by_canonical.entry(sketch.canonical).or_insert(name);
        }
        let pair = |(name, a): (&String, &Sketch)| {
            let found = by_canonical.get(&a.canonical).copied();
            let called = other_name(name).unwrap_or_else(|| name.clone());
            let named = other.tensors.get_key_value(&called).filter(|(_, b)| b.shape == a.shape);
            let same = named.filter(|(_, b)| b.canonical == a.canonical);
            let (suspect, b) = same.or_else(|| other.tensors.get_key_value(found?)).or(named)?;
            let bits = a.simhash.distance(&b.simhash);
            Some(SketchPair {
                reference: name.clone(),
                suspect: suspect.clone(),
                same_bytes: a.raw == b.raw && a.dtype == b.dtype,
                same_values: a.canonical == b.canonical,
                bits,
                cosine: SimHash::cosine(bits),
            })
        };
        let pairs: Vec<_> = self.tensors.iter().filter_map(pair).collect();
        SketchComparison {
            tensors_reference: self.tensors.len(),
            tensors_suspect: other.tensors.len(),
            same_bytes: pairs.iter().filter(|pair| pair.same_bytes).count(),
            same_values: pairs.iter().filter(|pair| pair.same_values).count(),
            comparable: self.form == other.form,
            pairs,
        }
    }
}

impl Sketch {
    fn of(source: &dyn TensorSource, info: &TensorInfo) -> Result<Self, TensorError> {
        let mut raw = blake3::Hasher::new();
        source.raw(&info.name, &mut |bytes| {
            raw.update(bytes);
        })?;
        let (mut canonical, mut sketcher) = (Canonical::new(&info.shape), Sketcher::new());
        let step = (PIECE / info.columns().max(1)).max(1);
        let mut values = Vec::new();
        for first in (0..info.rows()).step_by(step) {
            source.read(&info.name, first..info.rows().min(first + step), &mut values)?;
            canonical.update(&values);
            sketcher.update(&values);
        }
        Ok(Self {
            shape: info.shape.clone(),
            dtype: info.dtype.clone(),
            raw: Digest(*raw.finalize().as_bytes()),
            canonical: canonical.finish(),
            simhash: sketcher.finish(),
        })
    }
}

/// Sketches of two models held against each other. A description: that tensors are equal is conclusive by itself, that they are near
/// is not, for gains of norms are near in all models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SketchComparison {
    /// Tensors of the reference.
    pub tensors_reference: usize,
    /// Tensors of the suspect.
    pub tensors_suspect: usize,
    /// Pairs of the same bytes in the same number format.
    pub same_bytes: usize,
    /// Pairs of the same numbers.
    pub same_values: usize,
    /// Whether both were made in one form; else bits and cosines say nothing.
    pub comparable: bool,
    /// Pairs of one name and shape, or of the same numbers.
    pub pairs: Vec<SketchPair>,
}

/// One tensor of the reference with one of the suspect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SketchPair {
    /// Name in the reference.
    pub reference: String,
    /// Name in the suspect.
    pub suspect: String,
    /// The same bytes in the same number format.
    pub same_bytes: bool,
    /// The same numbers.
    pub same_values: bool,
    /// Bits that differ, of 256.
    pub bits: u32,
    /// The cosine that they speak for: cos(π · bits / 256), with a standard error of at most 0.1.
    pub cosine: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::derive::tests::copy;

    const UP: &str = "model.layers.1.mlp.up_proj.weight";

    fn compare(how: &[&str]) -> SketchComparison {
        let (a, b) = (Sketches::of(&*copy(&[]), 1).unwrap(), Sketches::of(&*copy(how), 2).unwrap());
        a.compare(&b, |_| None)
    }

    fn up(comparison: &SketchComparison) -> &SketchPair {
        comparison.pairs.iter().find(|pair| pair.reference == UP).unwrap()
    }

    #[test]
    fn copies_are_near_and_others_are_not() {
        let same = compare(&[]);
        assert_eq!((same.same_values, same.same_bytes), (29, 29));
        for (how, most) in [("int8", 4), ("int4=32", 20), ("prune=0.3", 30), ("noise=0.05", 12)] {
            let comparison = compare(&[how]);
            assert!(
                !up(&comparison).same_values && up(&comparison).bits <= most,
                "{how}: {:?}",
                up(&comparison)
            );
        }
        // Gains alone are near.
        for how in ["permute", "signs", "merge=0.999999:other"] {
            let bits = up(&compare(&[how])).bits;
            assert!((80..176).contains(&bits), "{how}: {bits} bits");
        }
    }

    #[test]
    fn layers_are_found_under_other_names() {
        let short = compare(&["drop=1"]);
        let third = "model.layers.2.mlp.up_proj.weight";
        let pair = short.pairs.iter().find(|pair| pair.reference == third).unwrap();
        assert!(pair.same_values && pair.suspect == UP);
        assert_eq!(
            (short.tensors_reference, short.tensors_suspect, short.same_values),
            (29, 20, 20)
        );
        let other = Sketches::of(&*copy(&["drop=1"]), 1).unwrap();
        let back = other.compare(&Sketches::of(&*copy(&["noise=0.01"]), 1).unwrap(), |name| {
            Some(name.replace("layers.1.", "layers.2."))
        });
        assert!(up(&back).bits < 20 && up(&back).suspect == third);
    }

    #[test]
    fn sketches_are_read_as_written() {
        let sketches = Sketches::of(&*copy(&[]), 2).unwrap();
        let text = serde_json::to_string(&sketches).unwrap();
        assert_eq!(serde_json::from_str::<Sketches>(&text).unwrap(), sketches);
        assert_eq!(sketches, Sketches::of(&*copy(&[]), 1).unwrap());
    }
}

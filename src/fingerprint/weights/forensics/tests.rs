use super::*;
use crate::fingerprint::derive::Half;
use crate::fingerprint::derive::tests::{all, copy};
use crate::lm::TensorSource;

/// All tensors of two models of one shape, as they stand.
fn forensics(reference: &dyn TensorSource, suspect: &dyn TensorSource) -> Forensics {
    let called = |name: &str| Some(name.to_owned());
    Forensics::of_stored(reference, suspect, &[], &called, &Shapes::default(), 2).unwrap()
}

/// The ways that are read from a copy.
fn ways(how: &[&str]) -> Vec<Way> {
    let found = forensics(&*copy(&[]), &*copy(how));
    found.readings.into_iter().map(|reading| reading.way).collect()
}

#[test]
fn nothing_changed() {
    assert_eq!(ways(&[]), [Way::Same]);
}

#[test]
fn grids_are_found() {
    let quantised = |bits, group| Way::Quantised { bits, symmetric: true, group };
    assert_eq!(ways(&["int8"]), [quantised(8, Grouping::Row)]);
    for group in [16, 32] {
        let found = ways(&[&format!("int4={group}")]);
        // Layers whose rows are no whole number of groups have a shorter last one.
        assert_eq!(found[0], quantised(4, Grouping::Of(group)), "{found:?}");
    }
    // Rows shorter than a group.
    assert!(ways(&["int4=256"]).contains(&quantised(4, Grouping::Row)));
    // Written as bfloat16.
    assert_eq!(ways(&["int8", "bf16"]), [quantised(8, Grouping::Row)]);
    assert_eq!(ways(&["int4=32", "bf16"])[0], quantised(4, Grouping::Of(32)));
    // A quantised reference does not make its tune quantised.
    let found = forensics(&*copy(&["int8"]), &*copy(&["int8", "noise=0.1"]));
    assert!(matches!(found.readings[0].way, Way::White { .. }), "{:?}", found.readings);
}

#[test]
fn affine_and_tensor_grids() {
    let weights = all(&*copy(&[]), "model.layers.1.mlp.up_proj.weight");
    // Steps of 15 from the least to the greatest of 32.
    let mut affine = weights.clone();
    for group in affine.chunks_mut(32) {
        let low = group.iter().copied().fold(f32::INFINITY, f32::min);
        let high = group.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let step = (high - low) / 15.0;
        group.iter_mut().for_each(|v| *v = ((*v - low) / step).round() * step + low);
    }
    let grid = Grid::of(&affine, 96).unwrap();
    assert_eq!((grid.bits, grid.symmetric, grid.group), (4, false, Grouping::Of(32)));
    let largest = weights.iter().fold(0f32, |m, v| m.max(v.abs()));
    let step = largest / 127.0;
    let whole: Vec<f32> = weights.iter().map(|v| (v / step).round() * step).collect();
    let grid = Grid::of(&whole, 96).unwrap();
    assert_eq!((grid.bits, grid.group), (8, Grouping::Tensor));
    assert!((grid.spacing - f64::from(step)).abs() < 1e-6 * f64::from(step));
    assert_eq!(Grid::of(&weights, 96), None);
    // Rows with one weight far outside look coarse, and are not.
    let mut far = weights;
    far.chunks_mut(96).for_each(|row| row[5] = 2.0);
    assert_eq!(Grid::of(&far, 96), None);
    assert_eq!(Grid::of(&[0.0; 960], 96), None);
    assert_eq!(Grid::of(&[f32::NAN; 960], 96), None);
}

#[test]
fn zeros_are_found() {
    for (how, wanted) in [("prune=0.3", 0.3), ("prune=0.5", 0.5)] {
        let found = ways(&[how]);
        let [Way::Pruned { share, two_of_four: false, by_size: true }] = found[..] else {
            panic!("{how}: {found:?}");
        };
        assert!((share - wanted).abs() < 0.001);
    }
    let found = ways(&["prune=2:4"]);
    assert!(
        matches!(found[..], [Way::Pruned { two_of_four: true, by_size: true, .. }]),
        "{found:?}"
    );
}

#[test]
fn noise_is_white() {
    for (how, wanted) in [("noise=0.001", 0.001), ("noise=0.05", 0.05)] {
        let found = ways(&[how]);
        let [Way::White { relative }] = found[..] else { panic!("{how}: {found:?}") };
        assert!((relative / wanted - 1.0).abs() < 0.02, "{how}: {relative}");
    }
}

#[test]
fn rounding_is_told_from_noise() {
    assert_eq!(ways(&["bf16"]), [Way::Rounded { format: Half::Bf16 }]);
    assert_eq!(ways(&["f16"]), [Way::Rounded { format: Half::F16 }]);
}

/// w + u vᵀ of some rank, each row and column of its own size.
fn tuned(rank: usize, size: f32, round: bool) -> Vec<f32> {
    let (rows, columns) = (160, 96);
    let name = "model.layers.1.mlp.up_proj.weight";
    let mut weights = all(&*copy(&[]), name);
    let random = all(&*copy(&["noise=1"]), "model.layers.2.mlp.gate_proj.weight");
    for row in 0..rows {
        for column in 0..columns {
            let product = |r: usize| random[r * rows + row] * random[7000 + r * columns + column];
            weights[row * columns + column] += size * (0..rank).map(product).sum::<f32>();
        }
    }
    if round {
        weights.iter_mut().for_each(|w| *w = Half::Bf16.nearest(*w));
    }
    weights
}

#[test]
fn ranks_are_counted() {
    let reference = all(&*copy(&[]), "model.layers.1.mlp.up_proj.weight");
    for rank in [1, 4, 8, 16] {
        let suspect = tuned(rank, 1.0, false);
        let pair = Pair { reference: &reference, suspect: &suspect, columns: 96 };
        let spectrum = Spectrum::of(pair, 2).unwrap();
        assert_eq!(spectrum.low_rank(), Some(rank), "{spectrum:?}");
        assert!(spectrum.energy > 0.999_99 && spectrum.gap > 100.0);
    }
    // Rounded afterwards: noise under the same rank.
    let plain: Vec<f32> = reference.iter().map(|w| Half::Bf16.nearest(*w)).collect();
    let suspect = tuned(8, 0.5, true);
    let pair = Pair { reference: &plain, suspect: &suspect, columns: 96 };
    let spectrum = Spectrum::of(pair, 1).unwrap();
    assert_eq!(spectrum.low_rank(), Some(8), "{spectrum:?}");
    // Full rank.
    let other = all(&*copy(&["noise=0.1"]), "model.layers.1.mlp.up_proj.weight");
    let pair = Pair { reference: &reference, suspect: &other, columns: 96 };
    let spectrum = Spectrum::of(pair, 1).unwrap();
    assert_eq!(spectrum.low_rank(), None, "{spectrum:?}");
    assert!(spectrum.white > 0.9 && spectrum.rank <= 2);
}

#[test]
fn adapters_and_training_are_told_apart() {
    let reference = all(&*copy(&[]), "model.layers.1.mlp.up_proj.weight");
    let read = |suspect: &[f32]| {
        let pair = Pair { reference: &reference, suspect, columns: 96 };
        let tensor = TensorForensics::of("up", pair, 1);
        Forensics::new(vec![tensor], &Shapes::default(), None).readings.remove(0).way
    };
    assert!(matches!(read(&tuned(4, 1.0, false)), Way::LowRank { rank: 4, .. }));
    // Rows that learnt more than others: nothing special.
    let noise = all(&*copy(&["noise=0.1"]), "model.layers.1.mlp.up_proj.weight");
    let uneven: Vec<f32> = (0..reference.len())
        .map(|i| reference[i] + (noise[i] - reference[i]) * (1.0 + (i / 96 % 7) as f32))
        .collect();
    assert!(matches!(read(&uneven), Way::FineTuned { .. }));
    let other = all(&*copy(&["permute"]), "model.layers.1.mlp.up_proj.weight");
    assert_eq!(read(&other), Way::Unlike);
}

#[test]
fn merge_weights_are_found() {
    let (a, b, both) = (copy(&[]), copy(&["merge=0.999999:other"]), copy(&["merge=0.25:other"]));
    let mut fit = MergeFit::new(["reference", "other"]);
    assert_eq!(fit.fit(), None);
    for info in a.tensors() {
        let [a, b, both] = [&a, &b, &both].map(|model| all(&**model, &info.name));
        fit.add(&[&a, &b], &both);
    }
    let merged = fit.fit().unwrap();
    assert!(
        (merged.weights[0].weight - 0.75).abs() < 1e-4
            && (merged.weights[1].weight - 0.25).abs() < 1e-4
    );
    assert!(merged.r2 > 0.999_999 && merged.weights[0].standard_error < 1e-4);
    let forensics = Forensics::new(Vec::new(), &Shapes::default(), Some(merged));
    assert_eq!(forensics.readings[0].way, Way::Merged);
    // With noise, the standard errors hold: within four of them, and no wider than they should be.
    let name = "model.layers.1.mlp.up_proj.weight";
    let noisy = copy(&["merge=0.25:other", "noise=0.2"]);
    let mut fit = MergeFit::new(["reference", "other"]);
    let [x, y, z] = [&a, &b, &noisy].map(|model| all(&**model, name));
    fit.add(&[&x, &y], &z);
    let merged = fit.fit().unwrap();
    for (part, wanted) in merged.weights.iter().zip([0.75, 0.25]) {
        assert!((part.weight - wanted).abs() < 4.0 * part.standard_error);
        assert!((0.0005..0.003).contains(&part.standard_error), "{part:?}");
    }
    // A model twice.
    let mut twice = MergeFit::new(["a", "a again"]);
    twice.add(&[&x, &x], &z);
    assert_eq!(twice.fit(), None);
}

#[test]
fn models_are_read_as_they_are_stored() {
    let (reference, other) = (copy(&[]), copy(&["merge=0.999999:other"]));
    let suspect = copy(&["merge=0.5:other", "drop=1", "extend=20"]);
    let shapes = Shapes {
        layers_reference: 3,
        layers_suspect: 2,
        layers: vec![(0, 0), (2, 1)],
        vocabulary: Some((120, 140)),
    };
    let called = |name: &str| match name.split('.').nth(2) {
        Some("1") => None,
        Some("2") => Some(name.replace("layers.2", "layers.1")),
        _ => Some(name.to_owned()),
    };
    let dropped = copy(&["merge=0.999999:other", "drop=1"]);
    let candidates: [(&str, &dyn TensorSource); 1] = [("other", &*dropped)];
    let found =
        Forensics::of_stored(&*reference, &*suspect, &candidates, &called, &shapes, 2).unwrap();
    assert_eq!(found.tensors.len(), 20);
    let embedding = found.tensors.iter().find(|t| t.name == "model.embed_tokens.weight").unwrap();
    assert_eq!(embedding.rows, 120);
    let merged = found.merged.as_ref().unwrap();
    assert!(merged.weights.iter().all(|part| (part.weight - 0.5).abs() < 1e-4), "{merged:?}");
    let ways: Vec<_> = found.readings.iter().map(|reading| reading.way.clone()).collect();
    assert_eq!(ways[0], Way::LayersDropped { layers: vec![1] });
    assert_eq!(ways[1], Way::VocabularyExtended { tokens: 20 });
    assert_eq!(ways[2..], [Way::Merged]);
    // A candidate without the tensors is no candidate.
    let none = [("other", &*other as &dyn TensorSource)];
    let strange = |name: &str| Some(name.to_owned()).filter(|name| name.contains("nothing"));
    let found = Forensics::of_stored(&*reference, &*suspect, &none, &strange, &shapes, 1).unwrap();
    assert!(found.tensors.is_empty() && found.merged.is_none());
}

#[test]
fn shapes_are_read() {
    let shapes = Shapes {
        layers_reference: 4,
        layers_suspect: 2,
        layers: vec![(0, 0), (3, 1)],
        vocabulary: Some((100, 164)),
    };
    let found = Forensics::new(Vec::new(), &shapes, None);
    let ways: Vec<_> = found.readings.iter().map(|reading| reading.way.clone()).collect();
    assert_eq!(
        ways,
        [Way::LayersDropped { layers: vec![1, 2] }, Way::VocabularyExtended { tokens: 64 }]
    );
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Forensics>(&text).unwrap(), found);
}

#[test]
fn numbers_that_are_none_are_counted() {
    let reference = all(&*copy(&[]), "model.layers.1.mlp.up_proj.weight");
    let mut suspect = all(&*copy(&["noise=0.1"]), "model.layers.1.mlp.up_proj.weight");
    (suspect[7], suspect[5000]) = (f32::NAN, f32::INFINITY);
    let pair = Pair { reference: &reference, suspect: &suspect, columns: 96 };
    let found = TensorForensics::of("up", pair, 2);
    assert_eq!(found.not_finite, 2);
    assert!((found.relative_change.unwrap() - 0.1).abs() < 0.01);
    assert!(found.spectrum.is_some_and(|spectrum| spectrum.white > 0.8));
    // Shapes that make no sense.
    let pair = Pair { reference: &[], suspect: &suspect, columns: 0 };
    assert_eq!(TensorForensics::of("none", pair, 3).rows, 0);
}

/// Against sums in f64, one after the other.
#[test]
fn moments_are_what_they_say() {
    let name = "model.layers.1.mlp.down_proj.weight";
    let (a, b) = (all(&*copy(&[]), name), all(&*copy(&["noise=0.3", "prune=0.1"]), name));
    let found = TensorForensics::of("down", Pair { reference: &a, suspect: &b, columns: 160 }, 2);
    let pairs = || a.iter().zip(&b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let sum = |f: &dyn Fn(f64, f64) -> f64| pairs().map(|(a, b)| f(a, b)).sum::<f64>();
    let (aa, bb, ab) = (sum(&|a, _| a * a), sum(&|_, b| b * b), sum(&|a, b| a * b));
    let (dd, d4) = (sum(&|a, b| (b - a).powi(2)), sum(&|a, b| (b - a).powi(4)));
    let near = |found: Option<f64>, wanted: f64| {
        assert!((found.unwrap() / wanted - 1.0).abs() < 1e-5, "{found:?} {wanted}");
    };
    near(found.relative_change, (dd / aa).sqrt());
    near(found.cosine, ab / (aa * bb).sqrt());
    near(found.scale, ab / aa);
    near(found.kurtosis, d4 * a.len() as f64 / (dd * dd));
    near(Some(found.new_zeros), 0.1);
    let size = |cut: bool| {
        let sizes: Vec<f64> =
            pairs().filter(|(_, b)| (*b == 0.0) == cut).map(|(a, _)| a.abs()).collect();
        sizes.iter().sum::<f64>() / sizes.len() as f64
    };
    near(found.cut_size, size(true) / size(false));
}

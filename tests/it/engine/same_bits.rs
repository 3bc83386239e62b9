//! A position's logits are the same bits whichever way its ids were computed, and errors change nothing.

use proptest::prelude::*;
use safetensors::tensor::Dtype;
use touchmark::engine::{Decoder, set_threads};
use touchmark::lm::{Chunk, LanguageModel, LmError, SeqId, Want};
use touchmark::tokens::TokenId;

use super::tiny::{self, MAX_POSITIONS, VOCAB};
use super::{append, scribe};

/// What a test does to one sequence.
#[derive(Clone, Debug)]
enum Act {
    Append(Vec<TokenId>, Want),
    Truncate(usize),
    Fork(usize),
}

fn acts() -> impl Strategy<Value = Vec<(usize, Act)>> {
    let ids = prop::collection::vec(0..VOCAB as TokenId, 1..40);
    let want = prop_oneof![Just(Want::None), Just(Want::Last), Just(Want::All)];
    let act = prop_oneof![
        4 => (ids, want).prop_map(|(ids, want)| Act::Append(ids, want)),
        1 => (0..60usize).prop_map(Act::Truncate),
        1 => (0..60usize).prop_map(Act::Fork),
    ];
    prop::collection::vec((0..4usize, act), 1..24)
}

/// Every row of a fresh run over `ids`.
fn fresh(ids: &[TokenId]) -> Vec<Vec<f32>> {
    let mut model = tiny::model(Dtype::BF16);
    let seq = model.open().unwrap();
    append(&mut model, seq, ids, Want::All)
}

/// A step over all pending appends; every row is checked against a fresh run.
fn flush(
    model: &mut Decoder,
    pending: &mut Vec<(usize, Vec<TokenId>, Want)>,
    seqs: &mut [(SeqId, Vec<TokenId>)],
) {
    let chunk = |(i, ids, want): &'_ (usize, Vec<TokenId>, Want)| (seqs[*i].0, ids.clone(), *want);
    let owned: Vec<_> = pending.iter().map(chunk).collect();
    let work: Vec<Chunk> =
        owned.iter().map(|(seq, ids, want)| Chunk { seq: *seq, ids, want: *want }).collect();
    let mut rows = Vec::new();
    model
        .step(&work, &mut |c: usize, p: usize, row: &[f32]| rows.push((c, p, row.to_vec())))
        .unwrap();
    let mut expected = Vec::new();
    for (c, (i, ids, want)) in pending.drain(..).enumerate() {
        let before = seqs[i].1.len();
        seqs[i].1.extend(&ids);
        let all = fresh(&seqs[i].1).split_off(before);
        let rows = all.into_iter().enumerate().map(|(p, row)| (c, p, row));
        expected.extend(rows.filter(|(_, p, _)| match want {
            Want::None => false,
            Want::Last => p + 1 == ids.len(),
            Want::All => true,
        }));
    }
    assert!(rows == expected, "rows differ from a fresh run");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_equals_a_fresh_run(acts in acts()) {
        let mut model = tiny::model(Dtype::BF16);
        let mut seqs: Vec<(SeqId, Vec<TokenId>)> = (0..4).map(|_| (model.open().unwrap(), vec![])).collect();
        let mut pending: Vec<(usize, Vec<TokenId>, Want)> = Vec::new();
        for (i, act) in acts {
            let busy = pending.iter().any(|(other, ..)| *other == i);
            if busy || !matches!(act, Act::Append(..)) {
                flush(&mut model, &mut pending, &mut seqs);
            }
            let len = seqs[i].1.len();
            match act {
                Act::Append(ids, want) if len + ids.len() <= MAX_POSITIONS => pending.push((i, ids, want)),
                Act::Append(..) => {}
                Act::Truncate(keep) => {
                    model.truncate(seqs[i].0, keep.min(len)).unwrap();
                    seqs[i].1.truncate(keep);
                }
                Act::Fork(keep) => {
                    let fork = model.fork(seqs[i].0, keep.min(len)).unwrap();
                    let mut ids = seqs[i].1.clone();
                    ids.truncate(keep);
                    seqs[(i + 1) % 4] = (fork, ids);
                }
            }
            prop_assert_eq!(model.len(seqs[i].0).unwrap(), seqs[i].1.len());
        }
        flush(&mut model, &mut pending, &mut seqs);
    }
}

#[test]
fn the_bundled_model_alone_batched_and_on_threads() {
    let mut model = scribe();
    let texts: Vec<Vec<TokenId>> = (0..12)
        .map(|s: u32| (0..3 + 29 * s).map(|i| (s * 911 + i * i * 37) % 8192).collect())
        .collect();
    let alone: Vec<Vec<f32>> = texts.iter().map(|ids| super::last_row(&mut model, ids)).collect();
    for threads in [1, 2, 3] {
        set_threads(threads);
        for split in [1, 2, 7] {
            let seqs: Vec<SeqId> = texts.iter().map(|_| model.open().unwrap()).collect();
            let mut rows = vec![Vec::new(); texts.len()];
            for part in 0..split {
                let parts = texts
                    .iter()
                    .map(|ids| &ids[ids.len() * part / split..ids.len() * (part + 1) / split]);
                let (open, work): (Vec<usize>, Vec<Chunk>) = parts
                    .zip(&seqs)
                    .enumerate()
                    .filter(|(_, (ids, _))| !ids.is_empty())
                    .map(|(i, (ids, &seq))| (i, Chunk { seq, ids, want: Want::Last }))
                    .unzip();
                model
                    .step(&work, &mut |c: usize, _: usize, row: &[f32]| {
                        rows[open[c]] = row.to_vec()
                    })
                    .unwrap();
            }
            assert!(rows == alone, "{threads} threads, {split} steps");
            seqs.into_iter().for_each(|seq| model.close(seq));
        }
    }
}

#[test]
fn errors_leave_everything_as_it_was() {
    let mut model = tiny::model(Dtype::F32);
    let [a, b, closed] = [(); 3].map(|()| model.open().unwrap());
    append(&mut model, a, &[1, 2, 3], Want::None);
    model.close(closed);
    model.close(closed);
    let long = vec![0; MAX_POSITIONS - 2];
    let good = Chunk { seq: b, ids: &[4], want: Want::All };
    let bad = |seq, ids| Chunk { seq, ids, want: Want::All };
    let mut fails = |second: Chunk<'_>| {
        let error = model
            .step(&[good, second], &mut |_: usize, _: usize, _: &[f32]| panic!("no rows"))
            .unwrap_err();
        assert_eq!((model.len(a).unwrap(), model.len(b).unwrap()), (3, 0));
        error
    };
    assert!(matches!(fails(bad(closed, &[1])), LmError::UnknownSequence(seq) if seq == closed));
    assert!(matches!(fails(bad(b, &[1])), LmError::RepeatedSequence(seq) if seq == b));
    assert!(matches!(fails(bad(a, &[])), LmError::EmptyChunk { chunk: 1 }));
    assert!(matches!(
        fails(bad(a, &[VOCAB as u32])),
        LmError::IdOutOfRange { id: 37, vocab_size: VOCAB }
    ));
    assert!(matches!(fails(bad(a, &[u32::MAX])), LmError::IdOutOfRange { .. }));
    assert!(matches!(
        fails(bad(a, &long)),
        LmError::TooLong { wanted: 301, max_positions: MAX_POSITIONS }
    ));
    assert!(matches!(model.fork(a, 4), Err(LmError::BeyondEnd { len: 3, wanted: 4, .. })));
    assert!(matches!(model.truncate(a, 4), Err(LmError::BeyondEnd { len: 3, wanted: 4, .. })));
    assert!(matches!(model.fork(closed, 0), Err(LmError::UnknownSequence(_))));
    assert!(matches!(model.truncate(closed, 0), Err(LmError::UnknownSequence(_))));
    assert!(matches!(model.len(closed), Err(LmError::UnknownSequence(_))));
    let row = append(&mut model, a, &[9], Want::Last);
    assert!(row == fresh_f32(&[1, 2, 3, 9]), "an error changed the cache");
    append(&mut model, a, &long[..MAX_POSITIONS - 4], Want::None);
    assert_eq!(model.len(a).unwrap(), MAX_POSITIONS);
    model.step(&[], &mut |_: usize, _: usize, _: &[f32]| panic!("no rows")).unwrap();
}

fn fresh_f32(ids: &[TokenId]) -> Vec<Vec<f32>> {
    let mut model = tiny::model(Dtype::F32);
    let seq = model.open().unwrap();
    append(&mut model, seq, ids, Want::Last)
}

#[test]
fn a_sink_that_panics_leaves_lengths_alone() {
    let mut model = tiny::model(Dtype::BF16);
    let seq = model.open().unwrap();
    append(&mut model, seq, &[5, 6], Want::None);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let work = [Chunk { seq, ids: &[7, 8], want: Want::All }];
        model.step(&work, &mut |_: usize, _: usize, _: &[f32]| panic!("on purpose"))
    }));
    assert!(caught.is_err());
    assert_eq!(model.len(seq).unwrap(), 2);
    assert!(append(&mut model, seq, &[1], Want::Last)[0] == fresh(&[5, 6, 1])[2]);
}

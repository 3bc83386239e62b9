//! Random jobs that join, leave and go away, under random limits.

use std::sync::Arc;

use proptest::prelude::*;
use touchmark::sampling::Sampling;
use touchmark::schemes::{Kgw, Spec};
use touchmark::serve::scheduler::{Answers, Event, Job, JobMark, Settings};
use touchmark::tokens::TokenId;
use touchmark::watermark::Repeats;

use super::model::{BYTES, V};
use super::{Found, expected, job, nothing_is_leaked, settings, start};
use crate::common::watermark;

/// A job, and how many events its client reads before it goes away.
fn jobs() -> impl Strategy<Value = (Job, Option<usize>)> {
    let prompt = (0_u32..3, 1_usize..60, prop::collection::vec(0..V as TokenId - 1, 0..10));
    let shape = (1_usize..=3, 1_usize..=24, 0_usize..3, 0..=5_u32);
    let chosen = (
        prop::sample::select(vec![0.0_f32, 0.7, 1.0]),
        prop::sample::select(vec![0_usize, 3, 20]),
        prop::sample::select(vec![0.0_f32, 0.5]),
        0_u64..4,
    );
    let gone = prop::option::weighted(0.25, 0_usize..12);
    let extra = (prop::option::weighted(0.3, 0_usize..4), any::<bool>(), any::<bool>());
    (prompt, shape, chosen, gone, extra).prop_map(|(prompt, shape, chosen, gone, extra)| {
        let (family, shared, own) = prompt;
        let (n, max_tokens, account, key) = shape;
        let (temperature, top_k, presence_penalty, seed) = chosen;
        let (logprobs, stops, usual) = extra;
        let prompt = [super::prompt(family, shared), own].concat();
        let mut job = Job {
            n,
            logprobs,
            account: account.to_string(),
            sampling: Sampling {
                temperature,
                top_k,
                presence_penalty,
                seed,
                ..Sampling::default()
            },
            mark: mark(key),
            streams: u64::from(key),
            ..job(&prompt, max_tokens)
        };
        if stops {
            job.stop = vec!["ab".to_owned(), "k".to_owned()];
        }
        if usual {
            job.ends = None;
        }
        (job, gone)
    })
}

/// Marks of different schemes, keys, rules and messages, some of which remember what they have marked.
fn mark(key: u32) -> Option<JobMark> {
    let number = u64::from(key);
    let mark = |spec: &Spec, repeats, message| {
        let watermark = Arc::new(watermark(number, spec, V as u32, repeats));
        Some(JobMark { watermark, message })
    };
    let payload = Spec::Kgw(Kgw { payload_bits: Some(8), ..Kgw::default() });
    match key {
        0 => None,
        1 => mark(&Spec::Kgw(Kgw::default()), Repeats::SingleTurn, None),
        2 => mark(&Spec::Kgw(Kgw { context_width: 1, ..Kgw::default() }), Repeats::AllTurns, None),
        3 => mark(&Spec::usual("gumbel")?, Repeats::ScoreOnce, None),
        4 => mark(&Spec::usual("synthid")?, Repeats::SingleTurn, None),
        _ => mark(&payload, Repeats::ScoreOnce, Some(177)),
    }
}

fn limits() -> impl Strategy<Value = Settings> {
    (3_usize..12, 260_u64..2000, 1_usize..40).prop_map(
        |(max_running, positions, prefill_tokens)| Settings {
            max_running,
            cache_bytes: positions * BYTES,
            prefill_tokens,
            ..settings()
        },
    )
}

/// Reads some events, then goes away.
fn leave(mut answers: Answers, events: usize) {
    for _ in 0..events {
        if let None | Some(Event::Failed(_)) = answers.blocking_next() {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Every answer is, token for token, text for text and to the last bit of its log-probabilities, the one that is
    /// written alone: no state of a generator, mark or sampler is shared, and no sequence has another one's ids. Memory
    /// and rows stay below their limits at every moment, and nothing is left behind.
    #[test]
    fn answers_do_not_depend_on_their_neighbours(limits in limits(), jobs in prop::collection::vec(jobs(), 1..24)) {
        let (scheduler, probe) = start(limits.clone());
        let mut running = Vec::new();
        for (job, gone) in jobs {
            let answers = scheduler.submit(job.clone()).unwrap();
            match gone {
                Some(events) => leave(answers, events),
                None => running.push((job, answers)),
            }
        }
        for (job, answers) in running {
            prop_assert_eq!(Found::all(answers).outputs(), expected(&job));
        }
        prop_assert!(probe.most_positions() as u64 * BYTES <= limits.cache_bytes);
        prop_assert!(probe.most_rows() <= limits.max_running + limits.prefill_tokens);
        nothing_is_leaked(scheduler, &probe);
    }
}

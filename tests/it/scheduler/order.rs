//! Who is let in when, who is refused, and how it ends.

use std::time::{Duration, Instant};

use touchmark::generate::{FinishReason, GenerateError};
use touchmark::lm::LmError;
use touchmark::sampling::Sampling;
use touchmark::serve::scheduler::{
    Event, Failure, Job, Refused, Scheduler, SchedulerError, Settings,
};

use super::model::{BYTES, V, WINDOW};
use super::{
    Found, expected, job, nothing_is_leaked, prompt, settings, start, until, wait_for,
    wait_until_idle,
};

/// A long prompt is read beside the answers that are written, which grow by a token at every step.
#[test]
fn a_long_prompt_does_not_stop_the_others() {
    let (scheduler, probe) = start(settings());
    probe.permit(0);
    let mut first = scheduler.submit(job(&prompt(1, 10), 60)).unwrap();
    probe.permit(3);
    until(&mut first, 3);
    let second = scheduler.submit(Job { account: "b".into(), ..job(&prompt(2, 200), 5) }).unwrap();
    probe.permit_all();
    assert_eq!(Found::all(second).outputs(), expected(&job(&prompt(2, 200), 5)));
    let steps = probe.steps();
    let reads = |chunks: &&Vec<usize>| chunks.len() == 2 && chunks[1] > 1;
    let reading: Vec<_> = steps.iter().skip(3).filter(reads).collect();
    // 200 tokens, 16 a step: thirteen steps, and the answer has a row in all of them.
    assert_eq!(reading.len(), 13);
    assert!(reading.iter().all(|chunks| chunks[0] == 1 && chunks[1] <= 16), "{steps:?}");
    let mut found = Found::default();
    while let Some(event) = first.blocking_next() {
        found.add(event);
    }
    assert_eq!(found.outputs[0].as_ref().unwrap(), &expected(&job(&prompt(1, 10), 60))[0]);
    nothing_is_leaked(scheduler, &probe);
}

/// Prompts that are read at once share the step, so that a short one need not wait for a long one.
#[test]
fn a_short_prompt_passes_a_long_one() {
    let (scheduler, probe) = start(settings());
    probe.permit(0);
    let long = scheduler.submit(job(&prompt(1, 300), 1)).unwrap();
    wait_for("the first step", || scheduler.load().waiting == 0);
    let mut short =
        scheduler.submit(Job { account: "b".into(), ..job(&prompt(2, 20), 1) }).unwrap();
    probe.permit(4);
    until(&mut short, 1);
    probe.permit_all();
    assert_eq!(Found::all(long).outputs(), expected(&job(&prompt(1, 300), 1)));
    // The long one alone, then half of each step for both, then what the short one leaves.
    assert_eq!(probe.steps()[..4], [vec![16], vec![8, 8], vec![8, 8], vec![4, 12]]);
    nothing_is_leaked(scheduler, &probe);
}

#[test]
fn many_jobs_of_one_account_do_not_starve_another() {
    let (scheduler, probe) = start(Settings { max_running: 1, ..settings() });
    probe.permit(0);
    let of = |account: &str| Job { account: account.into(), ..job(&prompt(1, 5), 4) };
    let many: Vec<_> = (0..100).map(|_| scheduler.submit(of("many")).unwrap()).collect();
    let one = scheduler.submit(of("one")).unwrap();
    probe.permit_all();
    let one = Found::all(one).queued.unwrap();
    let many: Vec<_> = many.into_iter().map(|it| Found::all(it).queued.unwrap()).collect();
    // One of the many runs, at most one more is before it in turn.
    assert!(one < many[2], "{one:?} {:?}", &many[..3]);
    // A job is counted after its last event is out.
    wait_for("all jobs to be counted", || scheduler.load().finished == 101);
    nothing_is_leaked(scheduler, &probe);
}

#[test]
fn a_full_queue_refuses() {
    let (scheduler, probe) = start(Settings { max_running: 1, max_queue: 2, ..settings() });
    probe.permit(0);
    let submit = || scheduler.submit(job(&prompt(1, 5), 3));
    let mut taken = vec![submit().unwrap()];
    wait_for("the first job", || scheduler.load().waiting == 0);
    taken.extend([submit().unwrap(), submit().unwrap()]);
    assert_eq!(scheduler.load().waiting, 2);
    match submit().unwrap_err() {
        Refused::QueueFull { retry_after } => {
            assert!((1..=60).contains(&retry_after.as_secs()), "{retry_after:?}");
        }
        other => panic!("{other:?}"),
    }
    probe.permit_all();
    for answers in taken {
        Found::all(answers).outputs();
    }
    Found::all(submit().unwrap()).outputs();
    nothing_is_leaked(scheduler, &probe);
}

#[test]
fn time_runs_out_in_the_queue_and_while_running() {
    let timeout = Duration::from_millis(30);
    let settings = Settings { max_running: 1, queue_timeout: timeout, ..settings() };
    let (scheduler, probe) = start(settings);
    probe.permit(0);
    let soon = Job { deadline: Instant::now() + timeout, ..job(&prompt(1, 20), 30) };
    let running = scheduler.submit(soon.clone()).unwrap();
    wait_for("the first job", || scheduler.load().waiting == 0);
    let waiting = scheduler.submit(job(&prompt(1, 5), 3)).unwrap();
    let due = scheduler.submit(Job { deadline: Instant::now(), ..soon }).unwrap();
    std::thread::sleep(2 * timeout);
    probe.permit_all();
    assert!(matches!(Found::all(running).failure, Some(Failure::Deadline)));
    assert!(matches!(Found::all(due).failure, Some(Failure::Deadline)));
    match Found::all(waiting).failure {
        Some(Failure::QueueTimeout { waited }) => assert!(waited >= timeout),
        other => panic!("{other:?}"),
    }
    wait_until_idle(&scheduler);
    assert_eq!(scheduler.load().timed_out, 3);
    Found::all(scheduler.submit(job(&prompt(1, 5), 3)).unwrap()).outputs();
    nothing_is_leaked(scheduler, &probe);
}

/// A client that goes away is noticed at the next step, whether its job runs or waits.
#[test]
fn clients_that_go_away_are_noticed_within_a_step() {
    let (scheduler, probe) = start(Settings { max_running: 2, ..settings() });
    probe.permit(0);
    let mut going = scheduler.submit(job(&prompt(1, 5), 300)).unwrap();
    let mut staying =
        scheduler.submit(Job { account: "b".into(), ..job(&prompt(2, 5), 12) }).unwrap();
    let waiting = scheduler.submit(job(&prompt(3, 5), 3)).unwrap();
    probe.permit(4);
    until(&mut going, 3);
    until(&mut staying, 3);
    drop((going, waiting));
    // One step may be under way; before the one after it both are gone.
    probe.permit(2);
    wait_for("the cancellation", || scheduler.load().cancelled == 2);
    assert_eq!((scheduler.load().jobs, scheduler.load().waiting), (1, 0));
    assert_eq!(probe.steps().len(), 6);
    probe.permit_all();
    while staying.blocking_next().is_some() {}
    nothing_is_leaked(scheduler, &probe);
}

/// Nobody reads until all is written: the other answers do not wait.
#[test]
fn slow_readers_delay_nobody() {
    let (scheduler, probe) = start(settings());
    let slow = Job { n: 3, ..job(&prompt(1, 20), 50) };
    let unread = scheduler.submit(slow.clone()).unwrap();
    for number in 0..20 {
        let job = job(&prompt(number, 9), 10);
        assert_eq!(Found::all(scheduler.submit(job.clone()).unwrap()).outputs(), expected(&job));
    }
    wait_until_idle(&scheduler);
    assert_eq!(Found::all(unread).outputs(), expected(&slow));
    nothing_is_leaked(scheduler, &probe);
}

#[test]
fn draining_finishes_what_was_taken_on() {
    let (scheduler, probe) = start(Settings { max_running: 1, ..settings() });
    probe.permit(0);
    let jobs = [job(&prompt(1, 5), 9), job(&prompt(2, 5), 9)];
    let taken = jobs.clone().map(|job| scheduler.submit(job).unwrap());
    scheduler.drain();
    assert!(matches!(scheduler.submit(jobs[0].clone()), Err(Refused::Draining)));
    assert!(!scheduler.is_idle());
    probe.permit_all();
    for (job, answers) in jobs.iter().zip(taken) {
        assert_eq!(Found::all(answers).outputs(), expected(job));
    }
    nothing_is_leaked(scheduler, &probe);
}

#[test]
fn aborting_ends_answers_where_they_are() {
    for drops in [false, true] {
        let (scheduler, probe) = start(Settings { max_running: 2, ..settings() });
        probe.permit(0);
        let running = Job { n: 2, stop: vec!["zzz".into()], ..job(&prompt(1, 5), 90) };
        let whole = expected(&running);
        let answers = scheduler.submit(running).unwrap();
        let waiting = scheduler.submit(job(&prompt(2, 5), 9)).unwrap();
        probe.permit(6);
        wait_for("six steps", || probe.steps().len() == 6);
        let kept = if drops {
            drop(scheduler);
            None
        } else {
            scheduler.abort();
            assert!(matches!(scheduler.submit(job(&prompt(2, 5), 9)), Err(Refused::Draining)));
            Some(scheduler)
        };
        probe.permit_all();
        for (output, whole) in Found::all(answers).outputs().into_iter().zip(whole) {
            assert_eq!(output.finish_reason, FinishReason::Abort);
            // The step under way when it was ended may still count.
            assert!((6..=7).contains(&output.ids.len()), "{}", output.ids.len());
            assert_eq!(output.ids, whole.ids[..output.ids.len()]);
            assert!(whole.text.starts_with(&output.text));
        }
        assert!(matches!(Found::all(waiting).failure, Some(Failure::Aborted)));
        match kept {
            Some(scheduler) => nothing_is_leaked(scheduler, &probe),
            None => wait_for("the end of the thread", || probe.is_dropped()),
        }
        assert_eq!(probe.open(), 0);
    }
}

#[test]
fn what_can_never_run_is_refused() {
    let (scheduler, probe) = start(Settings { cache_bytes: 300 * BYTES, ..settings() });
    let refused = |job: Job| scheduler.submit(job).unwrap_err();
    let good = || job(&prompt(1, 5), 3);
    let found = refused(job(&prompt(1, 5), WINDOW - 4));
    assert!(matches!(found, Refused::TooLong { wanted, window: WINDOW } if wanted == WINDOW + 1));
    // Two answers of 152 positions, in pieces of four.
    let found = refused(Job { n: 2, ..job(&prompt(1, 50), 101) });
    assert!(
        matches!(found, Refused::NeverFits { needs_bytes: 3040, budget_bytes: 3000 }),
        "{found:?}"
    );
    assert!(matches!(refused(Job { n: 9, ..good() }), Refused::TooMany { wanted: 9, most: 8 }));
    assert!(matches!(refused(Job { n: 0, ..good() }), Refused::NoAnswers));
    let invalid = |job: Job| match refused(job) {
        Refused::Invalid(error) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(invalid(job(&[], 3)), GenerateError::EmptyPrompt));
    assert!(matches!(invalid(job(&[1], 0)), GenerateError::NoTokens));
    let strange = invalid(job(&[1, V as u32], 3));
    assert!(matches!(strange, GenerateError::Model(LmError::IdOutOfRange { .. })));
    let logprobs = invalid(Job { logprobs: Some(21), ..good() });
    assert!(matches!(logprobs, GenerateError::Logprobs { wanted: 21 }));
    let sampling = Sampling { top_p: 0.0, ..Sampling::default() };
    assert!(matches!(invalid(Job { sampling, ..good() }), GenerateError::Sampling(_)));
    assert!(probe.steps().is_empty());
    nothing_is_leaked(scheduler, &probe);
}

#[test]
fn settings_with_which_nothing_runs_are_refused() {
    let refused = |settings: Settings| {
        let (model, _) = super::HashModel::new();
        let letters = std::sync::Arc::new(crate::common::Letters);
        Scheduler::start(Box::new(model), letters, super::ends(), settings).err()
    };
    let zero = refused(Settings { max_running: 0, ..settings() });
    assert!(matches!(zero, Some(SchedulerError::Zero { name: "max_running" })));
    let zero = refused(Settings { prefill_tokens: 0, ..settings() });
    assert!(matches!(zero, Some(SchedulerError::Zero { name: "prefill_tokens" })));
    let little = refused(Settings { cache_bytes: 19, ..settings() });
    assert!(matches!(little, Some(SchedulerError::Budget { given: 19, least: 20 })));
}

/// `next` and the stream give what `blocking_next` gives.
#[test]
fn events_come_to_tasks_too() {
    let (scheduler, probe) = start(settings());
    let job = Job { n: 2, ..job(&prompt(1, 5), 6) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(async {
        let mut answers = scheduler.submit(job.clone()).unwrap();
        let mut found = Found::default();
        while let Some(event) = answers.next().await {
            found.add(event);
        }
        assert!(answers.next().await.is_none());
        found
    });
    assert_eq!(found.outputs(), expected(&job));
    let mut answers = scheduler.submit(job).unwrap();
    let last = std::iter::from_fn(|| answers.blocking_next()).last();
    assert!(matches!(last, Some(Event::Done { .. })));
    nothing_is_leaked(scheduler, &probe);
}

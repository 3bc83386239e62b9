//! Beginnings are read once: for the answers to one prompt, and for prompts of one account.

use touchmark::serve::scheduler::{Job, Settings};

use super::model::BYTES;
use super::{
    Found, expected, job, nothing_is_leaked, prompt, settings, start, until, wait_for,
    wait_until_idle,
};

#[test]
fn several_answers_read_their_prompt_once() {
    let (scheduler, probe) = start(settings());
    let job = Job { n: 5, ..job(&prompt(1, 40), 7) };
    let outputs = Found::all(scheduler.submit(job.clone()).unwrap()).outputs();
    assert_eq!(outputs, expected(&job));
    assert!(outputs.windows(2).all(|pair| pair[0].ids != pair[1].ids));
    wait_until_idle(&scheduler);
    let load = scheduler.load();
    assert_eq!((load.prefill_tokens, load.decoded_tokens, load.finished), (40, 35, 5));
    nothing_is_leaked(scheduler, &probe);
}

#[test]
fn a_conversation_goes_on_where_it_was() {
    let (scheduler, probe) = start(settings());
    let first = job(&prompt(1, 40), 10);
    let answer = Found::all(scheduler.submit(first.clone()).unwrap()).outputs().remove(0);
    // The last token was never read.
    let next = job(&[&first.prompt, &answer.ids[..], &prompt(5, 6)].concat(), 10);
    let found = Found::all(scheduler.submit(next.clone()).unwrap());
    assert_eq!(found.reused, Some(49));
    assert_eq!(found.outputs(), expected(&next));
    wait_until_idle(&scheduler);
    // It went on in the same sequence.
    assert_eq!(scheduler.load().idle_sequences, 1);
    nothing_is_leaked(scheduler, &probe);
}

/// The beginning of a much longer sequence is copied, and the sequence stays.
#[test]
fn long_sequences_are_copied() {
    let (scheduler, probe) = start(settings());
    let long = job(&prompt(1, 100), 10);
    Found::all(scheduler.submit(long.clone()).unwrap()).outputs();
    let short = job(&[&long.prompt[..30], &prompt(9, 3)].concat(), 4);
    let found = Found::all(scheduler.submit(short.clone()).unwrap());
    assert_eq!(found.reused, Some(30));
    assert_eq!(found.outputs(), expected(&short));
    wait_until_idle(&scheduler);
    assert_eq!(scheduler.load().idle_sequences, 2);
    nothing_is_leaked(scheduler, &probe);
}

#[test]
fn running_sequences_are_copied() {
    let (scheduler, probe) = start(settings());
    probe.permit(0);
    let first = job(&prompt(1, 40), 50);
    let mut running = scheduler.submit(first.clone()).unwrap();
    probe.permit(5);
    until(&mut running, 2);
    let second = job(&[&first.prompt, &prompt(5, 6)[..]].concat(), 5);
    let answers = scheduler.submit(second.clone()).unwrap();
    probe.permit_all();
    let found = Found::all(answers);
    assert_eq!(found.reused, Some(40));
    assert_eq!(found.outputs(), expected(&second));
    while running.blocking_next().is_some() {}
    nothing_is_leaked(scheduler, &probe);
}

/// Of jobs that come together the first reads what they have in common, and the others copy it.
#[test]
fn prompts_that_come_together_are_read_once() {
    // Steps that the first one is ahead: of 60 ids that they share, it has read none, some, or all.
    for ahead in [0, 1, 2, 3, 6] {
        let (scheduler, probe) = start(settings());
        probe.permit(0);
        let of = |number: u32| job(&[prompt(1, 60), prompt(10 + number, 5)].concat(), 6);
        let jobs: Vec<Job> = (0..4).map(of).collect();
        let submit = |job: &Job| scheduler.submit(job.clone()).unwrap();
        let mut answers = vec![submit(&jobs[0])];
        probe.permit(ahead);
        wait_for("the first job", || probe.steps().len() == ahead && scheduler.load().waiting == 0);
        answers.extend(jobs[1..].iter().map(submit));
        probe.permit_all();
        for (job, answers) in jobs.iter().zip(answers) {
            assert_eq!(Found::all(answers).outputs(), expected(job));
        }
        wait_until_idle(&scheduler);
        assert_eq!(scheduler.load().prefill_tokens, 60 + 4 * 5);
        assert_eq!(scheduler.load().reused_tokens, 3 * 60);
        nothing_is_leaked(scheduler, &probe);
    }
}

/// What one account asked must not change when another one's answer begins.
#[test]
fn nothing_is_reused_across_accounts() {
    let (scheduler, probe) = start(settings());
    let of = |account: &str| Job { account: account.into(), ..job(&prompt(1, 40), 10) };
    for (account, reused) in [("a", 0), ("b", 0), ("a", 39), ("c", 0), ("b", 39)] {
        let found = Found::all(scheduler.submit(of(account)).unwrap());
        assert_eq!(found.reused, Some(reused), "{account}");
        assert_eq!(found.outputs(), expected(&of("any")));
    }
    // Neither are running ones.
    probe.permit(0);
    let mut running = scheduler.submit(Job { max_tokens: 50, ..of("d") }).unwrap();
    probe.permit(5);
    until(&mut running, 2);
    let other = scheduler.submit(of("e")).unwrap();
    probe.permit_all();
    assert_eq!(Found::all(other).reused, Some(0));
    drop(running);
    nothing_is_leaked(scheduler, &probe);
}

/// Nor does a job wait for what another account's job is reading.
#[test]
fn nobody_waits_for_another_accounts_prompt() {
    let (scheduler, probe) = start(settings());
    probe.permit(0);
    let of = |account: &str| Job { account: account.into(), ..job(&prompt(1, 100), 2) };
    let first = scheduler.submit(of("a")).unwrap();
    wait_for("the first job", || scheduler.load().waiting == 0);
    let others = ["b", "a"].map(|account| scheduler.submit(of(account)).unwrap());
    probe.permit_all();
    assert_eq!(Found::all(first).reused, Some(0));
    assert_eq!(others.map(|answers| Found::all(answers).reused), [Some(0), Some(99)]);
    // The first one alone, then those of both accounts; the third job waits for the first.
    assert_eq!(probe.steps()[..3], [vec![16], vec![8, 8], vec![8, 8]]);
    nothing_is_leaked(scheduler, &probe);
}

/// Idle sequences make way for jobs, those unused for longest first.
#[test]
fn idle_sequences_make_way() {
    let (scheduler, probe) = start(Settings { cache_bytes: 200 * BYTES, ..settings() });
    let of = |number, count, max_tokens| job(&prompt(number, count), max_tokens);
    for (number, idle, evicted) in [(1, 1, 0), (2, 2, 0), (3, 3, 0)] {
        Found::all(scheduler.submit(of(number, 40, 10)).unwrap()).outputs();
        wait_until_idle(&scheduler);
        let load = scheduler.load();
        assert_eq!((load.idle_sequences, load.evicted), (idle, evicted));
    }
    // 3 × 52 positions are idle; 80 more need the room of one of them, and that of the first goes.
    let large = of(4, 60, 20);
    assert_eq!(Found::all(scheduler.submit(large.clone()).unwrap()).outputs(), expected(&large));
    wait_until_idle(&scheduler);
    assert_eq!(scheduler.load().evicted, 1);
    let reused = |number| Found::all(scheduler.submit(of(number, 40, 10)).unwrap()).reused;
    assert_eq!((reused(3), reused(2)), (Some(39), Some(39)));
    assert_eq!(reused(1), Some(0));
    assert!(probe.most_positions() <= 200);
    nothing_is_leaked(scheduler, &probe);
}

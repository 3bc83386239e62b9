//! A model that fails takes with it what was in that step, and nothing else; nobody is left waiting.

use touchmark::generate::GenerateError;
use touchmark::serve::scheduler::{Failure, Job, Refused, Settings};

use super::model::{Fault, V};
use super::{Found, expected, job, nothing_is_leaked, prompt, settings, start, wait_for};

#[test]
fn a_failed_step_fails_its_jobs_only() {
    for fault in [Fault::Error, Fault::Panic] {
        let (scheduler, probe) = start(Settings { max_running: 2, ..settings() });
        probe.permit(0);
        let jobs: Vec<Job> = (0..4)
            .map(|number| Job { n: 1 + number % 2, ..job(&prompt(number as u32, 20), 9) })
            .collect();
        let answers: Vec<_> =
            jobs.iter().map(|job| scheduler.submit(job.clone()).unwrap()).collect();
        // The first job has one answer and runs alone, the second has two.
        probe.fault(4, fault);
        probe.permit_all();
        let mut found: Vec<Found> = answers.into_iter().map(Found::all).collect();
        let failure = found.remove(0).failure;
        match fault {
            Fault::Error => assert!(matches!(failure, Some(Failure::Model(_)))),
            Fault::Panic => assert!(matches!(failure, Some(Failure::Panicked))),
        }
        for (found, job) in found.into_iter().zip(&jobs[1..]) {
            assert_eq!(found.outputs(), expected(job));
        }
        assert_eq!(scheduler.load().failed, 1);
        assert!(!scheduler.has_ended());
        nothing_is_leaked(scheduler, &probe);
    }
}

#[test]
fn logits_that_are_no_numbers_fail_their_job_only() {
    let (scheduler, probe) = start(settings());
    let (broken, good) = (job(&[V as u32 - 1, 3, 4], 9), job(&prompt(1, 20), 9));
    probe.permit(0);
    let answers = [&broken, &good].map(|job| scheduler.submit(job.clone()).unwrap());
    probe.permit_all();
    let [broken, found] = answers.map(Found::all);
    let Some(Failure::Answer(GenerateError::Logits { position: 3 })) = broken.failure else {
        panic!("{:?}", broken.failure);
    };
    assert_eq!(found.outputs(), expected(&good));
    nothing_is_leaked(scheduler, &probe);
}

/// A panic outside a step ends the thread. Those who wait are told, and so are those who come.
#[test]
fn a_thread_that_ends_leaves_nobody_waiting() {
    let (scheduler, probe) = start(Settings { max_running: 1, ..settings() });
    probe.permit(0);
    let running = scheduler.submit(job(&prompt(1, 20), 9)).unwrap();
    wait_for("the first job", || scheduler.load().waiting == 0);
    let waiting: Vec<_> =
        (0..3).map(|_| scheduler.submit(job(&prompt(2, 20), 9)).unwrap()).collect();
    probe.panic_at_open();
    probe.permit_all();
    assert_eq!(Found::all(running).outputs(), expected(&job(&prompt(1, 20), 9)));
    for answers in waiting {
        assert!(matches!(Found::all(answers).failure, Some(Failure::Panicked)));
    }
    wait_for("the end of the thread", || scheduler.has_ended() && scheduler.is_idle());
    assert!(matches!(scheduler.submit(job(&prompt(2, 20), 9)), Err(Refused::Draining)));
}

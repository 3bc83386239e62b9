//! Many documents on all cores, their results in the order of the documents.
//!
//! One thread reads, several examine, the caller's takes results. At most [`AHEAD`] documents a worker are on their way, so
//! memory does not grow with their number, however slow one of them is.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// Documents on their way, for each worker.
const AHEAD: usize = 16;

/// Calls `work` for every item on `workers` threads and `take` with each result, in the items' order, on this thread. Ends
/// early when `take` fails.
///
/// # Errors
/// That of `take`.
pub fn in_order<I, T, E>(
    items: impl Iterator<Item = I> + Send,
    workers: usize,
    work: impl Fn(I) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E>
where
    I: Send,
    T: Send,
{
    let (permits, permit) = channel();
    for _ in 0..workers * AHEAD {
        let _sent = permits.send(());
    }
    let (jobs, job) = channel();
    let (results, result) = channel();
    let job = Mutex::new(job);
    std::thread::scope(|scope| {
        scope.spawn(move || read(items, &permit, &jobs));
        for _ in 0..workers {
            let (results, job, work) = (results.clone(), &job, &work);
            scope.spawn(move || examine(job, work, &results));
        }
        drop(results);
        // Dropping both ends, as an error does, lets the other threads end.
        let (permits, result) = (permits, result);
        let mut waiting = BTreeMap::new();
        let mut next = 0_u64;
        for (number, done) in &result {
            waiting.insert(number, done);
            while let Some(done) = waiting.remove(&next) {
                // A worker's panic goes on here: nobody shall wait for its result.
                take(done.unwrap_or_else(|panic| resume_unwind(panic)))?;
                next += 1;
                let _sent = permits.send(());
            }
        }
        Ok(())
    })
}

fn read<I>(items: impl Iterator<Item = I>, permit: &Receiver<()>, jobs: &Sender<(u64, I)>) {
    for job in (0..).zip(items) {
        if permit.recv().is_err() || jobs.send(job).is_err() {
            return;
        }
    }
}

fn examine<I, T>(
    jobs: &Mutex<Receiver<(u64, I)>>,
    work: &impl Fn(I) -> T,
    results: &Sender<(u64, std::thread::Result<T>)>,
) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, item)) = job else { return };
        let done = catch_unwind(AssertUnwindSafe(|| work(item)));
        if results.send((number, done)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_and_few_at_a_time() {
        let (read, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items = (0..2_000_usize).inspect(|_| {
            let ahead = read.fetch_add(1, Ordering::SeqCst) - taken.load(Ordering::SeqCst);
            assert!(ahead <= 3 * AHEAD + 1, "{ahead}");
        });
        let slow = |item: usize| {
            if item.is_multiple_of(500) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            2 * item
        };
        let mut all = Vec::new();
        let take = |result| {
            taken.fetch_add(1, Ordering::SeqCst);
            all.push(result);
            Ok::<(), ()>(())
        };
        in_order(items, 3, slow, take).unwrap();
        assert!(all.iter().copied().eq((0..2_000).map(|item| 2 * item)));
    }

    #[test]
    #[should_panic(expected = "item 70")]
    fn a_panic_is_passed_on() {
        let work = |item: usize| assert_ne!(item, 70, "item {item}");
        let _ended: Result<(), ()> = in_order(0..1_000, 2, work, |()| Ok(()));
    }

    #[test]
    fn an_error_ends_an_endless_stream() {
        let take = |result: usize| if result < 100 { Ok(()) } else { Err(result) };
        assert_eq!(in_order(0.., 2, |item: usize| item, take), Err(100));
    }
}

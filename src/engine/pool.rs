//! Worker threads that help with a loop if they are awake in time.
//!
//! The caller works through the loop itself and never waits for a worker that has not begun: on a busy machine a thread
//! may be held up for longer than a whole decode step takes. With a barrier that every worker must reach (candle has
//! one) two threads on a busy two-core machine decoded eleven times slower than one; see [`set_threads`].
//!
//! [`set_threads`]: super::set_threads

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread::{self, Thread};

/// Looks for work before a worker goes to sleep, some 40 ns each: longer than the pause between two products of a step,
/// shorter than anybody minds a busy core.
const LOOKS: u32 = 4_000;

/// One loop.
struct Job<'a> {
    body: &'a (dyn Fn(usize) + Sync),
    items: usize,
    /// Items taken at a time: neighbouring panels share pages.
    grab: usize,
    next: AtomicUsize,
    /// Workers with a lower number may help.
    helpers: usize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What workers watch.
struct Board {
    /// The loop being run; null between loops.
    job: AtomicPtr<Job<'static>>,
    /// Counts loops, so that workers see a new one.
    epoch: AtomicUsize,
    /// Workers that may be looking at `job`.
    inside: AtomicUsize,
}

static BOARD: Board = Board {
    job: AtomicPtr::new(std::ptr::null_mut()),
    epoch: AtomicUsize::new(0),
    inside: AtomicUsize::new(0),
};

/// The workers so far. Whoever holds the lock may post a job.
static WORKERS: Mutex<Vec<Thread>> = Mutex::new(Vec::new());

/// Calls `body` once with each of `0..items`, helped by up to `helpers` workers. Two loops at once are not: the second
/// caller works alone.
pub(super) fn for_each(items: usize, helpers: usize, body: &(dyn Fn(usize) + Sync)) {
    let mut workers = match WORKERS.try_lock() {
        Ok(workers) => workers,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return (0..items).for_each(body),
    };
    hire(&mut workers, helpers);
    let job = Job {
        body,
        items,
        grab: items.div_ceil((helpers + 1) * 4),
        next: AtomicUsize::new(0),
        helpers,
        panic: Mutex::new(None),
    };
    let posted = Posted::new(&job);
    workers.iter().take(helpers).for_each(Thread::unpark);
    job.work();
    drop(posted);
    let panic = job.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

/// Starts workers until there are `helpers`. When the system has no thread to give, the loop has fewer helpers.
fn hire(workers: &mut Vec<Thread>, helpers: usize) {
    while workers.len() < helpers {
        let number = workers.len();
        let builder = thread::Builder::new().name(format!("engine-{number}"));
        match builder.spawn(move || watch(number)) {
            Ok(handle) => workers.push(handle.thread().clone()),
            Err(_) => return,
        }
    }
}

/// A worker's life.
fn watch(number: usize) {
    let mut seen = 0;
    let mut looks = 0;
    loop {
        let epoch = BOARD.epoch.load(Ordering::Acquire);
        if epoch == seen {
            looks += 1;
            if looks < LOOKS {
                std::hint::spin_loop()
            } else {
                thread::park()
            }
            continue;
        }
        (seen, looks) = (epoch, 0);
        BOARD.inside.fetch_add(1, Ordering::SeqCst);
        let job = BOARD.job.load(Ordering::SeqCst);
        // SAFETY: the job was posted when it was loaded, after `inside` was raised. `Posted::drop` takes it down first
        // and then waits for `inside` to be zero (all four accesses are sequentially consistent), so the job lives on
        // until `inside` is lowered below.
        if let Some(job) = unsafe { job.as_ref() }
            && number < job.helpers
        {
            job.help();
        }
        BOARD.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Job<'_> {
    fn work(&self) {
        loop {
            let first = self.next.fetch_add(self.grab, Ordering::Relaxed);
            if first >= self.items {
                return;
            }
            (first..self.items.min(first + self.grab)).for_each(self.body);
        }
    }

    /// As [`work`](Self::work), on a worker, which outlives a panic.
    fn help(&self) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work())) {
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
    }
}

/// A job on the board. Taken down when dropped, which waits for the workers that are at it.
struct Posted;

impl Posted {
    fn new(job: &Job<'_>) -> Self {
        let job: *const Job<'_> = job;
        BOARD.job.store(job.cast::<Job<'static>>().cast_mut(), Ordering::SeqCst);
        BOARD.epoch.fetch_add(1, Ordering::Release);
        Self
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        BOARD.job.store(std::ptr::null_mut(), Ordering::SeqCst);
        let mut looks = 0;
        while BOARD.inside.load(Ordering::SeqCst) != 0 {
            looks += 1;
            // A worker may have lost its core in the middle of an item: let it have this one.
            if looks < LOOKS { std::hint::spin_loop() } else { thread::yield_now() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_once() {
        for round in 0..3_000 {
            let counts: Vec<AtomicUsize> = (0..round % 70).map(|_| AtomicUsize::new(0)).collect();
            for_each(counts.len(), round % 4, &|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn loops_inside_and_beside_loops() {
        let total = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        for_each(8, 2, &|_| {
                            for_each(8, 2, &|i| {
                                total.fetch_add(i, Ordering::Relaxed);
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 200 * 8 * 28);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_survives() {
        let attempt = || for_each(64, 2, &|i| assert!(i != 40, "on purpose"));
        assert!(catch_unwind(attempt).is_err());
        every_item_once();
    }
}

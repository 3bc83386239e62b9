//! How many threads compute, and loops shared among them.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::pool;

/// Zero until [`set_threads`] is called.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Multiply-adds that are worth a thread: some 15 µs of work.
const WORTH_A_THREAD: usize = 1 << 17;

/// Sets how many threads the engine computes on, the caller's included, for the whole process; at least one.
///
/// The results do not depend on it, to the last bit. It takes effect at the next
/// [`step`](crate::lm::LanguageModel::step). Without it the engine uses the physical cores that the process may run on,
/// or fewer when `RAYON_NUM_THREADS` says so. Steps of several sequences share the sequences out, other steps their products.
///
/// Tokens a second with `scribe-16m` on two cores of a Xeon with AVX-512, medians of 7 interleaved runs, on a quiet
/// machine (builds of others ran now and then) and beside two busy loops:
///
/// | | quiet, 1 thread | quiet, 2 threads | busy, 1 thread | busy, 2 threads |
/// |---|---|---|---|---|
/// | decode, batch 1 | 717 | 1,020 | 582 | 539 |
/// | decode, batch 8 | 2,686 | 3,774 | 1,594 | 1,194 |
/// | decode, batch 32 | 2,496 | 4,727 | 1,653 | 1,743 |
/// | prefill of 512 | 3,812 | 5,708 | 2,831 | 2,939 |
pub fn set_threads(threads: usize) {
    THREADS.store(threads.max(1), Ordering::Relaxed);
}

/// How many threads the engine computes on.
pub fn threads() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    match THREADS.load(Ordering::Relaxed) {
        0 => *DEFAULT.get_or_init(|| {
            let allowed = std::thread::available_parallelism().map_or(1, usize::from);
            allowed.min(candle_core::utils::get_num_threads())
        }),
        threads => threads,
    }
}

thread_local! {
    /// This thread is one of several that compute whole slabs.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Runs all tasks, on as many threads, and waits for them. Loops inside are not shared again.
///
/// A step has one such meeting, not one for every product, so a thread that the system holds up costs its delay once.
pub(super) fn side_by_side<F: FnOnce() + Send>(tasks: Vec<F>) {
    let tasks: Vec<Mutex<Option<F>>> =
        tasks.into_iter().map(|task| Mutex::new(Some(task))).collect();
    // Whoever comes first takes a task: when a thread starts late, or cannot be had at all, another does its work.
    let work = || {
        ALONE.set(true);
        for task in &tasks {
            let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(task) = task {
                task();
            }
        }
        ALONE.set(false);
    };
    std::thread::scope(|scope| {
        for _ in 1..tasks.len() {
            if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
}

/// Calls `body` once with each of `0..items`, on several threads when `work` multiply-adds an item make it worth while.
pub(super) fn for_each(items: usize, work: usize, body: impl Fn(usize) + Sync) {
    let worth = items.saturating_mul(work) / WORTH_A_THREAD;
    let threads = if ALONE.get() { 1 } else { threads().min(items).min(worth) };
    if threads < 2 {
        (0..items).for_each(body);
    } else {
        pool::for_each(items, threads - 1, &body);
    }
}

/// A row-major matrix that several threads write, each its own parts.
pub(super) struct SharedRows<'a> {
    start: *mut f32,
    len: usize,
    width: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: the only access is `write`, whose contract forbids overlapping writes, and the borrow of the slice lasts as
// long as this value.
unsafe impl Sync for SharedRows<'_> {}

impl<'a> SharedRows<'a> {
    /// Shares `rows`, each `width` wide.
    pub(super) fn new(rows: &'a mut [f32], width: usize) -> Self {
        Self { start: rows.as_mut_ptr(), len: rows.len(), width, owner: PhantomData }
    }

    /// Writes `values` into `row`, from `column` on.
    ///
    /// # Safety
    /// No two threads write the same place.
    pub(super) unsafe fn write(&self, row: usize, column: usize, values: &[f32]) {
        let offset = row * self.width + column;
        assert!(column + values.len() <= self.width && offset + values.len() <= self.len);
        // SAFETY: in bounds by the check above, exclusive by the caller's promise; `values` cannot overlap the borrowed
        // slice.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.add(offset), values.len())
        };
    }
}

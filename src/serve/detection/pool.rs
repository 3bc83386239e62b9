//! Long work on a bounded number of threads, and a bounded number of questions that wait for one.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::serve::error::ApiError;

/// Threads for examining texts.
pub(super) struct Pool {
    workers: Arc<Semaphore>,
    places: Arc<Semaphore>,
    public_places: Arc<Semaphore>,
}

/// Who waits for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A question of the public, refused when its half of the places is taken.
    Public,
    /// A question of an analyst, refused when all places are taken.
    Analyst,
    /// A line of a batch. It waits, for batches are bounded themselves.
    Batch,
}

/// Seconds after which a refused client may try again.
const PATIENCE: u64 = 2;

impl Pool {
    /// So many workers, and places for so many questions besides.
    pub fn new(workers: usize, waiting: usize) -> Self {
        let places = workers + waiting;
        Self {
            workers: Arc::new(Semaphore::new(workers)),
            places: Arc::new(Semaphore::new(places)),
            public_places: Arc::new(Semaphore::new(places.div_ceil(2))),
        }
    }

    /// Does the work on a thread that may be blocked. It goes on to its end, and keeps its place until then, when nobody
    /// waits for it any longer.
    ///
    /// # Errors
    /// 429 when too many wait; 500 when the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let places = self.places(lane)?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(|_| fault())?;
        let work = move || {
            let _held = (places, worker);
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| fault())
    }

    fn places(&self, lane: Lane) -> Result<Vec<OwnedSemaphorePermit>, ApiError> {
        let wanted: &[&Arc<Semaphore>] = match lane {
            Lane::Public => &[&self.public_places, &self.places],
            Lane::Analyst => &[&self.places],
            Lane::Batch => &[],
        };
        let place = |places: &&Arc<Semaphore>| Arc::clone(places).try_acquire_owned();
        wanted.iter().map(place).collect::<Result<_, _>>().map_err(|_| {
            ApiError::too_many("too many texts wait to be examined; try again soon", PATIENCE)
                .with_code("detection_busy")
        })
    }
}

fn fault() -> ApiError {
    ApiError::internal("internal fault: the text was not examined to the end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn those_that_find_no_place_are_refused_and_analysts_have_places_of_their_own() {
        runtime().block_on(async {
            let pool = Arc::new(Pool::new(1, 3));
            let (release, held) = mpsc::channel::<()>();
            let busy = Arc::clone(&pool);
            let first = tokio::spawn(async move {
                busy.run(Lane::Public, move || held.recv().is_ok()).await.unwrap()
            });
            tokio::task::yield_now().await;
            let ask = |lane| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { pool.run(lane, || ()).await })
            };
            let second = ask(Lane::Public);
            tokio::task::yield_now().await;
            let third = ask(Lane::Public).await.unwrap().unwrap_err();
            assert_eq!((third.status.as_u16(), third.code), (429, Some("detection_busy")));
            assert!(third.retry_after.is_some());
            let analysts = [ask(Lane::Analyst), ask(Lane::Analyst)];
            tokio::task::yield_now().await;
            assert_eq!(ask(Lane::Analyst).await.unwrap().unwrap_err().status, 429);
            release.send(()).unwrap();
            assert!(first.await.unwrap());
            assert!(second.await.unwrap().is_ok());
            for analyst in analysts {
                assert!(analyst.await.unwrap().is_ok());
            }
            assert!(ask(Lane::Public).await.unwrap().is_ok());
        });
    }

    #[test]
    fn a_panic_is_a_fault_of_one_question_and_gives_its_worker_back() {
        runtime().block_on(async {
            let pool = Pool::new(1, 1);
            for _ in 0..3 {
                let fault = pool.run(Lane::Public, || std::panic::resume_unwind(Box::new(())));
                assert_eq!(fault.await.map(|(): ()| ()).unwrap_err().status, 500);
            }
            assert_eq!(pool.run(Lane::Public, || 7).await.unwrap(), 7);
        });
    }
}

//! Ctrl-C and its like: nothing half is left behind, and how to go on is said.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::output;

/// Exit code of a run that was interrupted, as shells have it for SIGINT.
const CODE: i32 = 130;
/// How long a line that is being written may take to its end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Files that are not whole yet.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// Held while a line is written.
static WRITING: Mutex<()> = Mutex::new(());
static ADVICE: OnceLock<String> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP end the program with exit code 130, and `advice` is said. Where one of them has been
/// set to be ignored, as `nohup` does, all are left as they are.
pub fn end_cleanly(advice: String) {
    let _once = ADVICE.set(advice);
    let _left = ctrlc::try_set_handler(end);
}

fn end() {
    let began = Instant::now();
    let _whole_line = loop {
        match WRITING.try_lock() {
            Ok(guard) => break Some(guard),
            Err(_) if began.elapsed() > PATIENCE => break None,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    for path in UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _gone = std::fs::remove_file(path);
    }
    let advice = ADVICE.get().map_or("", String::as_str);
    output::warn(&format!("interrupted{advice}"));
    std::process::exit(CODE);
}

/// Writes without being interrupted half-way.
pub fn whole<T>(write: impl FnOnce() -> T) -> T {
    let _guard = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    write()
}

/// Notes a file to be removed when the program is interrupted.
pub fn unfinished(path: &Path) {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
}

/// The file has its own name now, or is gone.
pub fn finished(path: &Path) {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other != path);
}

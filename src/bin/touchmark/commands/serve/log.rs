//! Where a running server says what it does: standard error, and a file with a line for each request.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use touchmark::serve::{Log, RequestLine};

use crate::assemble;
use crate::output;

/// The server's own words, and its requests.
pub struct ServerLog {
    quiet: bool,
    requests: Option<Mutex<File>>,
}

impl ServerLog {
    pub fn new(quiet: bool, requests: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.append(true).create(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(path).with_context(|| format!("cannot write {}", path.display()))
        };
        Ok(Self { quiet, requests: requests.map(open).transpose()?.map(Mutex::new) })
    }

    fn write(&self, line: &RequestLine) -> anyhow::Result<()> {
        let Some(file) = &self.requests else { return Ok(()) };
        let text = format!("{}\n", serde_json::to_string(line)?);
        // One write a line, so that lines of several threads stay whole.
        file.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes())?;
        Ok(())
    }
}

impl Log for ServerLog {
    fn fault(&self, words: &str) {
        output::warn(&format!("{}: {words}", assemble::now()));
    }

    fn note(&self, words: &str) {
        output::note(self.quiet, &format!("{}: {words}", assemble::now()));
    }

    fn request(&self, line: &RequestLine) {
        if let Err(error) = self.write(line) {
            self.fault(&format!("the request log cannot be written: {error:#}"));
        }
    }
}

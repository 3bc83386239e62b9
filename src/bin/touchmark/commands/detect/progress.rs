//! How far a run is, and what it came to.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use touchmark::corpus::DocumentError;
use touchmark::stats::Family;

use super::finding::Outcome;
use crate::args::{self, Global};
use crate::output;

/// How often the terminal is written to.
const EVERY: Duration = Duration::from_millis(200);

/// Counts documents and tokens, and shows them on a terminal.
pub struct Progress {
    bar: ProgressBar,
    /// Bytes of files read so far.
    pub read: Arc<AtomicU64>,
    began: Instant,
    shown: Instant,
    documents: u64,
    tokens: u64,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub documents: u64,
    pub tokens: u64,
    pub failed: u64,
    pub detected: u64,
}

/// Whether progress is seen: rows on the terminal are progress enough.
pub fn is_shown(global: &Global, args: &args::Detect) -> bool {
    let rows_are_seen =
        args.output.is_none() && args.runs.resume.is_none() && std::io::stdout().is_terminal();
    !global.no_progress && !global.quiet && !rows_are_seen && std::io::stderr().is_terminal()
}

/// Bytes of all sources of a share, where all are files.
pub fn bytes<'a>(sources: impl Iterator<Item = &'a Result<PathBuf, DocumentError>>) -> Option<u64> {
    let known = sources.filter_map(|source| source.as_ref().ok());
    known
        .map(|path| path.metadata().ok().filter(std::fs::Metadata::is_file).map(|it| it.len()))
        .sum()
}

impl Progress {
    /// `total` is in bytes; none where it is not known.
    pub fn new(shown: bool, total: Option<u64>) -> anyhow::Result<Self> {
        let bar = match (shown, total) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(total)) => {
                let template = "{msg} {bar:20} {bytes}/{total_bytes}, {eta} left";
                ProgressBar::new(total).with_style(ProgressStyle::with_template(template)?)
            }
            (true, None) => {
                let template = "{msg} {spinner} {bytes} read";
                ProgressBar::new_spinner().with_style(ProgressStyle::with_template(template)?)
            }
        };
        let now = Instant::now();
        let read = Arc::default();
        Ok(Self { bar, read, began: now, shown: now, documents: 0, tokens: 0 })
    }

    /// One more document.
    pub fn add(&mut self, tokens: u64) {
        self.documents += 1;
        self.tokens += tokens;
        if !self.bar.is_hidden() && self.shown.elapsed() > EVERY {
            self.shown = Instant::now();
            let seconds = self.began.elapsed().as_secs_f64();
            let rate = |count: u64| short(count as f64 / seconds);
            self.bar.set_message(format!(
                "{} documents ({}/s, {} tokens/s)",
                self.documents,
                rate(self.documents),
                rate(self.tokens)
            ));
            self.bar.set_position(self.read.load(Ordering::Relaxed));
        }
    }

    /// Clears the bar, so that a warning stays readable.
    pub fn warn(&self, text: &str) {
        self.bar.suspend(|| output::warn(text));
    }

    /// Seconds so far.
    pub fn end(&self) -> f64 {
        self.bar.finish_and_clear();
        self.began.elapsed().as_secs_f64()
    }
}

impl Totals {
    pub fn count(&mut self, outcome: &Outcome) {
        match &outcome.result {
            Ok(finding) => {
                self.documents += 1;
                self.tokens += finding.tokens();
                self.detected += u64::from(finding.is_detected());
            }
            Err(_) => self.failed += 1,
        }
    }

    /// A line, and one of what failed. `fresh` are the tokens of these seconds.
    pub fn tell(&self, global: &Global, fpr: f64, seconds: f64, fresh: u64) {
        let alarms = Family::one().alarm_words(self.documents, fpr);
        let rate = short(fresh as f64 / seconds.max(1e-3));
        output::note(
            global.quiet,
            &format!(
                "{} documents, {} tokens, {seconds:.1} s ({rate} tokens/s), {} detected. {alarms}",
                self.documents, self.tokens, self.detected
            ),
        );
        if self.failed > 0 {
            output::warn(&format!(
                "{} of {} documents could not be examined",
                self.failed,
                self.documents + self.failed
            ));
        }
    }
}

/// Three digits, for people.
fn short(count: f64) -> String {
    match count {
        count if count >= 1e6 => format!("{:.2} M", count / 1e6),
        count if count >= 1e4 => format!("{:.1} k", count / 1e3),
        count => format!("{count:.0}"),
    }
}

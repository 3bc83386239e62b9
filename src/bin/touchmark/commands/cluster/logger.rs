//! What Ballista says, on standard error.

use std::io::Write;

use anyhow::anyhow;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::args::Global;

/// Warnings; with `--verbose` also what goes on, with `--quiet` errors only.
pub fn install(global: &Global) -> anyhow::Result<()> {
    log::set_max_level(match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::Error,
        (false, true) => LevelFilter::Info,
        (false, false) => LevelFilter::Warn,
    });
    log::set_logger(&Logger).map_err(|_| anyhow!("internal fault: two loggers"))
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = match record.level() {
                Level::Error => "error",
                Level::Warn => "warning",
                _ => "note",
            };
            let now = jiff::Timestamp::now();
            let _ = writeln!(
                anstream::stderr(),
                "{now:.3} {level}: {}: {}",
                record.target(),
                record.args()
            );
        }
    }

    fn flush(&self) {}
}

//! What a person sees: messages, colours, exit codes.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use touchmark::detect::Verdict;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// A gate given with `--fail-on` was hit.
    Gate,
    /// What was to be verified is invalid.
    Invalid,
    /// Rows were written, and some inputs failed.
    Partial,
    /// Nothing could be processed.
    Nothing,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Gate | Exit::Invalid => 1,
            Exit::Nothing => 2,
            Exit::Partial => 3,
        })
    }
}

/// Prints an error with its causes; exit code 2.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        let _ = usage.print();
        return ExitCode::from(2);
    }
    let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {}", causes(error));
    ExitCode::from(2)
}

/// An error and its causes, leaving out those whose text the one before already holds.
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether an error only says that nobody reads on.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    kinds.into_iter().any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Says something beside the result.
pub fn note(quiet: bool, text: &str) {
    if !quiet {
        let style = Style::new().dimmed();
        let _ = writeln!(anstream::stderr(), "{style}{text}{style:#}");
    }
}

/// Says what was chosen, when told to say more.
pub fn detail(verbose: bool, text: &str) {
    note(!verbose, text);
}

/// Warns, even when told to say less.
pub fn warn(text: &str) {
    let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
    let _ = writeln!(anstream::stderr(), "{style}warning:{style:#} {text}");
}

/// Prints one JSON object.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    writeln!(anstream::stdout(), "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// A progress bar on a terminal, a spinner where the total is not known; hidden elsewhere or when told so.
pub fn progress(
    hidden: bool,
    total: Option<u64>,
    what: &'static str,
) -> anyhow::Result<indicatif::ProgressBar> {
    use indicatif::{ProgressBar, ProgressStyle};

    if hidden || !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{msg} {bar:30} {pos}/{len} ({per_sec}, {eta} left)")
        }
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {pos} ({per_sec})"),
    };
    Ok(bar.with_style(ProgressStyle::with_template(template)?).with_message(what))
}

/// A progress bar for the bytes of files, one after the other; hidden off a terminal or when told so.
#[cfg(feature = "hub")]
pub fn bytes(hidden: bool) -> anyhow::Result<indicatif::ProgressBar> {
    use indicatif::{ProgressBar, ProgressStyle};

    if hidden || !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let template = "{msg} {bar:30} {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)";
    Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template(template)?))
}

/// The colour of a verdict.
pub fn verdict_style(verdict: Verdict) -> Style {
    let colour = match verdict {
        Verdict::Detected => AnsiColor::Green,
        Verdict::NotDetected => AnsiColor::Cyan,
        Verdict::InsufficientEvidence => AnsiColor::Yellow,
        Verdict::Error => AnsiColor::Red,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

/// log₁₀ p for people: enough digits to compare, none to impress.
pub fn log10_p(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.1}") }
}

/// Colour for tokens that speak for a mark and a line under marked passages; brackets and braces where there is no colour.
pub struct Highlight {
    coloured: bool,
}

impl Highlight {
    pub fn for_stdout() -> Self {
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        Self { coloured: choice != anstream::ColorChoice::Never }
    }

    /// A token's text, marked or plain, in a passage or outside.
    pub fn token(&self, text: &str, marked: bool, inside: bool) -> String {
        let mut style = Style::new();
        if marked {
            style = style.fg_color(Some(AnsiColor::Green.into()));
        }
        if inside {
            style = style.underline();
        }
        match (marked, self.coloured) {
            (_, true) if marked || inside => format!("{style}{text}{style:#}"),
            (true, false) => format!("[{text}]"),
            _ => text.to_owned(),
        }
    }

    /// What stands between two tokens where a passage begins or ends.
    pub fn boundary(&self, before: bool, after: bool) -> &'static str {
        match (before, after) {
            _ if self.coloured => "",
            (false, true) => "{",
            (true, false) => "}",
            _ => "",
        }
    }
}

//! Where a flag's value comes from: the command line, then `TOUCHMARK_*`, then a file, then the built-in default.
//!
//! The file is TOML with a table for each command, its keys the flags' names:
//!
//! ```toml
//! [detect]
//! fpr = 1e-9
//! ```

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{CommandFactory, FromArgMatches};
use toml::{Table, Value};

use crate::args::Cli;

/// The arguments, with the file's values as defaults.
pub fn parse_arguments() -> anyhow::Result<Cli> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = Cli::command();
    if let Some(path) = config_path(&arguments) {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let table: Table =
            text.parse().with_context(|| format!("{} is not TOML", path.display()))?;
        command =
            with_defaults(command, table).with_context(|| format!("in {}", path.display()))?;
    }
    let matches = command.try_get_matches_from(arguments).unwrap_or_else(|error| error.exit());
    Ok(Cli::from_arg_matches(&matches)?)
}

/// `--config` must be known before the rest can be parsed.
fn config_path(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments
        .iter()
        .skip(1)
        .map(|argument| argument.to_string_lossy())
        .take_while(|it| it != "--");
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return rest.next().map(|path| PathBuf::from(path.as_ref()));
        }
        if let Some(path) = argument.strip_prefix("--config=") {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os("TOUCHMARK_CONFIG").map(PathBuf::from)
}

fn with_defaults(mut command: clap::Command, table: Table) -> anyhow::Result<clap::Command> {
    for (name, values) in table {
        let Value::Table(values) = values else {
            bail!("\"{name}\" must be a table named after a command, such as [detect]")
        };
        let Some(subcommand) = command.find_subcommand(&name) else {
            bail!("there is no command \"{name}\"")
        };
        let mut flags = Vec::new();
        for (flag, value) in values {
            let found = subcommand
                .get_arguments()
                .find(|argument| argument.get_long() == Some(flag.as_str()));
            let Some(argument) = found else { bail!("\"{name}\" has no flag \"{flag}\"") };
            flags.push((argument.get_id().clone(), as_argument(&value)));
        }
        command = command.mut_subcommand(&name, |subcommand| {
            flags.into_iter().fold(subcommand, |subcommand, (id, value)| {
                subcommand.mut_arg(id, |argument| argument.default_value(value).required(false))
            })
        });
    }
    Ok(command)
}

fn as_argument(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

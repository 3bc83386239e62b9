//! `touchmark key`: make and keep secret keys.

use std::io::Write;

use touchmark::keys::KeyId;
use touchmark::store::KeyInfo;

use crate::args::{Global, Key, KeyAction};
use crate::assemble;
use crate::output::{self, Exit};

pub fn run(global: &Global, args: &Key) -> anyhow::Result<Exit> {
    let store = assemble::store(global)?;
    let parse = |id: &String| id.parse::<KeyId>();
    let info = match &args.action {
        KeyAction::New { id } => {
            store.new_key(id.as_ref().map(parse).transpose()?, assemble::now())?
        }
        KeyAction::Show { id } => store.key_info(&parse(id)?)?,
        KeyAction::Retire { id } => store.retire_key(&parse(id)?, assemble::now())?,
        KeyAction::Import { file, id } => {
            store.import_key(id.as_ref().map(parse).transpose()?, file, assemble::now())?
        }
        KeyAction::Export { id, output } => {
            let info = store.export_key(&parse(id)?, output)?;
            output::warn(&format!(
                "{} holds the secret; whoever reads it can make and remove this mark",
                output.display()
            ));
            info
        }
        KeyAction::List => return list(global, &store.keys()?),
    };
    show(global, &info)
}

fn list(global: &Global, keys: &[KeyInfo]) -> anyhow::Result<Exit> {
    if global.json {
        output::json(&serde_json::json!({ "keys": keys }))?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout();
    if keys.is_empty() {
        output::note(global.quiet, "No keys yet; `touchmark key new` makes one.");
    }
    for key in keys {
        let state = if key.retired.is_some() { "retired" } else { "in use" };
        writeln!(out, "{:<24} {}  {:<11}  {state}", key.id.as_str(), key.created, form(key))?;
    }
    Ok(Exit::Done)
}

/// What the key is made of, which is no secret.
fn form(key: &KeyInfo) -> String {
    match key.numbers {
        None => "256 bits".to_owned(),
        Some(1) => "1 number".to_owned(),
        Some(count) => format!("{count} numbers"),
    }
}

fn show(global: &Global, key: &KeyInfo) -> anyhow::Result<Exit> {
    if global.json {
        output::json(key)?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout();
    writeln!(out, "key         {}", key.id)?;
    writeln!(out, "made        {}", key.created)?;
    writeln!(out, "form        {}", form(key))?;
    if let Some(retired) = key.retired {
        writeln!(out, "retired     {retired}")?;
    }
    writeln!(out, "commitment  {}", key.commitment.0)?;
    output::note(
        global.quiet,
        "Publish or time-stamp the commitment to show later that the key was fixed before a text.",
    );
    Ok(Exit::Done)
}

//! `touchmark profile export`: a profile for another engine, or for who shall detect.

use std::io::Write;

use anyhow::Context;
use touchmark::profile::export::write;
use touchmark::store::Store;

use crate::args::{Global, ProfileExport};
use crate::assemble;
use crate::output::{self, Exit};

pub fn run(global: &Global, store: &Store, args: &ProfileExport) -> anyhow::Result<Exit> {
    let profile = assemble::profile(store, &args.id)?;
    let mut files = Vec::new();
    if let Some(tool) = args.tool {
        let key = store.key(&profile.key_id)?;
        let written = write(tool, &profile.scheme, profile.repeats, &key)
            .with_context(|| format!("profile \"{}\" has no form for {tool}", profile.id))?;
        written.notes.iter().for_each(|note| output::warn(&note.to_string()));
        match &args.output {
            None => write!(anstream::stdout(), "{}", *written.text)?,
            Some(path) => {
                Store::write_secret(path, written.text.as_bytes())?;
                output::warn(&format!(
                    "{} holds the secret; whoever reads it can make and remove this mark",
                    path.display()
                ));
                files.push(path.clone());
            }
        }
    }
    if let Some(folder) = &args.bundle {
        let tokenizer = assemble::kept_tokenizer(store, &profile)?;
        files.extend(Store::write_bundle(&profile, &tokenizer, folder)?);
    }
    if args.show_key {
        return Ok(Exit::Done);
    }
    if global.json {
        output::json(&serde_json::json!({ "profile": profile.id, "files": files }))?;
    } else {
        for file in &files {
            writeln!(anstream::stdout(), "{}", file.display())?;
        }
    }
    Ok(Exit::Done)
}

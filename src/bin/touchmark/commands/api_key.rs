//! `touchmark api-key`: who may ask a server, and for what.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use touchmark::serve::policy::{AccountEntry, ApiKey, Defaults, PolicyFile, Roles};
use touchmark::store::Store;

use crate::args::{self, ApiKeyAction, Global, NewApiKey, Role};
use crate::output::{self, Exit};

/// What is shown of a new key.
#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    /// Shown this once.
    api_key: &'a str,
    file: String,
}

pub fn run(global: &Global, args: &args::ApiKey) -> anyhow::Result<Exit> {
    match &args.action {
        ApiKeyAction::New(new) => make(global, new),
        ApiKeyAction::List { file } => list(global, file),
        ApiKeyAction::Check { file } => {
            let accounts = read(file)?.account.len();
            output::note(global.quiet, &format!("{}: {accounts} accounts", file.display()));
            Ok(Exit::Done)
        }
    }
}

/// Reads a policy file.
pub fn read(path: &Path) -> anyhow::Result<PolicyFile> {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    file.and_then(|mut file| file.read_to_string(&mut text))
        .with_context(|| format!("cannot read {}", path.display()))?;
    check_mode(path)?;
    PolicyFile::parse(&text).with_context(|| format!("in {}", path.display()))
}

/// Whoever can write the file can let anybody in.
#[cfg(unix)]
fn check_mode(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        bail!(
            "{} can be changed by other users (mode {mode:o}); run: chmod 600 {}",
            path.display(),
            path.display()
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

/// Appends to the file, so that what people wrote into it stays as it is.
fn make(global: &Global, new: &NewApiKey) -> anyhow::Result<Exit> {
    let known = new.file.exists();
    let before = if known { read(&new.file)? } else { PolicyFile::default() };
    let key = ApiKey::generate()?;
    let has = |role| new.role.contains(&role);
    let roles = Roles {
        generate: has(Role::Generate),
        analyst: has(Role::Analyst),
        admin: has(Role::Admin),
        metrics: has(Role::Metrics),
    };
    let entry = AccountEntry {
        name: new.name.clone(),
        key: key.hash(),
        tenant: new.tenant.clone(),
        payload: None,
        policy: Defaults {
            watermark: new.watermark_mode.map(Into::into),
            roles: (!new.role.is_empty()).then_some(roles),
            ..Defaults::default()
        },
    };
    let added = PolicyFile { account: vec![entry.clone()], ..PolicyFile::default() };
    let text = format!("\n{}", entry_text(&added)?);
    let mut after = before;
    after.account.push(entry);
    PolicyFile::parse(&toml::to_string(&after)?)?;
    if known {
        let mut file = std::fs::OpenOptions::new().append(true).open(&new.file);
        let written =
            file.as_mut().map_err(|error| std::io::Error::new(error.kind(), error.to_string()));
        written
            .and_then(|file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .with_context(|| format!("cannot write {}", new.file.display()))?;
    } else {
        Store::write_secret(&new.file, text.trim_start().as_bytes())?;
    }
    let made =
        Made { name: &new.name, api_key: key.reveal(), file: new.file.display().to_string() };
    if global.json {
        output::json(&made)?;
    } else {
        writeln!(anstream::stdout(), "{}", made.api_key)?;
        output::note(
            global.quiet,
            &format!(
                "The API key of \"{}\"; it is shown this once. Entry added to {}.",
                made.name, made.file
            ),
        );
    }
    Ok(Exit::Done)
}

/// Only the entry, without the tables that say nothing.
fn entry_text(added: &PolicyFile) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Entries<'a> {
        account: &'a [AccountEntry],
    }
    Ok(toml::to_string(&Entries { account: &added.account })?)
}

fn list(global: &Global, path: &Path) -> anyhow::Result<Exit> {
    let file = read(path)?;
    if global.json {
        output::json(&file)?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout();
    for account in &file.account {
        let mode = account.policy.watermark.or(file.defaults.watermark);
        let mode = mode.map_or("as the server says", |mode| mode.as_str());
        let tenant = account.tenant.as_ref().map_or("", |tenant| tenant.as_str());
        writeln!(out, "{:<32} {mode:<20} {tenant}", account.name)?;
    }
    Ok(Exit::Done)
}

//! `touchmark profile`: describe ways of marking.

mod export;
mod import;

use std::io::Write;

use anyhow::{Context, bail};
use touchmark::profile::Profile;
use touchmark::schemes::Spec;
use touchmark::store::{Store, StoreError};
use touchmark::watermark::Repeats;

use crate::args::{self, Global, ProfileAction, ProfileNew};
use crate::assemble::{self, NewKey, NewProfile};
use crate::models::{self, TokenizerSource};
use crate::output::{self, Exit};

pub fn run(global: &Global, args: &args::Profile) -> anyhow::Result<Exit> {
    let store = assemble::store(global)?;
    match &args.action {
        ProfileAction::New(new) => {
            let profile = create(global, &store, new)?;
            lints(&store, &profile)?.iter().for_each(|lint| output::warn(lint));
            show(global, &profile)
        }
        ProfileAction::Import(args) => {
            let profile = import::run(global, &store, args)?;
            lints(&store, &profile)?.iter().for_each(|lint| output::warn(lint));
            show(global, &profile)
        }
        ProfileAction::Export(args) => export::run(global, &store, args),
        ProfileAction::List => list(global, &store.profiles()?),
        ProfileAction::Show { id } => show(global, &assemble::profile(&store, id)?),
        ProfileAction::Lint { id } => lint(global, &store, &assemble::profile(&store, id)?),
        ProfileAction::Retire { id } => show(global, &store.retire_profile(id, assemble::now())?),
    }
}

fn create(global: &Global, store: &Store, new: &ProfileNew) -> anyhow::Result<Profile> {
    let scheme = scheme(&new.scheme, &new.parameters)?;
    let repeats = match new.repeats {
        None => Repeats::usual(&scheme),
        Some(args::Repeats::ScoreOnce) => Repeats::ScoreOnce,
        Some(args::Repeats::SingleTurn) => Repeats::SingleTurn,
        Some(args::Repeats::AllTurns) => Repeats::AllTurns,
    };
    let made = NewProfile {
        id: new.id.clone(),
        scheme,
        repeats,
        key: new.key.clone().map_or(NewKey::Fresh, NewKey::Kept),
    };
    let mut tokenizer = tokenizer(global, new)?;
    if let Some(entropy) = new.entropy {
        if !(entropy > 0.0 && entropy.is_finite()) {
            bail!("--entropy is {entropy}, but must be a number of nats above 0");
        }
        tokenizer.entropy = entropy;
    }
    assemble::new_profile(store, made, &tokenizer)
}

/// A scheme by name, with parameters in TOML's notation; a word that is no TOML value is text.
fn scheme(name: &str, parameters: &[String]) -> anyhow::Result<Spec> {
    if !Spec::NAMES.contains(&name) {
        bail!("there is no scheme \"{name}\"; schemes: {}", Spec::NAMES.join(", "));
    }
    let mut table = toml::Table::new();
    table.insert("scheme".to_owned(), name.into());
    for parameter in parameters {
        let (field, value) =
            parameter.split_once('=').context(format!("\"{parameter}\" is not name=value"))?;
        let parsed = format!("v = {value}")
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut table| table.remove("v"));
        table.insert(field.to_owned(), parsed.unwrap_or_else(|| value.into()));
        // After each one, so that the message names the parameter at fault.
        let so_far: Result<Spec, _> = table.clone().try_into();
        so_far.with_context(|| format!("scheme \"{name}\", parameter {field}"))?;
    }
    let spec: Spec = table.try_into().with_context(|| format!("scheme \"{name}\""))?;
    spec.scheme().check()?;
    Ok(spec)
}

fn tokenizer(global: &Global, new: &ProfileNew) -> anyhow::Result<TokenizerSource> {
    if let Some(path) = &new.tokenizer {
        return models::tokenizer_source(global, path, new.revision.as_deref(), new.vocab_size);
    }
    #[cfg(bundled_models)]
    return Ok(super::bundled::tokenizer_source());
    #[cfg(not(bundled_models))]
    bail!("this build has no bundled model; name a tokenizer with --tokenizer");
}

fn list(global: &Global, profiles: &[Profile]) -> anyhow::Result<Exit> {
    if global.json {
        output::json(&serde_json::json!({ "profiles": profiles }))?;
        return Ok(Exit::Done);
    }
    if profiles.is_empty() {
        output::note(global.quiet, "No profiles yet; `touchmark profile new NAME` makes one.");
    }
    let mut out = anstream::stdout();
    for profile in profiles {
        let state = if profile.retired.is_some() { "retired" } else { "in use" };
        writeln!(
            out,
            "{:<24} {:<10} key {:<18} {:<16} {state}",
            profile.id,
            profile.scheme.name(),
            profile.key_id,
            profile.tokenizer.name
        )?;
    }
    Ok(Exit::Done)
}

fn show(global: &Global, profile: &Profile) -> anyhow::Result<Exit> {
    if global.json {
        output::json(profile)?;
    } else {
        write!(anstream::stdout(), "{}", profile.to_toml()?)?;
    }
    Ok(Exit::Done)
}

/// What is to be questioned about a profile and, where it is kept here, its key.
fn lints(store: &Store, profile: &Profile) -> anyhow::Result<Vec<String>> {
    let of_key = match store.key(&profile.key_id) {
        Err(StoreError::NoKey { .. }) => None,
        found => profile.lint_key(&found?),
    };
    Ok(profile.lint().into_iter().chain(of_key).map(|lint| lint.to_string()).collect())
}

fn lint(global: &Global, store: &Store, profile: &Profile) -> anyhow::Result<Exit> {
    let lints = lints(store, profile)?;
    if global.json {
        output::json(&serde_json::json!({ "profile": profile.id, "warnings": lints }))?;
        return Ok(Exit::Done);
    }
    let mut out = anstream::stdout();
    for lint in &lints {
        writeln!(out, "{lint}")?;
    }
    if lints.is_empty() {
        writeln!(out, "nothing to question")?;
    }
    Ok(Exit::Done)
}

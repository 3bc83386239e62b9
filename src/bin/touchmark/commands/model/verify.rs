//! `touchmark model verify`: is a model what it should be.

use std::io::Write;
use std::path::Path;

use touchmark::engine::{EngineError, GgufConfigError};
#[cfg(feature = "hub")]
use touchmark::hub::Damage;
use touchmark::tokenizer::TokenizerError;

use crate::args::{self, Global};
use crate::models::{self, Loading, Place, Reach};
use crate::output::{self, Exit};

pub fn run(global: &Global, model: Option<&Path>, args: &args::Loading) -> anyhow::Result<Exit> {
    let place = models::locate(global, model, args.revision.as_deref(), Reach::Cache)?;
    // A folder without a model in it is not an invalid model.
    let contents = models::source(&place.files, false)?.contents(args.dtype.into());
    if let Err(error @ (EngineError::NoWeights { .. } | EngineError::PickleOnly { .. })) = contents
    {
        return Err(error.into());
    }
    let mut faults = stated(global, &place)?;
    // What a damaged file does to the loader says nothing more.
    if faults.is_empty() {
        let loading =
            Loading { device: args.device, dtype: args.dtype.into(), ..Loading::default() };
        match models::load(global, &place, loading) {
            Ok(_) => {}
            Err(error) if is_fault(&error) => faults.push(output::causes(&error)),
            Err(error) => return Err(error),
        }
    }
    report(global, &place, &faults)
}

/// Files that are not what the hub stated.
#[cfg(feature = "hub")]
fn stated(global: &Global, place: &Place) -> anyhow::Result<Vec<String>> {
    let Some(snapshot) = &place.snapshot else { return Ok(Vec::new()) };
    let bar = output::bytes(global.no_progress || global.quiet)?;
    let damaged = snapshot.verify(&mut |now| {
        bar.set_length(now.total);
        bar.set_position(now.done);
    });
    bar.finish_and_clear();
    let line = |damage: &Damage| match snapshot.dir().join(&damage.file).canonicalize() {
        // A file of the right size is not fetched again.
        Ok(blob) => format!("{damage}; remove {} and fetch it again", blob.display()),
        Err(_) => damage.to_string(),
    };
    Ok(damaged.iter().map(line).collect())
}

#[cfg(not(feature = "hub"))]
fn stated(_: &Global, _: &Place) -> anyhow::Result<Vec<String>> {
    Ok(Vec::new())
}

/// Whether an error speaks against the model, rather than against this program or this machine.
fn is_fault(error: &anyhow::Error) -> bool {
    let denied = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    !error.chain().any(|cause| {
        if let Some(error) = cause.downcast_ref::<EngineError>() {
            return match error {
                EngineError::Unsupported { .. }
                | EngineError::Dtype { .. }
                | EngineError::Memory { .. } => true,
                EngineError::Gguf { source, .. } => {
                    matches!(source, GgufConfigError::Architecture { .. })
                }
                _ => false,
            };
        }
        if let Some(error) = cause.downcast_ref::<TokenizerError>() {
            return matches!(
                error,
                TokenizerError::GgufModel { .. }
                    | TokenizerError::GgufWords { .. }
                    | TokenizerError::GgufNormaliser { .. }
            );
        }
        cause.downcast_ref::<std::io::Error>().is_some_and(denied)
    })
}

fn report(global: &Global, place: &Place, faults: &[String]) -> anyhow::Result<Exit> {
    let exit = if faults.is_empty() { Exit::Done } else { Exit::Invalid };
    if global.json {
        output::json(&serde_json::json!({
            "model": place.name,
            "path": place.files.path(),
            "valid": faults.is_empty(),
            "faults": faults,
        }))?;
        return Ok(exit);
    }
    let mut out = anstream::stdout();
    for fault in faults {
        writeln!(out, "damaged  {fault}")?;
    }
    if faults.is_empty() {
        let stated =
            if is_snapshot(place) { "every file has the hash that the hub states, " } else { "" };
        writeln!(out, "valid  {}: {stated}every tensor and the tokenizer load", place.name)?;
    } else {
        output::warn(&format!("{} is not valid", place.name));
    }
    Ok(exit)
}

#[cfg(feature = "hub")]
fn is_snapshot(place: &Place) -> bool {
    place.snapshot.is_some()
}

#[cfg(not(feature = "hub"))]
fn is_snapshot(_: &Place) -> bool {
    false
}

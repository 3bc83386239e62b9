//! One file a command.

#[cfg(feature = "serve")]
pub mod api_key;
pub mod attack;
#[cfg(feature = "engine")]
pub mod attribute;
#[cfg(feature = "engine")]
pub mod bench;
pub mod bundle;
#[cfg(bundled_models)]
pub mod bundled;
pub mod calibrate;
pub mod claim;
#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(bundled_models)]
pub mod demo;
pub mod detect;
#[cfg(feature = "cluster")]
pub mod detectors;
pub mod doctor;
#[cfg(feature = "engine")]
pub mod entropies;
#[cfg(feature = "engine")]
pub mod fingerprint;
pub mod fingerprint_finding;
pub mod finish;
#[cfg(feature = "engine")]
pub mod generate;
pub mod identify;
pub mod key;
pub mod marks;
#[cfg(any(feature = "engine", feature = "hub"))]
pub mod model;
pub mod profile;
#[cfg(feature = "ledger")]
pub mod receipt;
#[cfg(feature = "engine")]
pub mod results;
#[cfg(feature = "serve")]
pub mod serve;
pub mod sketches;
#[cfg(feature = "cluster")]
pub mod sql;

use std::io::Write;

use crate::output::Exit;

/// The version, and with it the licences of the program and of what it carries.
pub fn version(licenses: bool) -> anyhow::Result<Exit> {
    let mut out = anstream::stdout();
    writeln!(out, "touchmark {}", env!("CARGO_PKG_VERSION"))?;
    if !licenses {
        return Ok(Exit::Done);
    }
    writeln!(out, "Program: MIT OR Apache-2.0.")?;
    #[cfg(bundled_models)]
    writeln!(
        out,
        "\nBundled weights (scribe-16m, scribe-16m-chat): CC BY-SA 4.0. Their card:\n\n{}",
        bundled::CARD
    )?;
    Ok(Exit::Done)
}

//! The folder of a planting.
//!
//! ```text
//! planting.json     the secret: key, questions
//! register.json     which questions were asked, whom, when
//! commitment.json   what can be published
//! train.jsonl, completions.jsonl   training data: answers in the clear
//! ```
//!
//! All files are 0600 in a 0700 folder, also the public one, which is copied from there.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use touchmark::fingerprint::planted::{Planting, Register};
use touchmark::store::Store;

/// A folder that holds a planting, or shall.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn exists(&self) -> bool {
        self.file("planting.json").exists()
    }

    /// Reads the secret.
    pub fn planting(&self) -> anyhow::Result<Planting> {
        let path = self.file("planting.json");
        if !self.exists() {
            bail!(
                "{} holds no planting; `touchmark fingerprint plant -o DIR` makes one",
                self.0.display()
            );
        }
        let text = Store::read_secret(&path)?;
        Planting::from_json(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Writes a new planting and its commitment.
    pub fn create(&self, planting: &Planting) -> anyhow::Result<()> {
        Store::write_secret(&self.file("planting.json"), planting.to_json()?.as_bytes())?;
        let commitment = serde_json::to_string_pretty(planting.commitment())? + "\n";
        Store::write_secret(&self.file("commitment.json"), commitment.as_bytes())?;
        Ok(())
    }

    /// Writes a planting again, with its beacon.
    pub fn replace(&self, planting: &Planting) -> anyhow::Result<()> {
        Ok(Store::replace_secret(&self.file("planting.json"), planting.to_json()?.as_bytes())?)
    }

    /// Which questions were asked.
    pub fn register(&self) -> anyhow::Result<Register> {
        let path = self.file("register.json");
        if !path.exists() {
            return Ok(Register::default());
        }
        let text = Store::read_secret(&path)?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a register of this version", path.display()))
    }

    pub fn keep_register(&self, register: &Register) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(register)? + "\n";
        Ok(Store::replace_secret(&self.file("register.json"), text.as_bytes())?)
    }
}

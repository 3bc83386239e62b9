//! The files of a bundle on disk.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use touchmark::fingerprint::bundle::{Files, Packed};
use touchmark::store::Store;
use zeroize::Zeroizing;

pub const COMMITMENT: &str = "commitment.json";
pub const LEAVES: &str = "leaves.jsonl";
pub const SECRET_LEAVES: &str = "secret/leaves.jsonl";
pub const TRANSCRIPT: &str = "transcript.jsonl";
pub const OUTCOME: &str = "outcome.json";
pub const TOKEN: &str = "commitment.tsr";

/// More than any bundle has; what is larger is not read.
const MOST_BYTES: u64 = 1 << 30;

/// All files of a bundle, read.
#[derive(Default)]
pub struct Case {
    pub commitment: Vec<u8>,
    pub leaves: Vec<u8>,
    pub transcript: Vec<u8>,
    pub outcome: Option<Vec<u8>>,
    pub token: Option<Vec<u8>>,
}

impl Case {
    /// From a folder, where the public leaves come before the secret ones, or from a packed file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() { Self::of_folder(path) } else { Self::of_packed(path) }
    }

    fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let file = |name: &str| optional(&folder.join(name));
        let leaves = match file(LEAVES)? {
            Some(leaves) => Some(leaves),
            None => file(SECRET_LEAVES)?,
        };
        let missing =
            |name: &str| format!("{} is not a bundle: it has no {name}", folder.display());
        Ok(Self {
            commitment: file(COMMITMENT)?.with_context(|| missing(COMMITMENT))?,
            leaves: leaves.with_context(|| missing(LEAVES))?,
            transcript: file(TRANSCRIPT)?.unwrap_or_default(),
            outcome: file(OUTCOME)?,
            token: file(TOKEN)?,
        })
    }

    fn of_packed(path: &Path) -> anyhow::Result<Self> {
        let bytes = optional(path)?.with_context(|| format!("there is no {}", path.display()))?;
        let packed =
            Packed::from_file(&bytes).with_context(|| format!("cannot read {}", path.display()))?;
        let mut files = packed.files;
        let mut take = |name: &str| files.remove(name).map(String::into_bytes);
        let missing = |name: &str| format!("the packed bundle has no {name}");
        let case = Self {
            commitment: take(COMMITMENT).with_context(|| missing(COMMITMENT))?,
            leaves: take(LEAVES).with_context(|| missing(LEAVES))?,
            transcript: take(TRANSCRIPT).unwrap_or_default(),
            outcome: take(OUTCOME),
            token: packed.token.as_deref().map(bytes_of_hex).transpose()?,
        };
        match files.keys().next() {
            Some(stranger) => {
                bail!("the packed bundle has a file \"{stranger}\" that no bundle has")
            }
            None => Ok(case),
        }
    }

    pub fn files(&self) -> Files<'_> {
        Files {
            commitment: &self.commitment,
            leaves: &self.leaves,
            transcript: &self.transcript,
            outcome: self.outcome.as_deref(),
            token: self.token.as_deref(),
        }
    }
}

/// The secret leaves of a folder.
pub fn secret_leaves(folder: &Path) -> anyhow::Result<Zeroizing<String>> {
    let path = folder.join(SECRET_LEAVES);
    if !path.exists() {
        bail!("{} is missing: only who committed to this bundle can go on with it", path.display());
    }
    Ok(Store::read_secret(&path)?)
}

/// A file's bytes, or none where there is no such file.
pub fn optional(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let failed = || format!("cannot read {}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(failed),
        Ok(found) if found.len() > MOST_BYTES => {
            bail!("{} has {} bytes: no bundle is so large", path.display(), found.len())
        }
        Ok(_) => {}
    }
    fs::read(path).map(Some).with_context(failed)
}

/// A folder that is made here, and must not hold a bundle yet.
pub fn make(folder: &Path) -> anyhow::Result<PathBuf> {
    if folder.join(COMMITMENT).exists() || folder.join(SECRET_LEAVES).exists() {
        bail!("{} holds a bundle already; choose another folder", folder.display());
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.to_owned())
}

fn bytes_of_hex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes = digits.chunks(2).map(pair).collect::<Option<Vec<u8>>>();
    bytes.filter(|_| digits.len().is_multiple_of(2)).context("the packed token is not hexadecimal")
}

//! A model in the cache, and whether it still is what the hub said.

use std::path::{Path, PathBuf};

use super::cache::{RepoCache, at};
use super::choose::Weights;
use super::digest::{Digest, sha256_of};
use super::listing::Entry;
use super::{HubError, ModelId, Progress};

/// The files of a model at one commit, complete, in the cache.
#[derive(Clone, Debug)]
pub struct Snapshot {
    dir: PathBuf,
    id: ModelId,
    commit: String,
    files: Vec<SnapshotFile>,
    gguf: Option<String>,
}

/// One file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotFile {
    /// Its name in the repository.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, 64 hexadecimal digits. For large files the one that the hub stated and that was checked when they
    /// arrived; for others computed now.
    pub sha256: String,
    stated: Option<Digest>,
}

impl SnapshotFile {
    /// The hash that the hub states, in hexadecimal: SHA-256 of large files, git's SHA-1 of others. Nothing where the
    /// cache does not keep it, as on systems without links.
    pub fn stated(&self) -> Option<String> {
        self.stated.map(|digest| digest.to_string())
    }
}

impl Snapshot {
    pub(super) fn new(
        cache: &RepoCache,
        id: &ModelId,
        commit: &str,
        weights: &Weights<'_>,
        entries: Vec<Entry>,
    ) -> Result<Self, HubError> {
        let dir = cache.snapshot(commit);
        let file = |entry: Entry| {
            let path = dir.join(&entry.name);
            let sha256 = match entry.digest {
                Some(digest @ Digest::Sha256(_)) => digest.to_string(),
                _ => sha256_of(&path, &mut |_| {}).map_err(at(&path))?,
            };
            let size = std::fs::metadata(&path).map_err(at(&path))?.len();
            Ok(SnapshotFile { name: entry.name, size, sha256, stated: entry.digest })
        };
        let files = entries.into_iter().map(file).collect::<Result<_, HubError>>()?;
        let gguf = match weights {
            Weights::File(entry) if super::id::is_gguf(&entry.name) => Some(entry.name.clone()),
            _ => None,
        };
        Ok(Self { dir, id: id.clone(), commit: commit.to_owned(), files, gguf })
    }

    /// The folder of the snapshot.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What a loader opens: the folder, or the GGUF file.
    pub fn model(&self) -> PathBuf {
        self.gguf.as_ref().map_or_else(|| self.dir.clone(), |file| self.dir.join(file))
    }

    /// The model.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// The commit, 40 hexadecimal digits.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The files, weights last.
    pub fn files(&self) -> &[SnapshotFile] {
        &self.files
    }

    /// Hashes all files again and gives those that are not what the hub stated when they were fetched. The progress
    /// counts the bytes hashed.
    pub fn verify(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Vec<Damage> {
        let damage = |file: &SnapshotFile| {
            let found = self.look_again(file, progress)?;
            Some(Damage { file: file.name.clone(), stated: file.stated(), found })
        };
        self.files.iter().filter_map(damage).collect()
    }

    fn look_again(
        &self,
        file: &SnapshotFile,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Option<Found> {
        let Some(stated) = file.stated else { return Some(Found::NothingStated) };
        let mut done = 0;
        let mut step = |bytes| {
            done += bytes;
            progress(Progress { file: &file.name, done, total: file.size });
        };
        match stated.of_file(&self.dir.join(&file.name), &mut step) {
            Ok(found) if found == stated => None,
            Ok(found) => Some(Found::Hash(found.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Found::Missing),
            Err(error) => Some(Found::Unreadable(error.to_string())),
        }
    }
}

/// A file that is not what the hub stated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Its name in the repository.
    pub file: String,
    /// The hash that the hub stated.
    pub stated: Option<String>,
    /// What is there instead.
    pub found: Found,
}

/// What is found in place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// A file with this hash, of the same kind as the one stated.
    Hash(String),
    /// No file.
    Missing,
    /// A file that cannot be read, and why.
    Unreadable(String),
    /// A file for which the cache does not keep the hub's hash; fetch the model again to have it checked.
    NothingStated,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stated = self.stated.as_deref().unwrap_or("a hash that is not known");
        match &self.found {
            Found::Hash(found) => {
                write!(f, "{}: has the hash {found} instead of {stated}", self.file)
            }
            Found::Missing => write!(f, "{}: is missing", self.file),
            Found::Unreadable(why) => write!(f, "{}: cannot be read: {why}", self.file),
            Found::NothingStated => {
                write!(f, "{}: the cache does not say what its hash should be", self.file)
            }
        }
    }
}

//! Models from a Hugging Face hub, or a mirror of one, into the cache that other tools share.
//!
//! What arrives is what the hub's listing named, or nothing: every file is checked against the hash the hub states for
//! it (SHA-256 for large files, git's SHA-1 for small ones) before it gets its name in the cache. Pickle files are never
//! fetched. A download that was cut goes on where it stopped, in the same run and in the next one.
//!
//! ```no_run
//! use touchmark::hub::{Hub, ModelId, Revision, Settings};
//!
//! let hub = Hub::new(Settings::from_env()?)?;
//! let id: ModelId = "HuggingFaceTB/SmolLM2-135M-Instruct".parse()?;
//! let snapshot = hub.fetch(&id, &Revision::default(), &mut |progress| {
//!     println!("{}: {} of {} bytes", progress.file, progress.done, progress.total);
//! })?;
//! println!("{} at commit {}", snapshot.id(), snapshot.commit());
//! for file in snapshot.files() {
//!     println!("{}  {} bytes  sha256 {}", file.name, file.size, file.sha256);
//! }
//! let damaged = snapshot.verify(&mut |_| {});
//! assert!(damaged.is_empty());
//! let model = snapshot.model(); // a folder with safetensors, or one GGUF file
//! # drop(model);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The cache
//!
//! ```text
//! <cache>/models--org--name/refs/<branch or tag>          the commit it was when last fetched
//! <cache>/models--org--name/snapshots/<commit>/<file>     a link to the blob
//! <cache>/models--org--name/blobs/<hash>                  the bytes; <hash>.incomplete while they arrive
//! <cache>/.locks/models--org--name/<hash>.lock            held while a blob is written
//! ```
//!
//! Layout, names and locks are those of `huggingface_hub`, so both find each other's files. Weights are fetched last and
//! a ref is written after them, so an interrupted fetch never hides the complete snapshot that was there before. A second
//! process that wants the same file waits until the first has it.
//!
//! Files come by plain HTTP; the public hub serves none above 50 GB that way.

mod cache;
mod choose;
mod client;
mod digest;
mod download;
mod error;
mod id;
mod listing;
mod settings;
mod snapshot;

use std::path::PathBuf;

pub use digest::sha256_of;
pub use error::{Denial, HubError};
pub use id::{ModelId, Revision};
pub use settings::{Patience, Settings, Token};
pub use snapshot::{Damage, Found, Snapshot, SnapshotFile};

use cache::RepoCache;
use choose::{Choice, Weights};
use client::Client;
use download::Download;
use listing::{Entry, Listing};

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Its name in the repository.
    pub file: &'a str,
    /// Bytes there.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// A hub and the cache in front of it.
#[derive(Debug)]
pub struct Hub {
    client: Client,
}

impl Hub {
    /// A hub with these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// [`HubError::Endpoint`] or [`HubError::Certificates`] when a setting cannot be used.
    pub fn new(settings: Settings) -> Result<Self, HubError> {
        Ok(Self { client: Client::new(settings)? })
    }

    /// The settings in use.
    pub fn settings(&self) -> &Settings {
        self.client.settings()
    }

    /// Brings what is needed to run a model into the cache: configuration, tokenizer, chat template, and the weights as
    /// safetensors (one file, or an index with its shards) or as one GGUF file. Files that are there already are not
    /// fetched again. Offline, this is [`Hub::cached`].
    ///
    /// # Errors
    /// [`HubError`]. What had arrived of the file at fault stays as `<hash>.incomplete` unless its content was wrong.
    pub fn fetch(
        &self,
        id: &ModelId,
        revision: &Revision,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Snapshot, HubError> {
        if self.settings().offline {
            return self.cached(id, revision);
        }
        let listing = Listing::of(&self.client, id, revision)?;
        let choice = choose::choose(id, revision, &listing.entries)?;
        let cache = self.cache(id);
        let mut get =
            |entry: &Entry| self.bring(&cache, id, &listing.commit, entry, &mut *progress);
        let mut entries = Vec::new();
        for entry in &choice.small {
            entries.push(get(entry)?);
        }
        for entry in self.weights(&cache, id, &listing, &choice)? {
            entries.push(get(entry)?);
        }
        cache.write_ref(revision, &listing.commit)?;
        Snapshot::new(&cache, id, &listing.commit, &choice.weights, entries)
    }

    /// Brings what describes a model into the cache, without its weights: configuration, tokenizer, chat template. Gives
    /// their folder; for a model in one GGUF file, which holds all that itself, the file. Offline, of [`Hub::cached`].
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn fetch_description(
        &self,
        id: &ModelId,
        revision: &Revision,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, HubError> {
        if self.settings().offline {
            return Ok(self.cached(id, revision)?.model());
        }
        let listing = Listing::of(&self.client, id, revision)?;
        let choice = choose::choose(id, revision, &listing.entries)?;
        let cache = self.cache(id);
        let folder = cache.snapshot(&listing.commit);
        if let Weights::File(entry) = choice.weights
            && id::is_gguf(&entry.name)
        {
            self.bring(&cache, id, &listing.commit, entry, progress)?;
            return Ok(folder.join(&entry.name));
        }
        for entry in &choice.small {
            self.bring(&cache, id, &listing.commit, entry, progress)?;
        }
        Ok(folder)
    }

    /// The complete snapshot of a model that the cache holds, without network.
    ///
    /// # Errors
    /// [`HubError::NotCached`] naming what is missing.
    pub fn cached(&self, id: &ModelId, revision: &Revision) -> Result<Snapshot, HubError> {
        let cache = self.cache(id);
        let missing = |what: String| HubError::NotCached {
            id: id.clone(),
            revision: revision.clone(),
            cache: self.settings().cache.clone(),
            offline: self.settings().offline,
            missing: what,
        };
        let commit = cache
            .commit_of(revision)?
            .ok_or_else(|| missing("the commit of this revision".to_owned()))?;
        let entries = cache.entries(&commit)?;
        let choice =
            choose::choose(id, revision, &entries).map_err(|error| match error.missing_file() {
                Some(file) => missing(file),
                None => error,
            })?;
        let mut found: Vec<Entry> = choice.small.iter().map(|entry| (*entry).clone()).collect();
        match &choice.weights {
            Weights::Sharded(index) => {
                let index = cache.read(&commit, index)?;
                for name in choose::shards(&index)? {
                    let entry = entries.iter().find(|entry| entry.name == name);
                    found.push(entry.cloned().ok_or_else(|| missing(name))?);
                }
            }
            Weights::File(weights) => found.push((*weights).clone()),
        }
        Snapshot::new(&cache, id, &commit, &choice.weights, found)
    }

    fn cache(&self, id: &ModelId) -> RepoCache {
        RepoCache::new(&self.settings().cache, id)
    }

    /// The entries that hold the weights; of a sharded model, those that its index names.
    fn weights<'a>(
        &self,
        cache: &RepoCache,
        id: &ModelId,
        listing: &'a Listing,
        choice: &Choice<'a>,
    ) -> Result<Vec<&'a Entry>, HubError> {
        match &choice.weights {
            Weights::File(entry) => Ok(vec![*entry]),
            Weights::Sharded(index) => {
                let names = choose::shards(&cache.read(&listing.commit, index)?)?;
                let find = |name: String| {
                    listing.entries.iter().find(|entry| entry.name == name).ok_or_else(|| {
                        HubError::NoFile {
                            id: id.clone(),
                            revision: listing.commit.clone(),
                            file: name,
                        }
                    })
                };
                names.into_iter().map(find).collect()
            }
        }
    }

    /// One file into the cache and the snapshot.
    fn bring(
        &self,
        cache: &RepoCache,
        id: &ModelId,
        commit: &str,
        entry: &Entry,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Entry, HubError> {
        let entry = self.client.completed(id, commit, entry)?;
        let (Some(digest), Some(size)) = (entry.digest, entry.size) else {
            return Err(HubError::Answer {
                what: format!(
                    "neither the listing nor the headers state size and hash of {}",
                    entry.name
                ),
            });
        };
        Download { client: &self.client, cache, id, commit, name: &entry.name, digest, size }
            .run(progress)?;
        cache.link(commit, &entry.name, digest)?;
        Ok(entry)
    }
}

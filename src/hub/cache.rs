//! The layout that Hugging Face's tools share: blobs under their hashes, snapshots that link to them, refs, and locks.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::id::{check_file_name, is_commit};
use super::listing::Entry;
use super::{HubError, ModelId, Revision};

/// What `read` takes into memory at most: an index of a thousand shards has a few megabytes.
const READ_LIMIT: u64 = 64 << 20;

/// The part of the cache that belongs to one repository.
#[derive(Clone, Debug)]
pub(super) struct RepoCache {
    root: PathBuf,
    folder: String,
}

/// Held while a blob is written.
pub(super) struct Lock {
    _file: File,
}

impl RepoCache {
    pub(super) fn new(root: &Path, id: &ModelId) -> Self {
        let folder = format!("models--{}", id.repository().replace('/', "--"));
        Self { root: root.to_owned(), folder }
    }

    fn home(&self) -> PathBuf {
        self.root.join(&self.folder)
    }

    pub(super) fn blob(&self, digest: Digest) -> PathBuf {
        self.home().join("blobs").join(digest.to_string())
    }

    /// Where a blob's bytes are gathered.
    pub(super) fn partial(&self, digest: Digest) -> PathBuf {
        self.home().join("blobs").join(format!("{digest}.incomplete"))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.home().join("snapshots").join(commit)
    }

    /// Whether a blob of this size is there.
    pub(super) fn has(&self, digest: Digest, size: u64) -> bool {
        std::fs::metadata(self.blob(digest))
            .is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Waits for a blob's lock and holds it. The operating system lets go of it when the process ends.
    pub(super) fn lock(&self, digest: Digest) -> Result<Lock, HubError> {
        let path = self.root.join(".locks").join(&self.folder).join(format!("{digest}.lock"));
        make_parent(&path)?;
        let file = File::options().create(true).append(true).open(&path).map_err(at(&path))?;
        file.lock().map_err(at(&path))?;
        Ok(Lock { _file: file })
    }

    /// Gives a blob its name in a snapshot.
    pub(super) fn link(&self, commit: &str, name: &str, digest: Digest) -> Result<(), HubError> {
        let pointer = self.snapshot(commit).join(name);
        let ups = "../".repeat(2 + name.matches('/').count());
        let target = PathBuf::from(format!("{ups}blobs/{digest}"));
        if std::fs::read_link(&pointer).is_ok_and(|found| found == target) {
            return Ok(());
        }
        make_parent(&pointer)?;
        // Made beside and renamed, so that whoever reads meanwhile finds the old file or the new one.
        let folder = pointer.parent().unwrap_or(&pointer);
        let beside = tempfile::tempdir_in(folder).map_err(at(&pointer))?;
        let made = beside.path().join("link");
        symlink(&target, &made)
            .or_else(|_| std::fs::hard_link(self.blob(digest), &made))
            .and_then(|()| std::fs::rename(&made, &pointer))
            .map_err(at(&pointer))
    }

    /// Notes which commit a branch or tag is.
    pub(super) fn write_ref(&self, revision: &Revision, commit: &str) -> Result<(), HubError> {
        let path = self.ref_path(revision);
        if revision.is_commit() || std::fs::read_to_string(&path).is_ok_and(|found| found == commit)
        {
            return Ok(());
        }
        make_parent(&path)?;
        let folder = path.parent().unwrap_or(&path);
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(at(&path))?;
        file.write_all(commit.as_bytes()).map_err(at(&path))?;
        file.persist(&path).map_err(|error| at(&path)(error.error))?;
        Ok(())
    }

    /// The commit that a revision was when it was last fetched.
    pub(super) fn commit_of(&self, revision: &Revision) -> Result<Option<String>, HubError> {
        if revision.is_commit() {
            let there = self.snapshot(revision.as_str()).is_dir();
            return Ok(there.then(|| revision.to_string()));
        }
        let path = self.ref_path(revision);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|commit| is_commit(commit))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(source) => Err(HubError::Cache { path, source }),
        }
    }

    /// The files of a snapshot whose blobs are there.
    pub(super) fn entries(&self, commit: &str) -> Result<Vec<Entry>, HubError> {
        let root = self.snapshot(commit);
        let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            let listed = match std::fs::read_dir(&folder) {
                Ok(listed) => listed,
                Err(error) if is_absent(&error) => continue,
                Err(source) => return Err(HubError::Cache { path: folder, source }),
            };
            for item in listed {
                let item = item.map_err(at(&folder))?;
                let path = item.path();
                if item.file_type().map_err(at(&path))?.is_dir() {
                    folders.push(path);
                } else if let Some(entry) = self.entry(&root, &path)? {
                    found.push(entry);
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn entry(&self, root: &Path, path: &Path) -> Result<Option<Entry>, HubError> {
        let Ok(metadata) = std::fs::metadata(path) else {
            return Ok(None); // the blob has been removed
        };
        let inside = path.strip_prefix(root).ok().and_then(Path::to_str);
        let name = inside.map(|name| name.replace(std::path::MAIN_SEPARATOR, "/"));
        let Some(name) = name.filter(|name| check_file_name(name).is_ok() && metadata.is_file())
        else {
            return Ok(None);
        };
        Ok(Some(Entry { name, size: Some(metadata.len()), digest: self.linked(path)? }))
    }

    /// The blob that a link leads to; nothing where the file is no link, as on systems without them.
    fn linked(&self, path: &Path) -> Result<Option<Digest>, HubError> {
        let Ok(target) = std::fs::read_link(path) else { return Ok(None) };
        let foreign = || HubError::ForeignLink { path: path.to_owned() };
        let name = target.file_name().and_then(|name| name.to_str());
        let digest = name.and_then(Digest::parse).ok_or_else(foreign)?;
        let same =
            std::fs::canonicalize(path).ok() == std::fs::canonicalize(self.blob(digest)).ok();
        if same { Ok(Some(digest)) } else { Err(foreign()) }
    }

    /// A small file of a snapshot.
    pub(super) fn read(&self, commit: &str, name: &str) -> Result<Vec<u8>, HubError> {
        let path = self.snapshot(commit).join(name);
        let mut content = Vec::new();
        let file = File::open(&path).map_err(at(&path))?;
        file.take(READ_LIMIT).read_to_end(&mut content).map_err(at(&path))?;
        Ok(content)
    }

    fn ref_path(&self, revision: &Revision) -> PathBuf {
        self.home().join("refs").join(revision.as_str())
    }
}

/// Whether nothing is there; a file where a folder should be counts, since a tag `a/b` may follow a tag `a`.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Names the file in an error of the system.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> HubError + '_ {
    move |source| HubError::Cache { path: path.to_owned(), source }
}

pub(super) fn make_parent(path: &Path) -> Result<(), HubError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(at(folder))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

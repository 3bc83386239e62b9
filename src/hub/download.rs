//! One file into the cache: resumed where it stopped, checked while it arrives, named only when it is right.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use ureq::Body;
use ureq::http::Response;

use super::cache::{RepoCache, at, make_parent};
use super::client::{Asked, Client, Failure};
use super::digest::{Digest, Hasher};
use super::{HubError, ModelId, Progress};

/// An attempt that brought this much counts as progress, so that a server which cuts after every few bytes is given up.
const PROGRESS: u64 = 64 << 10;

/// A file to be brought, and what the hub states of it.
pub(super) struct Download<'a> {
    pub client: &'a Client,
    pub cache: &'a RepoCache,
    pub id: &'a ModelId,
    pub commit: &'a str,
    pub name: &'a str,
    pub digest: Digest,
    pub size: u64,
}

impl Download<'_> {
    /// Brings the file, unless a blob of its name and size is there.
    pub(super) fn run(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
        let mut told = |done| progress(Progress { file: self.name, done, total: self.size });
        if self.cache.has(self.digest, self.size) {
            told(self.size);
            return Ok(());
        }
        let _lock = self.cache.lock(self.digest)?;
        // Another process may have brought it while this one waited.
        if self.cache.has(self.digest, self.size) {
            told(self.size);
            return Ok(());
        }
        let mut partial = Partial::open(self)?;
        let resumed = partial.length > 0;
        self.fill(&mut partial, &mut told)?;
        let mut got = partial.hash();
        // What an earlier run left may have been bad; what this run brought whole is not asked for twice.
        if got != self.digest && resumed {
            partial.restart()?;
            self.fill(&mut partial, &mut told)?;
            got = partial.hash();
        }
        if got != self.digest {
            partial.discard();
            return Err(HubError::WrongHash {
                file: self.name.to_owned(),
                expected: self.digest.to_string(),
                got: got.to_string(),
            });
        }
        partial.publish()
    }

    /// Gets what is missing, with as many attempts as it takes or is allowed.
    fn fill(&self, partial: &mut Partial<'_>, told: &mut dyn FnMut(u64)) -> Result<(), HubError> {
        let mut backoff = self.client.backoff();
        told(partial.length);
        while partial.length < self.size {
            let before = partial.length;
            let Err(failure) = self.attempt(partial, told) else { continue };
            if partial.length >= before + PROGRESS {
                backoff.progressed();
            }
            backoff.after(failure)?;
        }
        Ok(())
    }

    fn attempt(&self, partial: &mut Partial<'_>, told: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        let asked = Asked { id: self.id, revision: self.commit, file: Some(self.name) };
        let (answer, host) = self.client.open(asked, partial.length)?;
        self.align(&answer, &host, partial)?;
        let mut body = answer.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(self.client.broken(error, &host, asked, partial.length));
                }
            };
            if partial.length + read as u64 > self.size {
                return Err(self.wrong_size(partial, partial.length + read as u64).into());
            }
            partial.write(&buffer[..read])?;
            told(partial.length);
        }
        if partial.length < self.size {
            let (what, got) = (self.name.to_owned(), partial.length);
            return Err(Failure::Passing(HubError::Cut { host, what, got }));
        }
        Ok(())
    }

    /// Makes the partial file end where the answer begins: a server may ignore the range, or not have it.
    fn align(
        &self,
        answer: &Response<Body>,
        host: &str,
        partial: &mut Partial<'_>,
    ) -> Result<(), Failure> {
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        match answer.status().as_u16() {
            206 => {
                let range = header("content-range").and_then(range_of);
                if range.is_some_and(|(start, _)| start == partial.length) {
                    return match range {
                        Some((_, Some(size))) if size != self.size => {
                            Err(self.wrong_size(partial, size).into())
                        }
                        _ => Ok(()),
                    };
                }
                partial.restart()?;
                let what = format!("another range of {} than was asked for", self.name);
                Err(Failure::Passing(HubError::Answer { what }))
            }
            200 => {
                partial.restart()?;
                let size = header("content-length").and_then(|size| size.parse().ok());
                match size {
                    Some(size) if size != self.size => Err(self.wrong_size(partial, size).into()),
                    _ => Ok(()),
                }
            }
            status => {
                partial.restart()?;
                let (host, what) = (host.to_owned(), self.name.to_owned());
                Err(Failure::Passing(HubError::Status { host, what, status }))
            }
        }
    }

    fn wrong_size(&self, partial: &Partial<'_>, got: u64) -> HubError {
        partial.discard();
        HubError::WrongSize { file: self.name.to_owned(), expected: self.size, got }
    }
}

/// Start and, where it is known, whole size of `bytes start-end/size`.
fn range_of(header: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    Some((start, size.parse().ok()))
}

/// The bytes of a blob that are there, and their hash so far.
struct Partial<'a> {
    download: &'a Download<'a>,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    length: u64,
}

impl<'a> Partial<'a> {
    /// Opens what an earlier run left, or begins.
    fn open(download: &'a Download<'a>) -> Result<Self, HubError> {
        let path = download.cache.partial(download.digest);
        make_parent(&path)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(at(&path))?;
        let mut hasher = download.digest.hasher(download.size);
        let mut length = file.metadata().map_err(at(&path))?.len();
        if length > download.size {
            file.set_len(0).map_err(at(&path))?;
            length = 0;
        }
        hasher.update_from(&mut (&mut file).take(length), &mut |_| {}).map_err(at(&path))?;
        Ok(Self { download, path, file, hasher, length })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(|source| self.failed(source))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), HubError> {
        if self.length == 0 {
            return Ok(());
        }
        let begun = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        begun.map_err(|source| self.failed(source))?;
        self.hasher = self.download.digest.hasher(self.download.size);
        self.length = 0;
        Ok(())
    }

    /// The hash of all bytes; the next ones begin a new hash.
    fn hash(&mut self) -> Digest {
        let fresh = self.download.digest.hasher(self.download.size);
        std::mem::replace(&mut self.hasher, fresh).finish()
    }

    /// Removes the file: its content is wrong. What cannot be removed is found wrong again by the next run.
    fn discard(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    /// Gives the file its final name, once it is on the disk.
    fn publish(self) -> Result<(), HubError> {
        self.file.sync_all().map_err(|source| self.failed(source))?;
        let blob = self.download.cache.blob(self.download.digest);
        std::fs::rename(&self.path, &blob).map_err(at(&blob))
    }

    fn failed(&self, source: io::Error) -> HubError {
        let path = self.path.clone();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return HubError::DiskFull { path, needed: self.download.size - self.length };
        }
        HubError::Cache { path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(range_of("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range_of("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes */10", "bytes x-9/10", "5-9/10"] {
            assert_eq!(range_of(bad), None, "{bad}");
        }
    }
}

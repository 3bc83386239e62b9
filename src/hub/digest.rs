//! The two hashes by which a hub names files.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A file's hash as the hub states it; also the blob's name in the cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Digest {
    /// SHA-256 of the content: files kept in large-file storage.
    Sha256([u8; 32]),
    /// SHA-1 of `"blob " + size + "\0" + content`, as git hashes: all others.
    Git([u8; 20]),
}

impl Digest {
    /// Reads 64 hexadecimal digits as SHA-256, 40 as git's hash.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let bytes = bytes.filter(|_| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        match text.len() {
            64 => Some(Self::Sha256(bytes.try_into().ok()?)),
            40 => Some(Self::Git(bytes.try_into().ok()?)),
            _ => None,
        }
    }

    /// Reads an entity tag: `"<hash>"`, also in its weak form.
    pub(super) fn from_etag(text: &str) -> Option<Self> {
        Self::parse(text.trim_start_matches("W/").trim_matches('"'))
    }

    /// A hasher of the same kind for a file of `size` bytes.
    pub(super) fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Git(_) => {
                let mut sha1 = Sha1::new();
                sha1.update(format!("blob {size}\0"));
                Hasher::Git(sha1)
            }
        }
    }

    /// The hash of the same kind of a file on disk.
    pub(super) fn of_file(&self, path: &Path, step: &mut dyn FnMut(u64)) -> io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let mut hasher = self.hasher(file.metadata()?.len());
        hasher.update_from(&mut file, step)?;
        Ok(hasher.finish())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Self::Sha256(bytes) => bytes,
            Self::Git(bytes) => bytes,
        };
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self, Self::Sha256(_)) { "sha256" } else { "git" };
        write!(f, "{kind}:{self}")
    }
}

/// A hash in the making.
pub(super) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    /// Takes in all that a reader gives, telling after each piece how many bytes it was.
    pub(super) fn update_from(
        &mut self,
        reader: &mut dyn Read,
        step: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.update(&buffer[..read]);
            step(read as u64);
        }
    }

    pub(super) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::Sha256(hasher.finalize().into()),
            Self::Git(hasher) => Digest::Git(hasher.finalize().into()),
        }
    }
}

/// SHA-256 of a file, 64 hexadecimal digits; `step` is told the bytes of each piece.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_of(path: &Path, step: &mut dyn FnMut(u64)) -> io::Result<String> {
    Ok(Digest::Sha256([0; 32]).of_file(path, step)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git_and_sha256sum() {
        // `printf 'hello\n' | git hash-object --stdin` and `printf 'hello\n' | sha256sum`.
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        for expected in [git, sha256] {
            let mut hasher = Digest::parse(expected).unwrap().hasher(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            assert_eq!(hasher.finish().to_string(), expected);
        }
    }

    #[test]
    fn only_the_two_lengths_of_hexadecimal_are_hashes() {
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert!(Digest::from_etag(&format!("\"{git}\"")).is_some());
        assert_eq!(Digest::from_etag(&format!("W/\"{git}\"")), Digest::parse(git));
        for bad in ["", "ce01", "../../../../../etc/passwd", &"g".repeat(40), &"+1".repeat(20)] {
            assert!(Digest::from_etag(bad).is_none(), "{bad} was accepted");
        }
    }
}

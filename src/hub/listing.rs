//! What a hub says is in a repository.

use serde::Deserialize;

use super::client::Client;
use super::digest::Digest;
use super::id::{check_file_name, is_commit};
use super::{HubError, ModelId, Revision};

/// One file of a repository or of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub size: Option<u64>,
    pub digest: Option<Digest>,
}

/// The files of a repository at one commit.
#[derive(Debug)]
pub(super) struct Listing {
    pub commit: String,
    pub entries: Vec<Entry>,
}

/// `GET /api/models/{id}/revision/{revision}?blobs=true`, as far as it is needed.
#[derive(Deserialize)]
struct Wire {
    sha: String,
    #[serde(default)]
    siblings: Vec<WireFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFile {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<WireLfs>,
}

#[derive(Deserialize)]
struct WireLfs {
    sha256: String,
    size: u64,
}

impl Listing {
    pub(super) fn of(client: &Client, id: &ModelId, revision: &Revision) -> Result<Self, HubError> {
        Self::parse(&client.listing(id, revision)?)
    }

    fn parse(json: &[u8]) -> Result<Self, HubError> {
        let wire: Wire = serde_json::from_slice(json).map_err(|error| HubError::Answer {
            what: format!("the listing is not JSON of its form: {error}"),
        })?;
        // The commit becomes the name of a folder.
        if !is_commit(&wire.sha) {
            return Err(HubError::Answer { what: "the listing names no commit".to_owned() });
        }
        let entries = wire.siblings.into_iter().map(Entry::try_from).collect::<Result<_, _>>()?;
        Ok(Self { commit: wire.sha, entries })
    }
}

impl TryFrom<WireFile> for Entry {
    type Error = HubError;

    fn try_from(file: WireFile) -> Result<Self, HubError> {
        if let Err(why) = check_file_name(&file.rfilename) {
            return Err(HubError::HostileName { name: file.rfilename, why });
        }
        let (size, hash) = match file.lfs {
            Some(lfs) => (Some(lfs.size), Some(lfs.sha256)),
            None => (file.size, file.blob_id),
        };
        let digest = match hash {
            Some(hash) => Some(Digest::parse(&hash).ok_or_else(|| HubError::Answer {
                what: format!("the listing states no hash for {}", file.rfilename),
            })?),
            None => None,
        };
        Ok(Self { name: file.rfilename, size, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parse(siblings: &str) -> Result<Listing, HubError> {
        Listing::parse(format!(r#"{{"sha": "{COMMIT}", "siblings": [{siblings}]}}"#).as_bytes())
    }

    #[test]
    fn large_files_are_named_by_sha256_and_small_ones_by_git() {
        let sha256 = "5".repeat(64);
        let listing = parse(&format!(
            r#"{{"rfilename": "a", "size": 7, "blobId": "{COMMIT}"}},
               {{"rfilename": "b", "size": 9, "blobId": "{COMMIT}", "lfs": {{"sha256": "{sha256}", "size": 9, "pointerSize": 130}}}},
               {{"rfilename": "c"}}"#
        ))
        .unwrap();
        let found: Vec<_> = listing
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.size, entry.digest.map(|it| it.to_string())))
            .collect();
        assert_eq!(
            found,
            [
                ("a", Some(7), Some(COMMIT.to_owned())),
                ("b", Some(9), Some(sha256)),
                ("c", None, None)
            ]
        );
    }

    #[test]
    fn listings_that_would_write_elsewhere_are_refused() {
        for name in ["../x", "/etc/passwd", "a/../../x", "a\\\\b", ""] {
            let error = parse(&format!(r#"{{"rfilename": "{name}"}}"#)).unwrap_err();
            assert!(matches!(error, HubError::HostileName { .. }), "{name}: {error}");
        }
        let error = parse(r#"{"rfilename": "a", "blobId": "../../x"}"#).unwrap_err();
        assert!(matches!(error, HubError::Answer { .. }), "{error}");
        for body in ["", "<html>", "{}", r#"{"sha": "../../x"}"#, r#"{"sha": "main"}"#] {
            assert!(
                matches!(Listing::parse(body.as_bytes()), Err(HubError::Answer { .. })),
                "{body}"
            );
        }
    }
}

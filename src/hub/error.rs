//! Why a model cannot be had.

use std::path::PathBuf;
use std::time::Duration;

use super::{ModelId, Revision};

/// Why a model cannot be had. Never carries a token, nor the address of a storage host with its signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Not a model's name.
    #[error("\"{given}\" is not the name of a model on a hub: {why}")]
    ModelId {
        /// What was given.
        given: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not a revision's name.
    #[error("\"{given}\" is not a branch, tag or commit")]
    Revision {
        /// What was given.
        given: String,
    },
    /// No home folder.
    #[error("no home folder is known; set HF_HOME to the folder where models shall be kept")]
    NoHome,
    /// The endpoint is not an address.
    #[error(
        "HF_ENDPOINT must be an address such as https://huggingface.co, without user, password or query"
    )]
    Endpoint,
    /// A token that no header can carry.
    #[error(
        "the access token has characters that no token has; check HF_TOKEN and the token's file"
    )]
    Token,
    /// The file of certificate authorities cannot be used.
    #[error("{} holds no usable certificates; check SSL_CERT_FILE", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
    },
    /// 401 or 403.
    #[error("{}", denial(id, endpoint, *reason, *with_token))]
    Denied {
        /// The model.
        id: ModelId,
        /// The hub.
        endpoint: String,
        /// What the hub says.
        reason: Denial,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// 404 for the repository.
    #[error("{endpoint} has no model \"{}\"; check its name", id.repository())]
    NoModel {
        /// The model.
        id: ModelId,
        /// The hub.
        endpoint: String,
    },
    /// 404 for the revision.
    #[error("model \"{}\" has no revision \"{revision}\"; give a branch, tag or commit that its page lists", id.repository())]
    NoRevision {
        /// The model.
        id: ModelId,
        /// The revision.
        revision: String,
    },
    /// A file that is needed is not in the repository.
    #[error("model \"{}\" at revision {revision} has no file {file}", id.repository())]
    NoFile {
        /// The model.
        id: ModelId,
        /// The revision or commit.
        revision: String,
        /// The file.
        file: String,
    },
    /// The weights are there only as pickles.
    #[error(
        "model \"{}\" has its weights only as pickle files, which can run code when they are read and are refused: {}; ask for a revision or a copy with .safetensors or .gguf",
        id.repository(), files.join(", ")
    )]
    PickleOnly {
        /// The model.
        id: ModelId,
        /// The pickles.
        files: Vec<String>,
    },
    /// No weights that can be used.
    #[error("model \"{}\" has neither model.safetensors, nor its index, nor a .gguf file", id.repository())]
    NoWeights {
        /// The model.
        id: ModelId,
    },
    /// Several GGUF files.
    #[error("model \"{}\" has {} GGUF files; name one, as in {}:{}:{}",
        id.repository(), files.len(), id.repository(), files[0].0, sizes(files))]
    ManyGguf {
        /// The model.
        id: ModelId,
        /// Names, and sizes in bytes where the hub states them. Never empty.
        files: Vec<(String, Option<u64>)>,
    },
    /// 429 and the hub asks for a longer wait than is allowed, or again and again.
    #[error("{endpoint} asks to come back later (too many requests{}); try again then, or set HF_TOKEN: limits are higher with a token", after(*wait))]
    RateLimited {
        /// The hub.
        endpoint: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// Another status.
    #[error("{host} answers {what} with status {status}; try again later")]
    Status {
        /// The host.
        host: String,
        /// The listing or the file that was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
    },
    /// No connection.
    #[error(
        "cannot reach {host} ({why}); the hub in use is {endpoint} (HF_ENDPOINT); set HF_HUB_OFFLINE=1 to use the cache alone"
    )]
    Unreachable {
        /// The host.
        host: String,
        /// The hub.
        endpoint: String,
        /// What went wrong.
        why: String,
    },
    /// Nothing came for too long.
    #[error("{host} sent nothing of {what} for {} s; try again, what has arrived is kept", waited.as_secs_f32())]
    Timeout {
        /// The host.
        host: String,
        /// The listing or the file that was asked for.
        what: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The connection ended early.
    #[error(
        "the connection to {host} broke in {what} after {got} bytes; try again, what has arrived is kept"
    )]
    Cut {
        /// The host.
        host: String,
        /// The listing or the file that was asked for.
        what: String,
        /// Bytes that have arrived.
        got: u64,
    },
    /// A file of another size than stated.
    #[error(
        "{file} has {got} bytes or more instead of the {expected} that the hub states; nothing of it was kept"
    )]
    WrongSize {
        /// The file.
        file: String,
        /// The size stated.
        expected: u64,
        /// The size that is sent.
        got: u64,
    },
    /// A file with another content than stated.
    #[error(
        "{file} has the hash {got} instead of {expected}, which the hub states; nothing of it was kept. Try again; if it stays so, the mirror or the network alters files"
    )]
    WrongHash {
        /// The file.
        file: String,
        /// The hash stated.
        expected: String,
        /// The hash of what arrived.
        got: String,
    },
    /// A name that leaves the snapshot's folder.
    #[error("the hub lists a file \"{}\", which is refused: {why}", name.escape_default())]
    HostileName {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An answer that is not of this protocol.
    #[error(
        "the hub's answer cannot be used: {what}; check that HF_ENDPOINT is a Hugging Face hub or a mirror of one"
    )]
    Answer {
        /// What is wrong with it.
        what: String,
    },
    /// Not in the cache.
    #[error("{id} at revision {revision} is not complete in the cache {}: missing {missing}; {}", cache.display(),
        if *offline { "allow the network to fetch it (leave out --offline, unset HF_HUB_OFFLINE)" } else { "fetch it first" })]
    NotCached {
        /// The model.
        id: ModelId,
        /// The revision.
        revision: Revision,
        /// The cache.
        cache: PathBuf,
        /// Whether the network was ruled out.
        offline: bool,
        /// What is missing.
        missing: String,
    },
    /// A link of a snapshot that does not lead to a blob of the same model.
    #[error("{} is not a link to a blob of the same model; remove it and fetch the model again", path.display())]
    ForeignLink {
        /// The link.
        path: PathBuf,
    },
    /// No space left.
    #[error("the disk is full: {} needs {needed} more bytes; free some, or set HF_HUB_CACHE to a folder on another disk", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// Bytes still to be written.
        needed: u64,
    },
    /// A file or folder of the cache cannot be read or written.
    #[error("cannot read or write {} in the cache: {source}; check its permissions, or set HF_HUB_CACHE to another folder", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Why a hub denies access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// The model's licence must be accepted first.
    Gated,
    /// The model does not exist, or is private.
    PrivateOrMissing,
    /// The token is refused.
    Token,
}

impl HubError {
    /// The file whose absence this is, where it is one.
    pub(super) fn missing_file(&self) -> Option<String> {
        match self {
            Self::NoFile { file, .. } => Some(file.clone()),
            Self::NoWeights { .. } => Some("the weights".to_owned()),
            _ => None,
        }
    }
}

fn denial(id: &ModelId, endpoint: &str, reason: Denial, with_token: bool) -> String {
    let page = format!("{endpoint}/{}", id.repository());
    let token = if with_token {
        "check that the token in HF_TOKEN belongs to an account with access"
    } else {
        "set HF_TOKEN to a token of an account with access"
    };
    match reason {
        Denial::Gated => {
            format!("{page} is gated: accept its licence on that page, and {token}")
        }
        Denial::PrivateOrMissing => {
            format!("{page} does not exist or is private: check the name, and {token}")
        }
        Denial::Token => format!(
            "{endpoint} refuses access to {}: accept its licence on the model's page if it has one, and {token}",
            id.repository()
        ),
    }
}

fn sizes(files: &[(String, Option<u64>)]) -> String {
    let line = |(name, size): &(String, Option<u64>)| match size {
        Some(size) => format!("\n  {name}  {:.2} GB", *size as f64 / 1e9),
        None => format!("\n  {name}"),
    };
    files.iter().map(line).collect()
}

fn after(wait: Option<Duration>) -> String {
    wait.map(|wait| format!(", wait {} s", wait.as_secs())).unwrap_or_default()
}

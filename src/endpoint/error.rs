//! Why an endpoint cannot be asked at all.

use std::path::PathBuf;

/// Why an endpoint cannot be asked at all. Never carries a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not an address.
    #[error(
        "\"{given}\" is no address of an endpoint; give one such as https://host/v1, without user, password or query"
    )]
    Address {
        /// What was given, without what may be a password.
        given: String,
    },
    /// The environment variable of the key is not set.
    #[error("the environment variable {variable}, which shall hold the API key, is not set")]
    NoVariable {
        /// The variable.
        variable: String,
    },
    /// The file of the key cannot be read.
    #[error("cannot read the API key in {}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key that no header can carry.
    #[error(
        "the API key in {place} is empty or has characters that no key has; one line of visible ASCII is expected"
    )]
    Key {
        /// The variable or the file.
        place: String,
    },
    /// The file of certificate authorities cannot be used.
    #[error("{} holds no usable certificates", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
    },
}

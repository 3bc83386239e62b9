//! A bundle as one file, to be sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The files of a bundle by their names. Text only: that is all a bundle has, but for a time-stamp token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// Version of this form: 1.
    pub touchmark_bundle: u32,
    /// Text of each file.
    pub files: BTreeMap<String, String>,
    /// The time-stamp token, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl Packed {
    /// Whether a file looks like one: it begins as [`to_file`](Self::to_file) begins.
    pub fn is_one(file: &[u8]) -> bool {
        file.starts_with(b"{\n  \"touchmark_bundle\": ")
    }

    /// The file.
    ///
    /// # Errors
    /// [`PackError::Json`].
    pub fn to_file(&self) -> Result<Vec<u8>, PackError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(PackError::Json)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn from_file(file: &[u8]) -> Result<Self, PackError> {
        let packed: Self = serde_json::from_slice(file).map_err(PackError::Json)?;
        if packed.touchmark_bundle != 1 {
            return Err(PackError::Version { got: packed.touchmark_bundle });
        }
        if packed.to_file()? != file {
            return Err(PackError::Changed);
        }
        Ok(packed)
    }
}

/// Why a packed bundle cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// Not one.
    #[error("this is not a packed bundle")]
    Json(#[source] serde_json::Error),
    /// Other bytes than those that are written.
    #[error("the file of this bundle has been changed since it was packed")]
    Changed,
    /// Of another version.
    #[error("this bundle is packed in version {got}; this program reads version 1")]
    Version {
        /// Its version.
        got: u32,
    },
}

//! The secret that an endpoint knows its callers by.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::EndpointError;

/// An API key. Comes from the environment or a file, is sent to its endpoint and nowhere else, and is never printed.
#[derive(Clone)]
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// From an environment variable.
    ///
    /// # Errors
    /// [`EndpointError::NoVariable`], [`EndpointError::Key`].
    pub fn from_env(variable: &str) -> Result<Self, EndpointError> {
        let value = std::env::var_os(variable)
            .ok_or_else(|| EndpointError::NoVariable { variable: variable.to_owned() })?;
        let place = || format!("the environment variable {variable}");
        let text = value.into_string().map_err(|_| EndpointError::Key { place: place() })?;
        Self::new(Zeroizing::new(text), place)
    }

    /// From a file of one line.
    ///
    /// # Errors
    /// [`EndpointError::KeyFile`], [`EndpointError::Key`].
    pub fn from_file(path: &Path) -> Result<Self, EndpointError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| EndpointError::KeyFile { path: path.to_owned(), source })?;
        Self::new(Zeroizing::new(text), || path.display().to_string())
    }

    fn new(text: Zeroizing<String>, place: impl Fn() -> String) -> Result<Self, EndpointError> {
        let key = text.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(EndpointError::Key { place: place() });
        }
        Ok(Self(Zeroizing::new(key.to_owned())))
    }

    /// The value of the header `authorization`.
    pub(super) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", self.0.as_str()))
    }

    /// A text of the endpoint without the key, which some repeat in their refusals.
    pub(super) fn taken_out_of(&self, text: &str) -> String {
        text.replace(self.0.as_str(), "[key]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<ApiKey, EndpointError> {
        ApiKey::new(Zeroizing::new(text.to_owned()), || "here".to_owned())
    }

    #[test]
    fn keys_are_one_visible_word_and_never_shown() {
        let found = key("  sk-abc\n").unwrap();
        assert_eq!(found.header().as_str(), "Bearer sk-abc");
        assert_eq!(format!("{found:?}"), "ApiKey");
        assert_eq!(found.taken_out_of("no such key: sk-abc!"), "no such key: [key]!");
        for bad in ["", " \n", "a b", "a\nb", "schlüssel"] {
            let error = key(bad).unwrap_err();
            assert!(matches!(error, EndpointError::Key { .. }));
            assert!(bad.trim().is_empty() || !error.to_string().contains(bad));
        }
    }
}

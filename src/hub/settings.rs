//! What the environment says about the hub, read once and passed on, so that a test can say it instead.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::HubError;

/// Where the hub and its cache are, and how to speak to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The hub, for example `https://huggingface.co`; a mirror may have a path.
    pub endpoint: String,
    /// The folder that holds `models--org--name`.
    pub cache: PathBuf,
    /// Sent to the endpoint's own host only.
    pub token: Option<Token>,
    /// Use the cache alone.
    pub offline: bool,
    /// A PEM file of certificate authorities to trust instead of the built-in ones, for a mirror with its own.
    pub certificates: Option<PathBuf>,
    /// Whether the variables `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are followed.
    pub proxy: bool,
    /// How long to wait, and how often to try.
    pub patience: Patience,
}

/// How long to wait for a hub, and how often to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in a row without progress before giving up; at least one is made.
    pub attempts: u32,
    /// Pause before the second attempt; it doubles each time.
    pub pause: Duration,
    /// The longest pause, also where the hub asks for more by `Retry-After`: then the error says so at once.
    pub longest_pause: Duration,
    /// How long to wait for a connection, for an answer, and for the next bytes of a body.
    pub timeout: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// The public hub with a cache folder, no token, and nothing taken from the environment.
    pub fn with_cache(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: "https://huggingface.co".to_owned(),
            cache: cache.into(),
            token: None,
            offline: false,
            certificates: None,
            proxy: false,
            patience: Patience::default(),
        }
    }

    /// The settings of the process's environment; see [`Settings::from_lookup`].
    ///
    /// # Errors
    /// As [`Settings::from_lookup`].
    pub fn from_env() -> Result<Self, HubError> {
        let home = || std::env::home_dir().map(PathBuf::into_os_string);
        let lookup = |name: &str| std::env::var_os(name);
        Self::from_lookup(&|name| {
            lookup(name).or_else(|| if name == "HOME" { home() } else { None })
        })
    }

    /// The settings that variables give, with the meaning `huggingface_hub` gives them:
    ///
    /// | variable | sets | otherwise |
    /// |---|---|---|
    /// | `HF_HOME` | home of cache and token | `$XDG_CACHE_HOME/huggingface`, `~/.cache/huggingface` |
    /// | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE` | cache | `$HF_HOME/hub` |
    /// | `HF_ENDPOINT` | endpoint | `https://huggingface.co` |
    /// | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` | token | the file below |
    /// | `HF_TOKEN_PATH` | token's file | `$HF_HOME/token` |
    /// | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | no token | |
    /// | `HF_HUB_OFFLINE` | offline, where it is 1, true, yes or on | online |
    /// | `SSL_CERT_FILE` | certificates | Mozilla's list |
    ///
    /// Empty variables count as unset.
    ///
    /// # Errors
    /// [`HubError::NoHome`] when none of the variables says where the cache is; [`HubError::Cache`] when the token's
    /// file is there but cannot be read; [`HubError::Token`] when a token cannot be sent.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let truth = |name: &str| variable(name).is_some_and(|value| is_true(&value));
        let user = path("HOME");
        let expand = |path: PathBuf| expand_home(path, user.as_deref());
        let home = path("HF_HOME")
            .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(user.as_ref()?.join(".cache").join("huggingface")))
            .map(expand);
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .map(expand)
            .or_else(|| Some(home.as_ref()?.join("hub")))
            .ok_or(HubError::NoHome)?;
        let token_file =
            path("HF_TOKEN_PATH").map(expand).or_else(|| Some(home.as_ref()?.join("token")));
        let token = if truth("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else {
            let given = variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN"));
            token_of(given, token_file.as_deref())?
        };
        let mut settings = Self::with_cache(cache);
        if let Some(endpoint) = variable("HF_ENDPOINT") {
            settings.endpoint = endpoint.to_string_lossy().into_owned();
        }
        settings.token = token;
        settings.offline = truth("HF_HUB_OFFLINE");
        settings.certificates = path("SSL_CERT_FILE");
        settings.proxy = true;
        Ok(settings)
    }
}

fn is_true(value: &OsString) -> bool {
    let value = value.to_string_lossy().to_ascii_lowercase();
    ["1", "true", "yes", "on"].contains(&value.as_str())
}

fn expand_home(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

fn token_of(given: Option<OsString>, file: Option<&Path>) -> Result<Option<Token>, HubError> {
    if let Some(given) = given {
        let text = Zeroizing::new(given.into_string().map_err(|_| HubError::Token)?);
        return Token::new(&text);
    }
    let Some(path) = file else { return Ok(None) };
    match std::fs::read_to_string(path) {
        Ok(text) => Token::new(&Zeroizing::new(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HubError::Cache { path: path.to_owned(), source }),
    }
}

/// An access token of a hub. Overwritten in memory when dropped, and never shown.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token, without the white space around it; nothing where it is empty.
    ///
    /// # Errors
    /// [`HubError::Token`] when it has characters that a header cannot carry.
    pub fn new(text: &str) -> Result<Option<Self>, HubError> {
        let text = text.trim();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HubError::Token);
        }
        Ok((!text.is_empty()).then(|| Self(Zeroizing::new(text.to_owned()))))
    }

    /// The value of the header `Authorization`.
    pub(super) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", self.0.as_str()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Settings, HubError> {
        Settings::from_lookup(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(found.1))
        })
    }

    #[test]
    fn the_cache_is_where_the_first_variable_says() {
        for (variables, cache) in [
            (&[("HOME", "/u")][..], "/u/.cache/huggingface/hub"),
            (&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/h")], "/h/hub"),
            (&[("HOME", "/u"), ("HF_HOME", "~/h")], "/u/h/hub"),
            (&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/o")], "/o"),
            (&[("HUGGINGFACE_HUB_CACHE", "/o"), ("HF_HUB_CACHE", "/c")], "/c"),
            (&[("HOME", "/u"), ("HF_HOME", "")], "/u/.cache/huggingface/hub"),
        ] {
            assert_eq!(of(variables).unwrap().cache, Path::new(cache), "{variables:?}");
        }
        assert!(matches!(of(&[]), Err(HubError::NoHome)));
    }

    #[test]
    fn offline_takes_the_usual_words() {
        for (word, offline) in
            [("1", true), ("TRUE", true), ("yes", true), ("On", true), ("0", false), ("", false)]
        {
            let settings = of(&[("HF_HOME", "/h"), ("HF_HUB_OFFLINE", word)]).unwrap();
            assert_eq!(settings.offline, offline, "{word}");
        }
    }

    #[test]
    fn the_token_comes_from_variable_or_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("token"), "hf_of_file\n").unwrap();
        let header = |variables: &[(&str, &str)]| {
            let settings = of(variables).unwrap();
            assert!(!format!("{settings:?}").contains("hf_"), "{settings:?}");
            settings.token.map(|token| token.header().to_string())
        };
        let other = folder.path().join("other");
        std::fs::write(&other, "hf_other").unwrap();
        assert_eq!(header(&[("HF_HOME", home)]).unwrap(), "Bearer hf_of_file");
        assert_eq!(header(&[("HF_HOME", home), ("HF_TOKEN", " hf_x\n")]).unwrap(), "Bearer hf_x");
        assert_eq!(
            header(&[("HF_HOME", home), ("HF_TOKEN_PATH", other.to_str().unwrap())]).unwrap(),
            "Bearer hf_other"
        );
        assert!(header(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).is_none());
        assert!(header(&[("HF_HOME", "/nowhere")]).is_none());
        let error = of(&[("HF_HOME", home), ("HF_TOKEN", "hf_a\nb")]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hf_a"));
    }
}

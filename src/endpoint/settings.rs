//! Where an endpoint is and how patiently it is asked.

use std::path::PathBuf;
use std::time::Duration;

use super::ApiKey;

/// Where an endpoint is and how it is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its address: `https://host/v1`. Without a path, `/v1` is taken.
    pub base_url: String,
    /// The model to ask for; none takes the only one that the endpoint lists.
    pub model: Option<String>,
    /// The key to ask with.
    pub key: Option<ApiKey>,
    /// How patiently it is asked.
    pub patience: Patience,
    /// Least time between the beginnings of two requests, lengthened by up to a half at random.
    pub interval: Duration,
    /// Whether the proxy that the environment names is used.
    pub proxy: bool,
    /// Certificate authorities to trust instead of the built-in ones, in PEM.
    pub certificates: Option<PathBuf>,
}

impl Settings {
    /// An endpoint without a key, asked as patiently as by default.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: None,
            key: None,
            patience: Patience::default(),
            interval: Duration::ZERO,
            proxy: true,
            certificates: None,
        }
    }
}

/// How long is waited, and how often is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the head of an answer.
    pub first_byte: Duration,
    /// For an attempt as a whole, its body included.
    pub whole: Duration,
    /// Attempts in all.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each, and is shortened by up to a half at random.
    pub pause: Duration,
    /// Longest pause; who asks for a longer one by `Retry-After` is not asked again.
    pub longest_pause: Duration,
    /// Most bytes of a body.
    pub body_bytes: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(120),
            whole: Duration::from_secs(300),
            attempts: 6,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            body_bytes: 8 << 20,
        }
    }
}

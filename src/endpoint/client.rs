//! The requests: what is sent to whom, how long is waited, and when to try again.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{HeaderMap, Method, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::lm::CompleterError;

use super::{EndpointError, Settings, wire};

/// Redirects within the endpoint's own origin that are followed.
const REDIRECTS: usize = 3;
/// Most bytes of an answer's head.
const HEAD_BYTES: usize = 64 << 10;

/// Speaks with one endpoint.
pub(super) struct Client {
    agent: Agent,
    base: Uri,
    settings: Settings,
    /// When the last request began.
    last: Cell<Option<Instant>>,
}

/// Without the agent, which knows the proxy and its password.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// An answer that came whole.
pub(super) struct Reply {
    body: Vec<u8>,
    /// Headers that say who answered.
    pub headers: Vec<(String, String)>,
}

impl Reply {
    /// The body as JSON.
    pub(super) fn json(&self, name: &str) -> Result<Value, CompleterError> {
        serde_json::from_slice(&self.body).map_err(|error| CompleterError::Malformed {
            name: name.to_owned(),
            message: format!(
                "not JSON ({error}): {}",
                wire::shortened(&String::from_utf8_lossy(&self.body))
            ),
        })
    }
}

/// An attempt that failed.
enum Failure {
    /// Another attempt may succeed, after the pause that the endpoint asks for.
    Passing(String, Option<Duration>),
    /// It would fail again.
    Lasting(CompleterError),
}

impl Client {
    pub(super) fn new(settings: Settings) -> Result<Self, EndpointError> {
        let base = address(&settings.base_url)?;
        Ok(Self { agent: agent(&settings)?, base, settings, last: Cell::new(None) })
    }

    /// Host and port, without user or password.
    pub(super) fn host(&self) -> String {
        host_of(&self.base)
    }

    pub(super) fn get(&self, path: &str) -> Result<Reply, CompleterError> {
        self.persist(&Method::GET, path, &[])
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Reply, CompleterError> {
        self.persist(&Method::POST, path, body.to_string().as_bytes())
    }

    /// Tries until there is an answer, a refusal, or no more patience.
    fn persist(&self, method: &Method, path: &str, body: &[u8]) -> Result<Reply, CompleterError> {
        let patience = self.settings.patience;
        let mut failed = 0;
        loop {
            self.keep_distance();
            let (message, asked) = match self.attempt(method, path, body) {
                Ok(reply) => return Ok(reply),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(message, asked)) => (message, asked),
            };
            let doubled = patience.pause.saturating_mul(1 << failed.min(16));
            let pause = asked.unwrap_or_else(|| {
                doubled.min(patience.longest_pause).mul_f64(1.0 - 0.5 * chance())
            });
            failed += 1;
            if failed >= patience.attempts || pause > patience.longest_pause {
                let message = match asked {
                    Some(asked) if pause > patience.longest_pause => {
                        format!("{message}, and asks to wait {} s", asked.as_secs())
                    }
                    _ => message,
                };
                return Err(CompleterError::Unavailable {
                    name: self.host(),
                    attempts: failed,
                    message,
                });
            }
            std::thread::sleep(pause);
        }
    }

    /// Waits until the interval since the last request is over.
    fn keep_distance(&self) {
        if let Some(last) = self.last.get() {
            let interval = self.settings.interval.mul_f64(1.0 + 0.5 * chance());
            std::thread::sleep(interval.saturating_sub(last.elapsed()));
        }
        self.last.set(Some(Instant::now()));
    }

    fn attempt(&self, method: &Method, path: &str, body: &[u8]) -> Result<Reply, Failure> {
        let mut target: Uri = format!("{}/{path}", self.base)
            .parse()
            .map_err(|_| self.refused(0, "an address cannot be formed"))?;
        for _ in 0..=REDIRECTS {
            let answer = self.send(method, &target, body)?;
            let status = answer.status();
            if !status.is_redirection() {
                return self.accepted(answer);
            }
            let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| joined(&target, location));
            // 301 to 303 turn a question into a look at a page.
            let keeps = *method == Method::GET || matches!(status.as_u16(), 307 | 308);
            target = match next {
                Some(next) if keeps && origin(&next) == origin(&self.base) => next,
                Some(next) => {
                    let to = host_of(&next);
                    let message = format!(
                        "it redirects to {to}, which gets neither question nor key; give that address if you trust it"
                    );
                    return Err(self.refused(status.as_u16(), &message));
                }
                None => return Err(self.refused(status.as_u16(), "it redirects nowhere")),
            };
        }
        Err(self.refused(310, "it redirects in a circle"))
    }

    fn send(&self, method: &Method, target: &Uri, body: &[u8]) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(target.clone())
            .header("accept", "application/json");
        if let Some(key) = &self.settings.key {
            request = request.header("authorization", key.header().as_str());
        }
        let unsendable = |_| self.refused(0, "the request cannot be formed");
        let sent = if *method == Method::POST {
            let request = request.header("content-type", "application/json");
            self.agent.run(request.body(body).map_err(unsendable)?)
        } else {
            self.agent.run(request.body(()).map_err(unsendable)?)
        };
        sent.map_err(|error| self.broken(&error))
    }

    /// Reads the body, and turns statuses that are refusals into errors.
    fn accepted(&self, answer: Response<Body>) -> Result<Reply, Failure> {
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let limit = self.settings.patience.body_bytes;
        let mut body = Vec::new();
        let read = answer.into_body().into_reader().take(limit + 1).read_to_end(&mut body);
        if body.len() as u64 > limit {
            return Err(Failure::Lasting(CompleterError::Malformed {
                name: self.host(),
                message: format!("it is longer than {limit} bytes"),
            }));
        }
        read.map_err(|error| self.broken(&ureq::Error::from(error)))?;
        if (200..300).contains(&status) {
            return Ok(Reply { body, headers: who_answered(&headers) });
        }
        let said = self.without_key(&wire::refusal(&body));
        match status {
            408 | 425 | 429 | 500..=599 => {
                Err(Failure::Passing(format!("status {status}: {said}"), retry_after(&headers)))
            }
            _ => Err(self.refused(status, &said)),
        }
    }

    fn refused(&self, status: u16, message: &str) -> Failure {
        let message = message.to_owned();
        Failure::Lasting(CompleterError::Refused { name: self.host(), status, message })
    }

    fn without_key(&self, text: &str) -> String {
        match &self.settings.key {
            Some(key) => key.taken_out_of(text),
            None => text.to_owned(),
        }
    }

    fn broken(&self, error: &ureq::Error) -> Failure {
        let Settings { patience, .. } = &self.settings;
        let message = match error {
            ureq::Error::HostNotFound => {
                return self.refused(0, "no such host; check the address");
            }
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                format!("no connection within {} s", patience.connect.as_secs_f32())
            }
            ureq::Error::Timeout(ureq::Timeout::RecvResponse) => {
                format!("no answer began within {} s", patience.first_byte.as_secs_f32())
            }
            ureq::Error::Timeout(_) => {
                format!("no whole answer within {} s", patience.whole.as_secs_f32())
            }
            ureq::Error::LargeResponseHeader(..) => {
                return Failure::Lasting(CompleterError::Malformed {
                    name: self.host(),
                    message: format!("its head is longer than {HEAD_BYTES} bytes"),
                });
            }
            // These two would show an address.
            ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => "bad address".to_owned(),
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
                return self.refused(0, &format!("no secure connection: {error}"));
            }
            other => self.without_key(&wire::shortened(&other.to_string())),
        };
        Failure::Passing(message, None)
    }
}

fn agent(settings: &Settings) -> Result<Agent, EndpointError> {
    let patience = settings.patience;
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_response_header_size(HEAD_BYTES)
        .accept_encoding("identity")
        .user_agent(concat!("touchmark/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(patience.whole))
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.first_byte));
    if !settings.proxy {
        config = config.proxy(None);
    }
    if let Some(path) = &settings.certificates {
        let tls = TlsConfig::builder().root_certs(RootCerts::from(certificates(path)?));
        config = config.tls_config(tls.build());
    }
    Ok(config.build().new_agent())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, EndpointError> {
    let unusable = || EndpointError::Certificates { path: path.to_owned() };
    let pem = std::fs::read(path).map_err(|_| unusable())?;
    let found: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() { Err(unusable()) } else { Ok(found) }
}

/// The address without a slash at its end; `/v1` where it has no path.
fn address(given: &str) -> Result<Uri, EndpointError> {
    let wrong = || EndpointError::Address {
        given: given.rsplit('@').next().unwrap_or_default().to_owned(),
    };
    let trimmed = given.trim().trim_end_matches('/');
    let uri: Uri = trimmed.parse().map_err(|_| wrong())?;
    let plain = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.query().is_none()
        && !trimmed.contains('#')
        && uri.authority().is_some_and(|it| !it.as_str().contains('@') && !it.host().is_empty());
    if !plain {
        return Err(wrong());
    }
    if matches!(uri.path(), "" | "/") {
        return format!("{trimmed}/v1").parse().map_err(|_| wrong());
    }
    Ok(uri)
}

fn origin(uri: &Uri) -> Option<(&str, String, u16)> {
    let scheme = uri.scheme_str()?;
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

fn host_of(uri: &Uri) -> String {
    let host = uri.host().unwrap_or("no host");
    uri.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The address that a redirect leads to: a whole one, or a path of the same host.
fn joined(base: &Uri, location: &str) -> Option<Uri> {
    let whole = if location.starts_with("//") {
        format!("{}:{location}", base.scheme_str()?)
    } else if location.starts_with('/') {
        format!("{}://{}{location}", base.scheme_str()?, base.authority()?)
    } else {
        location.to_owned()
    };
    let next: Uri = whole.parse().ok()?;
    (matches!(next.scheme_str(), Some("http" | "https")) && next.host().is_some()).then_some(next)
}

/// Headers that say which software, host or model answered, beside those that begin with `openai-`. Those that name the
/// caller's account are not among them.
const TELLING: &[&str] = &[
    "server",
    "via",
    "x-powered-by",
    "x-served-by",
    "x-provider",
    "x-request-id",
    "request-id",
    "cf-ray",
    "x-groq-region",
    "x-ms-region",
    "x-watermark",
];
/// Those that name the caller's account.
const ACCOUNT: &[&str] = &["openai-organization", "openai-project"];

/// The headers of the list, in order of their names.
fn who_answered(headers: &HeaderMap) -> Vec<(String, String)> {
    let tells = |name: &str| {
        TELLING.contains(&name)
            || (name.starts_with("openai-") && !ACCOUNT.contains(&name))
            || (name.starts_with("x-") && name.contains("model"))
    };
    let kept = headers.iter().filter(|(name, _)| tells(name.as_str()));
    let mut kept: Vec<_> = kept
        .filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), wire::shortened(value.to_str().ok()?)))
        })
        .collect();
    kept.sort();
    kept
}

/// Seconds of `retry-after`; dates are left to the pauses of our own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?;
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A number in [0, 1) that need not be secret, so that many clients do not come back at one time.
fn chance() -> f64 {
    (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_and_get_their_version() {
        for (given, base) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
            ("https://host.example/", "https://host.example/v1"),
            ("https://host.example/v1/", "https://host.example/v1"),
            (
                "https://host.example/openai/deployments/x",
                "https://host.example/openai/deployments/x",
            ),
        ] {
            assert_eq!(address(given).unwrap().to_string(), base);
        }
        for bad in ["", "host", "ftp://x", "https://", "https://u:secret@x", "https://x/?a=b"] {
            let error = address(bad).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn accounts_and_cookies_are_not_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("server", "nginx"),
            ("set-cookie", "session=1"),
            ("openai-organization", "us"),
            ("openai-version", "2020-10-01"),
            ("x-vendor-model-id", "a"),
            ("content-type", "application/json"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let names: Vec<_> = who_answered(&headers).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["openai-version", "server", "x-vendor-model-id"]);
    }

    #[test]
    fn chances_are_chances() {
        let mean = (0..1000).map(|_| chance()).sum::<f64>() / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}

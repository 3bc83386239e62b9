//! The requests of the hub's protocol: what is sent, to whom, and what each refusal means.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use ureq::http::{HeaderMap, Method, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::digest::Digest;
use super::listing::Entry;
use super::{Denial, HubError, ModelId, Revision, Settings};

/// The listing of a repository with very many files has a few megabytes.
const LISTING_LIMIT: u64 = 64 << 20;
const REDIRECTS: usize = 10;
/// What to do where a mirror's certificate comes from an authority of its own.
const AUTHORITY: &str = "; SSL_CERT_FILE may name the certificate authority of a mirror";

/// Speaks with one endpoint.
pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    settings: Settings,
}

/// Without the agent, which knows the proxy and its password.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a request is for: its model, its revision, and its file, or none for the listing.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub id: &'a ModelId,
    pub revision: &'a str,
    pub file: Option<&'a str>,
}

impl Asked<'_> {
    fn what(&self) -> String {
        self.file.map_or_else(|| format!("the listing of {}", self.id.repository()), str::to_owned)
    }
}

/// An attempt that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt may succeed, after a pause.
    Passing(HubError),
    /// It would fail again.
    Lasting(HubError),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Lasting(error)
    }
}

/// Counts failed attempts and pauses between them.
pub(super) struct Backoff<'a> {
    settings: &'a Settings,
    failed: u32,
}

impl Backoff<'_> {
    /// Pauses before the next attempt.
    ///
    /// # Errors
    /// The failure's own, when there shall be no further attempt.
    pub(super) fn after(&mut self, failure: Failure) -> Result<(), HubError> {
        let (error, asked) = match failure {
            Failure::Lasting(error) => return Err(error),
            Failure::Passing(error @ HubError::RateLimited { wait, .. }) => (error, wait),
            Failure::Passing(error) => (error, None),
        };
        let patience = self.settings.patience;
        let doubled = patience.pause.saturating_mul(1 << self.failed.min(16));
        let pause = asked.unwrap_or_else(|| doubled.min(patience.longest_pause));
        self.failed += 1;
        if self.failed >= patience.attempts || pause > patience.longest_pause {
            return Err(error);
        }
        std::thread::sleep(pause);
        Ok(())
    }

    /// Something arrived: what comes next is a first attempt again.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }
}

impl Client {
    pub(super) fn new(mut settings: Settings) -> Result<Self, HubError> {
        settings.endpoint = settings.endpoint.trim_end_matches('/').to_owned();
        let endpoint: Uri = settings.endpoint.parse().map_err(|_| HubError::Endpoint)?;
        let known = matches!(endpoint.scheme_str(), Some("http" | "https"));
        let bare = |authority: &str| !authority.contains('@') && !authority.is_empty();
        if !known
            || endpoint.query().is_some()
            || !endpoint.authority().is_some_and(|authority| bare(authority.as_str()))
        {
            return Err(HubError::Endpoint);
        }
        let agent = agent(&settings)?;
        Ok(Self { agent, endpoint, settings })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn backoff(&self) -> Backoff<'_> {
        Backoff { settings: &self.settings, failed: 0 }
    }

    /// The listing of a repository, as JSON.
    pub(super) fn listing(&self, id: &ModelId, revision: &Revision) -> Result<Vec<u8>, HubError> {
        let (repository, name) = (id.repository(), encode(revision.as_str(), false));
        let url = format!(
            "{}/api/models/{repository}/revision/{name}?blobs=true",
            self.settings.endpoint
        );
        let asked = Asked { id, revision: revision.as_str(), file: None };
        let mut backoff = self.backoff();
        loop {
            match self.whole(&url, asked) {
                Ok(body) => return Ok(body),
                // Nothing has ever been reached: waiting would only delay the advice.
                Err(Failure::Passing(error @ HubError::Unreachable { .. })) => {
                    return Err(error);
                }
                Err(failure) => backoff.after(failure)?,
            }
        }
    }

    fn whole(&self, url: &str, asked: Asked<'_>) -> Result<Vec<u8>, Failure> {
        let (answer, host) = self.send(&Method::GET, url, asked, 0)?;
        let mut body = Vec::new();
        let reader = answer.into_body().into_reader();
        match reader.take(LISTING_LIMIT).read_to_end(&mut body) {
            Ok(_) => Ok(body),
            Err(error) => Err(self.broken(error, &host, asked, body.len() as u64)),
        }
    }

    /// Size and hash of a file, from the headers of its address where the listing does not state them.
    pub(super) fn completed(
        &self,
        id: &ModelId,
        commit: &str,
        entry: &Entry,
    ) -> Result<Entry, HubError> {
        if entry.digest.is_some() && entry.size.is_some() {
            return Ok(entry.clone());
        }
        let asked = Asked { id, revision: commit, file: Some(&entry.name) };
        let url = self.address(asked);
        let mut backoff = self.backoff();
        let answer = loop {
            match self.send(&Method::HEAD, &url, asked, 0) {
                Ok((answer, _)) => break answer,
                Err(failure) => backoff.after(failure)?,
            }
        };
        let header = |name: &str| text(answer.headers(), name);
        // The length of a redirect is not that of the file.
        let own = header("content-length").filter(|_| answer.status().is_success());
        Ok(Entry {
            name: entry.name.clone(),
            size: header("x-linked-size").or(own).and_then(|size| size.parse().ok()),
            digest: header("x-linked-etag").or_else(|| header("etag")).and_then(Digest::from_etag),
        })
    }

    /// The content of a file from an offset on, and the host that sends it.
    pub(super) fn open(
        &self,
        asked: Asked<'_>,
        from: u64,
    ) -> Result<(Response<Body>, String), Failure> {
        self.send(&Method::GET, &self.address(asked), asked, from)
    }

    /// What went wrong while a body arrived.
    pub(super) fn broken(
        &self,
        error: std::io::Error,
        host: &str,
        asked: Asked<'_>,
        got: u64,
    ) -> Failure {
        let error = ureq::Error::from(error);
        if matches!(error, ureq::Error::Timeout(_)) {
            return self.failed(error, host, asked);
        }
        Failure::Passing(HubError::Cut { host: host.to_owned(), what: asked.what(), got })
    }

    fn address(&self, asked: Asked<'_>) -> String {
        let file = encode(asked.file.unwrap_or_default(), true);
        let revision = encode(asked.revision, false);
        format!("{}/{}/resolve/{revision}/{file}", self.settings.endpoint, asked.id.repository())
    }

    /// Sends a request and follows redirects; a HEAD stays with the endpoint, since the headers that name the file are
    /// its own and not the storage's.
    fn send(
        &self,
        method: &Method,
        url: &str,
        asked: Asked<'_>,
        from: u64,
    ) -> Result<(Response<Body>, String), Failure> {
        let wrong = |what: &str| HubError::Answer {
            what: format!("{what}, in answer to a request for {}", asked.what()),
        };
        let mut target: Uri = url.parse().map_err(|_| wrong("an address cannot be formed"))?;
        for _ in 0..REDIRECTS {
            let host = host_of(&target);
            let answer = self
                .agent
                .run(self.request(method, &target, from)?)
                .map_err(|error| self.failed(error, &host, asked))?;
            if !answer.status().is_redirection() {
                return Ok((self.accepted(answer, &target, asked)?, host));
            }
            let location = text(answer.headers(), "location");
            let next = location.and_then(|location| joined(&target, location));
            let next = next.ok_or_else(|| wrong("a redirect leads nowhere"))?;
            if *method == Method::HEAD && !self.is_own(&next) {
                return Ok((answer, host));
            }
            if target.scheme_str() == Some("https") && next.scheme_str() == Some("http") {
                return Err(wrong("a redirect gives up encryption").into());
            }
            target = next;
        }
        Err(wrong("there are too many redirects").into())
    }

    fn request(&self, method: &Method, target: &Uri, from: u64) -> Result<Request<()>, HubError> {
        let mut request = Request::builder().method(method.clone()).uri(target.clone());
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        if let Some(token) = self.settings.token.as_ref().filter(|_| self.is_own(target)) {
            request = request.header("authorization", token.header().as_str());
        }
        request.body(()).map_err(|_| HubError::Token)
    }

    /// Whether an address belongs to the endpoint: same scheme, host and port. Only such a one gets the token.
    fn is_own(&self, target: &Uri) -> bool {
        origin(target) == origin(&self.endpoint)
    }

    /// Turns statuses that are refusals into errors.
    fn accepted(
        &self,
        answer: Response<Body>,
        target: &Uri,
        asked: Asked<'_>,
    ) -> Result<Response<Body>, Failure> {
        let status = answer.status().as_u16();
        if answer.status().is_success() || status == 416 {
            return Ok(answer);
        }
        let other = || HubError::Status { host: host_of(target), what: asked.what(), status };
        Err(match status {
            // A storage host's signature expires: the hub gives a new one.
            401 | 403 | 404 if !self.is_own(target) => Failure::Passing(other()),
            401 | 403 => Failure::Lasting(self.denied(answer.headers(), asked)),
            404 => Failure::Lasting(self.not_found(answer.headers(), asked)),
            429 => {
                let wait = text(answer.headers(), "retry-after");
                let wait = wait.and_then(|wait| wait.trim().parse().ok()).map(Duration::from_secs);
                let endpoint = self.settings.endpoint.clone();
                Failure::Passing(HubError::RateLimited { endpoint, wait })
            }
            408 | 500..=599 => Failure::Passing(other()),
            _ => Failure::Lasting(other()),
        })
    }

    fn denied(&self, headers: &HeaderMap, asked: Asked<'_>) -> HubError {
        let reason = match text(headers, "x-error-code") {
            Some("GatedRepo") => Denial::Gated,
            Some("RepoNotFound") => Denial::PrivateOrMissing,
            _ => Denial::Token,
        };
        HubError::Denied {
            id: asked.id.clone(),
            endpoint: self.settings.endpoint.clone(),
            reason,
            with_token: self.settings.token.is_some(),
        }
    }

    fn not_found(&self, headers: &HeaderMap, asked: Asked<'_>) -> HubError {
        let (id, revision) = (asked.id.clone(), asked.revision.to_owned());
        match (text(headers, "x-error-code"), asked.file) {
            (Some("RevisionNotFound"), _) => HubError::NoRevision { id, revision },
            (Some("RepoNotFound"), _) | (_, None) => {
                HubError::NoModel { id, endpoint: self.settings.endpoint.clone() }
            }
            (_, Some(file)) => HubError::NoFile { id, revision, file: file.to_owned() },
        }
    }

    fn failed(&self, error: ureq::Error, host: &str, asked: Asked<'_>) -> Failure {
        let (host, waited) = (host.to_owned(), self.settings.patience.timeout);
        let why = match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                format!("no connection within {} s", waited.as_secs_f32())
            }
            ureq::Error::Timeout(_) => {
                return Failure::Passing(HubError::Timeout { host, what: asked.what(), waited });
            }
            // These two would show an address, which may be signed.
            ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => "bad address".to_owned(),
            // The connection was there and closed before an answer.
            ureq::Error::Io(error) if is_cut(error.kind()) => {
                return Failure::Passing(HubError::Cut { host, what: asked.what(), got: 0 });
            }
            error => {
                let why = error.to_string();
                let authority = if why.contains("certificate") { AUTHORITY } else { "" };
                why + authority
            }
        };
        let endpoint = self.settings.endpoint.clone();
        Failure::Passing(HubError::Unreachable { host, endpoint, why })
    }
}

fn is_cut(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}

fn agent(settings: &Settings) -> Result<Agent, HubError> {
    let timeout = Some(settings.patience.timeout);
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        // A compressed body would have neither the size nor the ranges of the file.
        .accept_encoding("identity")
        .user_agent(concat!("touchmark/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(timeout)
        .timeout_connect(timeout)
        .timeout_recv_response(timeout)
        .timeout_per_read(timeout)
        .timeout_per_write(timeout);
    if !settings.proxy {
        config = config.proxy(None);
    }
    if let Some(path) = &settings.certificates {
        let tls = TlsConfig::builder().root_certs(RootCerts::from(certificates(path)?));
        config = config.tls_config(tls.build());
    }
    Ok(config.build().new_agent())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, HubError> {
    let unusable = || HubError::Certificates { path: path.to_owned() };
    let pem = std::fs::read(path).map_err(|_| unusable())?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<_> = ureq::tls::parse_pem(&pem).filter_map(certificate).collect();
    if found.is_empty() { Err(unusable()) } else { Ok(found) }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn origin(uri: &Uri) -> Option<(&str, String, u16)> {
    let scheme = uri.scheme_str()?;
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// Host and port, without user or password.
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

/// Percent-encodes all but the unreserved characters of RFC 3986, and `/` where it separates folders.
fn encode(text: &str, folders: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (folders && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_endpoints_own_origin_gets_the_token() {
        let mut settings = Settings::with_cache("/nowhere");
        settings.endpoint = "https://hub.example/mirror/".to_owned();
        let client = Client::new(settings).unwrap();
        for (address, own) in [
            ("https://hub.example/x", true),
            ("https://HUB.example:443/x", true),
            ("http://hub.example/x", false),
            ("https://hub.example:8443/x", false),
            ("https://cdn.hub.example/x", false),
            ("https://hub.example@evil.example/x", false),
        ] {
            assert_eq!(client.is_own(&address.parse().unwrap()), own, "{address}");
        }
    }

    #[test]
    fn endpoints_are_plain_addresses() {
        for bad in ["", "huggingface.co", "ftp://x", "https://", "https://u:p@x", "https://x/?a=b"]
        {
            let mut settings = Settings::with_cache("/nowhere");
            settings.endpoint = bad.to_owned();
            assert!(matches!(Client::new(settings), Err(HubError::Endpoint)), "{bad}");
        }
    }

    #[test]
    fn redirects_are_joined_to_where_they_come_from() {
        let base: Uri = "https://hub.example:1/a/b?c".parse().unwrap();
        for (location, next) in [
            ("/x?y", Some("https://hub.example:1/x?y")),
            ("//cdn.example/x", Some("https://cdn.example/x")),
            ("http://cdn.example/x", Some("http://cdn.example/x")),
            ("file:///etc/passwd", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(joined(&base, location).map(|uri| uri.to_string()).as_deref(), next);
        }
    }

    #[test]
    fn revisions_and_names_are_encoded() {
        assert_eq!(encode("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(encode("a b/ä?#%.json", true), "a%20b/%C3%A4%3F%23%25.json");
    }
}

//! Who asks: the account of an API key, or nobody.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::policy::{Account, ApiKey};
use super::{ApiError, Caller, Network, Role};

/// Who is asking, of those who may ask for answers.
#[derive(Clone, Debug)]
pub struct Asker(pub Arc<Account>);

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let asker = parts.extensions.get::<Self>().cloned();
        asker.ok_or_else(|| {
            ApiError::unauthorised("no API key was sent; send it as \"Authorization: Bearer KEY\"")
        })
    }
}

impl Asker {
    /// The account, if it may do this.
    ///
    /// # Errors
    /// 403.
    pub fn may(
        self,
        role: impl Fn(&Account) -> bool,
        what: &str,
    ) -> Result<Arc<Account>, ApiError> {
        if role(&self.0) {
            return Ok(self.0);
        }
        Err(ApiError::forbidden(format!(
            "this API key may not {what}; ask the operator for another"
        )))
    }
}

/// Notes who asks. A key that is sent must be a known one, wherever it is sent.
pub async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if !app.is_loaded() && !ALWAYS.contains(&request.uri().path()) {
        return ApiError::unavailable("the server is still loading; try again soon", 5)
            .into_response();
    }
    if app.settings.local_only && !names_this_machine(request.headers()) {
        let message =
            "this server answers this machine only; to be asked by another name it needs API keys";
        return ApiError::forbidden(message).into_response();
    }
    let network = network(&app, &request);
    let policies = app.policies.load();
    let account = match sent(request.headers()) {
        Err(error) => return error.into_response(),
        Ok(None) => policies.anonymous.clone(),
        Ok(Some(key)) => match policies.account(&key) {
            Some(account) => Some(Arc::clone(account)),
            // Without accounts there is nothing to tell keys apart by: clients that insist on sending one are let through.
            None if policies.accounts.is_empty() && policies.anonymous.is_some() => {
                policies.anonymous.clone()
            }
            None => {
                let message = "this API key is not known; check it, or ask the operator for one";
                return ApiError::unauthorised(message).into_response();
            }
        },
    };
    let caller = match &account {
        Some(account) => {
            Some(Caller { role: role(account), account: Some(account.name.clone()), network })
        }
        None if policies.public_detection => {
            Some(Caller { role: Role::Public, account: None, network })
        }
        None => None,
    };
    request.extensions_mut().extend(extensions(account, caller));
    next.run(request).await
}

/// Whether a request was sent to `localhost` or an address of the loopback.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let local = name.eq_ignore_ascii_case("localhost");
    local || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What is answered while the server is loading.
const ALWAYS: &[&str] = &["/health", "/ready", "/info", "/openapi.json", "/docs"];

fn extensions(account: Option<Arc<Account>>, caller: Option<Caller>) -> axum::http::Extensions {
    let mut extensions = axum::http::Extensions::new();
    if let Some(account) = account {
        extensions.insert(Asker(account));
    }
    if let Some(caller) = caller {
        extensions.insert(caller);
    }
    extensions
}

/// Turns away who may not ask about texts, before the handlers for callers.
pub async fn callers_only(request: Request, next: Next) -> Response {
    if request.extensions().get::<Caller>().is_none() {
        let message = "this server answers questions about texts only to API keys; send one as \"Authorization: Bearer KEY\"";
        return ApiError::unauthorised(message).into_response();
    }
    next.run(request).await
}

fn role(account: &Account) -> Role {
    match (account.roles.admin, account.roles.analyst) {
        (true, _) => Role::Admin,
        (false, true) => Role::Analyst,
        (false, false) => Role::Public,
    }
}

fn sent(headers: &HeaderMap) -> Result<Option<ApiKey>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let bad = || {
        ApiError::unauthorised(
            "the API key could not be read; send it as \"Authorization: Bearer KEY\"",
        )
    };
    let value = value.to_str().map_err(|_| bad())?;
    let (scheme, key) = value.split_once(' ').ok_or_else(bad)?;
    let key = key.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || key.is_empty() {
        return Err(bad());
    }
    Ok(Some(ApiKey::sent(key)))
}

/// Where a request came from: behind a trusted proxy what that says, the last entry being its own.
fn network(app: &App, request: &Request) -> Network {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let forwarded = || {
        let value = request.headers().get("x-forwarded-for")?.to_str().ok()?;
        value.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
    };
    let told = if app.settings.trust_forwarded_for { forwarded() } else { None };
    Network::of(told.or(peer).unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn names_of_this_machine_are_known() {
        let names = |host: &'static str| {
            let host = (header::HOST, HeaderValue::from_static(host));
            names_this_machine(&HeaderMap::from_iter([host]))
        };
        for own in ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:80", "[::1]:8080"] {
            assert!(names(own), "{own}");
        }
        for other in ["evil.example:8080", "localhost.evil.example", "10.0.0.1:8080", "[::2]", ""] {
            assert!(!names(other), "{other}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }

    #[test]
    fn api_keys_are_read_from_bearer_headers_alone() {
        let read = |value: &'static str| {
            let header = (header::AUTHORIZATION, HeaderValue::from_static(value));
            sent(&HeaderMap::from_iter([header]))
        };
        assert_eq!(read("Bearer  tmk-1 ").unwrap().unwrap().reveal(), "tmk-1");
        assert!(sent(&HeaderMap::new()).unwrap().is_none());
        for bad in ["", "tmk-1", "Basic dXNlcg==", "Bearer "] {
            assert_eq!(read(bad).unwrap_err().status, 401, "{bad}");
        }
    }
}

//! Who asks, as the authentication layer found it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// What a caller may see and do. A role may do all that those before it may.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees verdicts, within a daily budget.
    #[default]
    Public,
    /// Sees p-values, passages and the evidence of tokens.
    Analyst,
    /// Manages the server too.
    Admin,
}

/// Who asks. The authentication layer puts it into the request's extensions; a handler that finds none answers 500, so that a
/// route without that layer fails closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What the caller may see.
    pub role: Role,
    /// The account of the API key; none for a caller without one.
    pub account: Option<String>,
    /// Where the request came from.
    pub network: Network,
}

/// The network that a request came from: an IPv4 address, or the first 64 bits of an IPv6 address, which one customer of an
/// access provider usually has alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpAddr);

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whose budget a request is paid from: the account's, or else the network's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// Of an API key.
    Account(String),
    /// Of a caller without an API key.
    Network(Network),
}

impl Caller {
    /// A caller without an API key.
    pub fn anonymous(address: IpAddr) -> Self {
        Self { role: Role::Public, account: None, network: Network::of(address) }
    }

    /// Whether the caller may see evidence.
    pub fn sees_evidence(&self) -> bool {
        self.role >= Role::Analyst
    }

    /// Whose budget the request is paid from.
    pub fn client(&self) -> Client {
        match &self.account {
            Some(account) => Client::Account(account.clone()),
            None => Client::Network(self.network),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| ApiError::internal("internal fault: the caller is not known"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> String {
        Network::of(address.parse().unwrap()).to_string()
    }

    #[test]
    fn addresses_of_one_customer_are_one_network() {
        assert_eq!(network("203.0.113.7"), "203.0.113.7");
        assert_eq!(network("::ffff:203.0.113.7"), "203.0.113.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:2::"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::"), network("2001:db8:1:3::"));
    }

    #[test]
    fn an_account_pays_wherever_it_asks_from() {
        let here = Caller::anonymous("203.0.113.7".parse().unwrap());
        let there = Caller::anonymous("203.0.113.8".parse().unwrap());
        assert_ne!(here.client(), there.client());
        let known = |caller: Caller| Caller { account: Some("acme".to_owned()), ..caller };
        assert_eq!(known(here.clone()).client(), known(there).client());
        assert!(!here.sees_evidence() && Role::Admin > Role::Analyst);
    }
}

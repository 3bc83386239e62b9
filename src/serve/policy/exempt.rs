//! Routes and content that an operator wants unmarked, each with a reason that is kept.

use serde::{Deserialize, Serialize};

/// What is never marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions(pub Vec<Exemption>);

/// One exemption. All conditions that are given must hold, and one must be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exemption {
    /// Why, in a few words: part of the answer, its receipt and the log.
    pub reason: String,
    /// The path of the request, such as `/v1/completions`.
    pub route: Option<String>,
    /// Names of accounts.
    pub accounts: Option<Vec<String>>,
    /// A text that the system message contains. It is set by applications, not by those who use them.
    pub system_contains: Option<String>,
    /// Whether answers to accounts with `required` are exempt too.
    pub from_required: bool,
}

/// A request, as exemptions see it.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// The path.
    pub route: &'a str,
    /// Name of the account.
    pub account: &'a str,
    /// The system messages.
    pub system: &'a str,
    /// Whether the account's answers must be marked.
    pub required: bool,
}

impl Exemption {
    /// Whether it says for what it is.
    pub fn has_condition(&self) -> bool {
        self.route.is_some() || self.accounts.is_some() || self.system_contains.is_some()
    }

    fn holds(&self, occasion: &Occasion<'_>) -> bool {
        let names = |names: &Vec<String>| names.iter().any(|name| name == occasion.account);
        (self.from_required || !occasion.required)
            && self.route.as_ref().is_none_or(|route| route == occasion.route)
            && self.accounts.as_ref().is_none_or(names)
            && self.system_contains.as_ref().is_none_or(|text| occasion.system.contains(text))
    }
}

impl Exemptions {
    /// The reason of the first that holds.
    pub fn reason(&self, occasion: &Occasion<'_>) -> Option<&str> {
        let found = self.0.iter().find(|exemption| exemption.holds(occasion));
        found.map(|exemption| exemption.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_must_hold_and_required_needs_saying_so() {
        let code = Exemption {
            reason: "code".to_owned(),
            route: Some("/v1/completions".to_owned()),
            system_contains: Some("programming".to_owned()),
            ..Exemption::default()
        };
        let exemptions = Exemptions(vec![code.clone()]);
        let occasion = Occasion {
            route: "/v1/completions",
            account: "a",
            system: "You are a programming assistant.",
            required: false,
        };
        assert_eq!(exemptions.reason(&occasion), Some("code"));
        assert_eq!(exemptions.reason(&Occasion { system: "Be kind.", ..occasion }), None);
        assert_eq!(
            exemptions.reason(&Occasion { route: "/v1/chat/completions", ..occasion }),
            None
        );
        assert_eq!(exemptions.reason(&Occasion { required: true, ..occasion }), None);
        let from_required = Exemptions(vec![Exemption { from_required: true, ..code }]);
        assert_eq!(from_required.reason(&Occasion { required: true, ..occasion }), Some("code"));
    }
}

//! How much each client of the public may ask in a day.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::serve::caller::Client;
use crate::serve::error::ApiError;

const DAY: i64 = 24 * 60 * 60;

/// What clients have used of their daily budgets. Days are those of UTC; memory is bounded by the number of clients.
pub(super) struct Budgets {
    texts: u64,
    tokens: u64,
    clients: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    day: i64,
    clients: HashMap<Client, Use>,
    /// Of all clients for whom there was no place.
    others: Use,
}

#[derive(Clone, Copy, Default)]
struct Use {
    texts: u64,
    tokens: u64,
}

impl Budgets {
    /// Budgets of so many texts and tokens a day for each client. Clients beyond so many share one.
    pub fn new(texts: u64, tokens: u64, clients: usize) -> Self {
        Self { texts, tokens, clients, used: Mutex::default() }
    }

    /// Takes a text from a client's budget.
    ///
    /// # Errors
    /// 429, with the time until the next day, when no text or no token is left.
    pub fn take_text(&self, client: &Client, now: Timestamp) -> Result<(), ApiError> {
        let left = DAY - now.as_second().rem_euclid(DAY);
        self.with(client, now, |used| {
            let spent = if used.texts >= self.texts {
                format!("{} texts", self.texts)
            } else if used.tokens >= self.tokens {
                format!("{} tokens", self.tokens)
            } else {
                used.texts += 1;
                return Ok(());
            };
            Err(ApiError::too_many(
                format!(
                    "the daily budget of {spent} is used up; ask again tomorrow (UTC), or use the API key of an analyst"
                ),
                left.unsigned_abs(),
            ))
        })
    }

    /// Takes tokens that were examined from a client's budget.
    pub fn take_tokens(&self, client: &Client, tokens: u64, now: Timestamp) {
        self.with(client, now, |used| used.tokens = used.tokens.saturating_add(tokens));
    }

    fn with<T>(&self, client: &Client, now: Timestamp, change: impl FnOnce(&mut Use) -> T) -> T {
        let day = now.as_second().div_euclid(DAY);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that goes back does not give a second budget.
        if day > used.day {
            *used = Used { day, ..Used::default() };
        }
        let has_place = used.clients.contains_key(client) || used.clients.len() < self.clients;
        if has_place {
            change(used.clients.entry(client.clone()).or_default())
        } else {
            change(&mut used.others)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> Client {
        Client::Account(name.to_owned())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn texts_end_and_come_back_the_next_day() {
        let budgets = Budgets::new(2, 1_000, 10);
        let now = at(5 * DAY + 100);
        assert!(budgets.take_text(&client("a"), now).is_ok());
        assert!(budgets.take_text(&client("a"), now).is_ok());
        let refused = budgets.take_text(&client("a"), now).unwrap_err();
        assert_eq!(refused.status, 429);
        assert_eq!(refused.retry_after, Some((DAY - 100).unsigned_abs()));
        assert!(budgets.take_text(&client("b"), now).is_ok(), "a budget of its own");
        assert!(budgets.take_text(&client("a"), at(6 * DAY)).is_ok());
        assert!(budgets.take_text(&client("a"), at(6 * DAY)).is_ok());
        assert!(budgets.take_text(&client("a"), now).is_err(), "a clock that went back");
    }

    #[test]
    fn tokens_end_too() {
        let budgets = Budgets::new(100, 1_000, 10);
        budgets.take_tokens(&client("a"), 999, at(0));
        assert!(budgets.take_text(&client("a"), at(0)).is_ok());
        budgets.take_tokens(&client("a"), 1, at(0));
        assert!(budgets.take_text(&client("a"), at(0)).unwrap_err().message.contains("tokens"));
    }

    #[test]
    fn clients_beyond_the_bound_share_a_budget() {
        let budgets = Budgets::new(1, 1_000, 3);
        let ask = |number: u32| budgets.take_text(&client(&number.to_string()), at(0)).is_ok();
        let answered: Vec<bool> = (0..6).map(ask).collect();
        assert_eq!(answered, [true, true, true, true, false, false]);
        assert_eq!(budgets.used.lock().unwrap().clients.len(), 3);
    }
}

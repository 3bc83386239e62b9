//! What accounts have used of their limits.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ApiError;
use super::policy::{Account, Limits};

/// Use by account, in windows of a minute and of a day that begin with the first request.
#[derive(Debug, Default)]
pub struct Budgets(Mutex<HashMap<String, Used>>);

#[derive(Debug)]
struct Used {
    requests: Window,
    minute: Window,
    day: Window,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    length: Duration,
    used: u64,
}

impl Window {
    fn new(length: Duration, now: Instant) -> Self {
        Self { since: now, length, used: 0 }
    }

    fn roll(&mut self, now: Instant) {
        if now.duration_since(self.since) >= self.length {
            (self.since, self.used) = (now, 0);
        }
    }

    /// Seconds until there is room again, where there is none for `more`.
    fn lacks(&self, limit: Option<u64>, more: u64, now: Instant) -> Option<u64> {
        let full = limit.is_some_and(|limit| self.used.saturating_add(more) > limit);
        full.then(|| (self.length - now.duration_since(self.since)).as_secs() + 1)
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Budgets {
    /// Takes one request and the most tokens that it may use.
    ///
    /// # Errors
    /// 429 with the time after which there is room; nothing is taken then.
    pub fn take(&self, account: &Account, tokens: u64) -> Result<(), ApiError> {
        self.take_at(account, tokens, Instant::now())
    }

    fn take_at(&self, account: &Account, tokens: u64, now: Instant) -> Result<(), ApiError> {
        let limits = account.limits;
        if limits
            == (Limits {
                requests_per_minute: None,
                tokens_per_minute: None,
                tokens_per_day: None,
                ..limits
            })
        {
            return Ok(());
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.entry(account.name.clone()).or_insert_with(|| Used {
            requests: Window::new(MINUTE, now),
            minute: Window::new(MINUTE, now),
            day: Window::new(DAY, now),
        });
        let wanted = [
            (&mut used.requests, limits.requests_per_minute, 1, "requests a minute"),
            (&mut used.minute, limits.tokens_per_minute, tokens, "tokens a minute"),
            (&mut used.day, limits.tokens_per_day, tokens, "tokens a day"),
        ];
        for (window, limit, more, words) in &wanted {
            // A window that is over lacks nothing, but for what can never fit.
            let rolled = now.duration_since(window.since) >= window.length;
            let lack = if rolled {
                Window::new(window.length, now).lacks(*limit, *more, now)
            } else {
                window.lacks(*limit, *more, now)
            };
            if let Some(seconds) = lack {
                let limit = limit.unwrap_or_default();
                let message = format!(
                    "this API key may use {limit} {words}; try again later, or ask for fewer tokens"
                );
                return Err(ApiError::too_many(message, seconds));
            }
        }
        for (window, _, more, _) in wanted {
            window.roll(now);
            window.used += more;
        }
        Ok(())
    }

    /// Gives back tokens that were taken and not used.
    pub fn give_back(&self, account: &Account, tokens: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = all.get_mut(&account.name) {
            used.minute.used = used.minute.used.saturating_sub(tokens);
            used.day.used = used.day.used.saturating_sub(tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(limits: Limits) -> Account {
        Account { limits, ..Account::named("a") }
    }

    #[test]
    fn a_full_window_says_when_to_come_back() {
        let budgets = Budgets::default();
        let account = account(Limits {
            requests_per_minute: Some(2),
            tokens_per_day: Some(100),
            ..Limits::default()
        });
        let start = Instant::now();
        let take = |tokens, after: u64| {
            budgets.take_at(&account, tokens, start + Duration::from_secs(after))
        };
        assert!(take(40, 0).is_ok() && take(40, 10).is_ok());
        assert_eq!(take(1, 20).unwrap_err().retry_after, Some(41));
        // The next minute begins; the day goes on.
        assert!(take(20, 60).is_ok());
        let refused = take(1, 61).unwrap_err();
        assert!(
            refused.retry_after.unwrap() > 86_000 && refused.message.contains("100 tokens a day")
        );
        budgets.give_back(&account, 30);
        assert!(take(25, 62).is_ok());
    }

    #[test]
    fn what_was_refused_took_nothing() {
        let budgets = Budgets::default();
        let account = account(Limits { tokens_per_minute: Some(10), ..Limits::default() });
        assert!(budgets.take(&account, 11).is_err() && budgets.take(&account, 10).is_ok());
        assert!(budgets.take(&account, 1).is_err());
    }
}

//! The queue: one line for each account, and the accounts take turns.

use std::collections::{HashMap, VecDeque};

/// What waits, by account. Whoever has many waiting delays others by one each turn.
pub(super) struct FairQueue<T> {
    lines: HashMap<String, VecDeque<T>>,
    /// Accounts with something waiting, the next one first.
    turns: VecDeque<String>,
    len: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, account: &str, item: T) {
        self.len += 1;
        if let Some(line) = self.lines.get_mut(account) {
            return line.push_back(item);
        }
        self.lines.insert(account.to_owned(), VecDeque::from([item]));
        self.turns.push_back(account.to_owned());
    }

    /// Takes the next item when `fits` says so. An item that does not fit is not passed by: it would wait for ever behind
    /// smaller ones.
    pub(super) fn pop_if(&mut self, fits: impl FnOnce(&T) -> bool) -> Option<T> {
        let account = self.turns.front()?;
        let line = self.lines.get_mut(account)?;
        if !fits(line.front()?) {
            return None;
        }
        let item = line.pop_front()?;
        let account = self.turns.pop_front()?;
        self.len -= 1;
        if line.is_empty() {
            self.lines.remove(&account);
        } else {
            self.turns.push_back(account);
        }
        Some(item)
    }

    /// Takes out the items for which `gone` holds.
    pub(super) fn take_out(&mut self, mut gone: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for line in self.lines.values_mut() {
            // Most of the time nothing is gone.
            if line.iter().any(&mut gone) {
                let (out, kept) = std::mem::take(line).into_iter().partition(&mut gone);
                taken.extend::<VecDeque<T>>(out);
                *line = kept;
            }
        }
        if !taken.is_empty() {
            self.len -= taken.len();
            self.lines.retain(|_, line| !line.is_empty());
            let lines = &self.lines;
            self.turns.retain(|account| lines.contains_key(account));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drained<T>(queue: &mut FairQueue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop_if(|_| true)).collect()
    }

    #[test]
    fn accounts_take_turns() {
        let mut queue = FairQueue::default();
        for number in 0..100 {
            queue.push("many", ("many", number));
        }
        queue.push("one", ("one", 0));
        queue.push("two", ("two", 0));
        queue.push("two", ("two", 1));
        let order = drained(&mut queue);
        let first = [("many", 0), ("one", 0), ("two", 0), ("many", 1), ("two", 1), ("many", 2)];
        assert_eq!(order[..6], first);
        assert_eq!(order.len(), 103);
    }

    #[test]
    fn what_does_not_fit_is_not_passed_by() {
        let mut queue = FairQueue::default();
        queue.push("a", 10);
        queue.push("b", 1);
        assert_eq!(queue.pop_if(|&size| size < 5), None);
        assert_eq!(queue.pop_if(|&size| size < 50), Some(10));
    }

    proptest! {
        /// Every item comes out once, those of an account in their order, whatever is taken out on the way.
        #[test]
        fn nothing_is_lost(accounts in prop::collection::vec(0_u8..4, 0..60), gone in 1_usize..7) {
            let mut queue = FairQueue::default();
            for (number, account) in accounts.iter().enumerate() {
                queue.push(&account.to_string(), (*account, number));
            }
            let taken = queue.take_out(|(_, number)| number % gone == 0);
            prop_assert!(taken.iter().all(|(_, number)| number % gone == 0));
            prop_assert_eq!(queue.len() + taken.len(), accounts.len());
            let order = drained(&mut queue);
            prop_assert_eq!((queue.len(), order.len()), (0, accounts.len() - taken.len()));
            for account in 0..4 {
                let own: Vec<usize> = order.iter().filter(|it| it.0 == account).map(|it| it.1).collect();
                let wanted: Vec<usize> = (0..accounts.len()).filter(|&n| accounts[n] == account && n % gone != 0).collect();
                prop_assert_eq!(own, wanted);
            }
        }
    }
}

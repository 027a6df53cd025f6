//! Turns at S3, shared among clients: each has a bounded number, and where clients wait they take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Turns that clients wait for; clones are the same queue.
#[derive(Clone, Debug)]
pub(crate) struct FairQueue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    of_one_client_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    taken: HashMap<String, usize>,
    /// Clients that wait, whose turn it is next first; none without a waiter.
    waiting: VecDeque<(String, VecDeque<oneshot::Sender<Turn>>)>,
}

/// A turn; dropped, it is the next one's.
#[derive(Debug)]
pub(crate) struct Turn {
    queue: FairQueue,
    client: String,
}

impl FairQueue {
    /// `turns` at a time, no more than `of_one_client_max` of them to one client.
    pub(crate) fn new(turns: usize, of_one_client_max: usize) -> Self {
        Self(Arc::new(Inner {
            of_one_client_max,
            state: Mutex::new(State {
                free: turns,
                taken: HashMap::new(),
                waiting: VecDeque::new(),
            }),
        }))
    }

    /// Waits for a turn of `client`; may be cancelled.
    pub(crate) async fn turn(&self, client: &str) -> Turn {
        let (sender, turn) = oneshot::channel();
        self.state().enqueue(client, sender);
        self.give();
        turn.await.expect("a waiter leaves the queue with a turn")
    }

    /// Gives what is free to those who wait.
    fn give(&self) {
        loop {
            let next = self.state().next(self.0.of_one_client_max);
            let Some((client, waiter)) = next else { return };
            let queue = self.clone();
            // Whoever went away gives it back by dropping it: outside the lock, which that takes.
            drop(waiter.send(Turn { queue, client }));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enqueue(&mut self, client: &str, waiter: oneshot::Sender<Turn>) {
        match self.waiting.iter_mut().find(|(waiting, _)| waiting == client) {
            Some((_, waiters)) => waiters.push_back(waiter),
            None => self.waiting.push_back((client.to_owned(), VecDeque::from([waiter]))),
        }
    }

    /// Takes a turn for the first client that may have one, and puts that client behind the others.
    fn next(&mut self, of_one_client_max: usize) -> Option<(String, oneshot::Sender<Turn>)> {
        if self.free == 0 {
            return None;
        }
        let taken = &self.taken;
        let may = |client: &String| taken.get(client).is_none_or(|taken| *taken < of_one_client_max);
        let place = self.waiting.iter().position(|(client, _)| may(client))?;
        let (client, mut waiters) = self.waiting.remove(place)?;
        let waiter = waiters.pop_front()?;
        if !waiters.is_empty() {
            self.waiting.push_back((client.clone(), waiters));
        }
        self.free -= 1;
        *self.taken.entry(client.clone()).or_default() += 1;
        Some((client, waiter))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.free += 1;
        if let Some(taken) = state.taken.get_mut(&self.client) {
            *taken -= 1;
            if *taken == 0 {
                state.taken.remove(&self.client);
            }
        }
        drop(state);
        self.queue.give();
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn clients_that_wait_take_turns_however_much_one_of_them_asks_for() {
        let queue = FairQueue::new(1, 1);
        let first = queue.turn("greedy").await;
        let mut greedy: Vec<_> = (0..5).map(|_| Box::pin(queue.turn("greedy"))).collect();
        for waiter in &mut greedy {
            assert!(poll!(waiter).is_pending());
        }
        let mut modest = Box::pin(queue.turn("modest"));
        assert!(poll!(&mut modest).is_pending());
        drop(first);
        let second = greedy.remove(0).await;
        assert!(poll!(&mut greedy[0]).is_pending());
        drop(second);
        drop(modest.await);
        for waiter in greedy {
            drop(waiter.await);
        }
    }

    #[tokio::test]
    async fn one_client_never_has_all_turns() {
        let queue = FairQueue::new(3, 2);
        let held = (queue.turn("greedy").await, queue.turn("greedy").await);
        let mut third = Box::pin(queue.turn("greedy"));
        assert!(poll!(&mut third).is_pending());
        drop(queue.turn("modest").await);
        drop(held);
        drop(third.await);
        assert!(queue.state().taken.is_empty(), "nobody is kept");
    }

    #[tokio::test]
    async fn a_turn_of_somebody_who_went_away_is_the_next_ones() {
        let queue = FairQueue::new(1, 1);
        let held = queue.turn("a").await;
        let mut gone = Box::pin(queue.turn("b"));
        assert!(poll!(&mut gone).is_pending());
        drop(gone);
        let mut next = Box::pin(queue.turn("c"));
        assert!(poll!(&mut next).is_pending());
        drop(held);
        drop(next.await);
    }
}

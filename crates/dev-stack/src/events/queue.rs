//! A queue with SQS's manners: a message that was received is invisible for a while and comes back unless it is
//! deleted; one that came back too often goes to the dead letters. Order is kept when nothing goes wrong, and promised
//! to nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use types::TimestampMs;
use uuid::Uuid;

use super::EventFaults;

/// How the queue behaves.
#[derive(Clone, Copy, Debug)]
pub struct QueueConfig {
    /// How long a new message stays invisible: SQS's `DelaySeconds`, 0 to 900.
    pub delay: Duration,
    /// How long a received message stays invisible.
    pub visibility_timeout: Duration,
    /// After so many receives without a delete, a message is a dead letter.
    pub receives_max: u32,
}

impl Default for QueueConfig {
    /// As deployed: six times the function's timeout, and enough tries to outlive a short outage of Postgres.
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            visibility_timeout: Duration::from_secs(60),
            receives_max: 10,
        }
    }
}

/// The queue.
#[derive(Debug)]
pub struct EventQueue {
    config: QueueConfig,
    faults: EventFaults,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next_sequence: u64,
    messages: BTreeMap<u64, Message>,
    dead: Vec<String>,
    sent: u64,
}

#[derive(Debug)]
struct Message {
    received: Received,
    visible_at: Instant,
}

/// A message as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub(super) sequence: u64,
    /// The message's id.
    pub id: Uuid,
    /// Its text.
    pub body: String,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// When it was sent.
    pub sent_at: TimestampMs,
    /// When it was received for the first time.
    pub first_received_at: TimestampMs,
}

impl EventQueue {
    /// An empty queue without faults.
    pub fn new(config: QueueConfig) -> Self {
        Self::with_seed(config, 0)
    }

    /// The same; `seed` decides which events will meet the faults that are switched on later.
    pub fn with_seed(config: QueueConfig, seed: u64) -> Self {
        Self {
            config,
            faults: EventFaults::new(seed),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The faults, to switch.
    pub fn faults(&self) -> &EventFaults {
        &self.faults
    }

    /// Puts a message in.
    pub fn send(&self, body: &str, now: Instant, wall_now: TimestampMs) {
        let mut state = self.lock();
        state.sent += 1;
        for late in self.faults.copies() {
            let sequence = state.next_sequence;
            state.next_sequence += 1;
            let (id, body) = (Uuid::new_v4(), body.to_owned());
            let received = Received {
                sequence,
                id,
                body,
                receive_count: 0,
                sent_at: wall_now,
                first_received_at: wall_now,
            };
            state.messages.insert(
                sequence,
                Message {
                    received,
                    visible_at: now + self.config.delay + late,
                },
            );
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes up to `count_max` visible messages; they become invisible.
    pub fn receive(&self, count_max: usize, now: Instant, wall_now: TimestampMs) -> Vec<Received> {
        if self.faults.holds() {
            return Vec::new();
        }
        let mut state = self.lock();
        let mut visible: Vec<u64> = state
            .messages
            .iter()
            .filter(|(_, message)| message.visible_at <= now)
            .map(|(key, _)| *key)
            .collect();
        if self.faults.reverses() {
            visible.reverse();
        }
        let mut batch = Vec::new();
        for sequence in visible {
            if batch.len() == count_max {
                break;
            }
            batch.extend(self.take(&mut state, sequence, now, wall_now));
        }
        batch
    }

    /// Marks one message as received, or moves it to the dead letters.
    fn take(&self, state: &mut State, sequence: u64, now: Instant, wall_now: TimestampMs) -> Option<Received> {
        let message = state.messages.get_mut(&sequence)?;
        if message.received.receive_count == self.config.receives_max {
            let body = state.messages.remove(&sequence)?.received.body;
            tracing::warn!(receives = self.config.receives_max, %body, "an event is given up: it is a dead letter now");
            state.dead.push(body);
            return None;
        }
        if message.received.receive_count == 0 {
            message.received.first_received_at = wall_now;
        }
        message.received.receive_count += 1;
        message.visible_at = now + self.config.visibility_timeout;
        Some(message.received.clone())
    }

    /// Removes a message for good.
    pub fn delete(&self, message: &Received) {
        self.lock().messages.remove(&message.sequence);
    }

    /// How many messages are in it, invisible ones included.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events came, lost ones included.
    pub fn sent(&self) -> u64 {
        self.lock().sent
    }

    /// The messages that were given up.
    pub fn dead_letters(&self) -> Vec<String> {
        self.lock().dead.clone()
    }

    /// Wakes whoever waits in [`Self::changed`]; for a fault that was switched off.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Waits until a message arrives, or for a moment: messages also become visible by time alone.
    pub async fn changed(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(100), self.changed.notified()).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventFault;

    const WALL: TimestampMs = TimestampMs(0);

    fn queue() -> (EventQueue, Instant) {
        delayed(Duration::ZERO)
    }

    fn delayed(delay: Duration) -> (EventQueue, Instant) {
        let config = QueueConfig {
            delay,
            visibility_timeout: Duration::from_secs(60),
            receives_max: 2,
        };
        (EventQueue::new(config), Instant::now())
    }

    fn bodies(batch: &[Received]) -> Vec<&str> {
        batch.iter().map(|message| message.body.as_str()).collect()
    }

    #[test]
    fn a_message_comes_back_after_its_visibility_timeout_unless_deleted() {
        let (queue, now) = queue();
        queue.send("kept", now, WALL);
        queue.send("deleted", now, WALL);
        let batch = queue.receive(10, now, WALL);
        assert_eq!(bodies(&batch), ["kept", "deleted"]);
        queue.delete(&batch[1]);
        assert_eq!(queue.receive(10, now + Duration::from_secs(59), WALL), []);
        let again = queue.receive(10, now + Duration::from_secs(60), WALL);
        assert_eq!(bodies(&again), ["kept"]);
        assert_eq!(again[0].receive_count, 2);
    }

    #[test]
    fn a_delay_holds_a_new_message_back_once() {
        let (queue, now) = delayed(Duration::from_secs(5));
        queue.send("delayed", now, WALL);
        assert_eq!(queue.receive(10, now + Duration::from_millis(4999), WALL), []);
        assert_eq!(queue.len(), 1);
        let received = now + Duration::from_secs(5);
        assert_eq!(bodies(&queue.receive(10, received, WALL)), ["delayed"]);
        // It comes back after the visibility timeout alone.
        let again = queue.receive(10, received + Duration::from_secs(60), WALL);
        assert_eq!(bodies(&again), ["delayed"]);
    }

    #[test]
    fn a_message_received_too_often_becomes_a_dead_letter() {
        let (queue, now) = queue();
        queue.send("poison", now, WALL);
        for tries in 0..2 {
            assert_eq!(queue.receive(10, now + tries * Duration::from_secs(60), WALL).len(), 1);
        }
        assert_eq!(queue.receive(10, now + Duration::from_secs(120), WALL), []);
        assert_eq!((queue.dead_letters(), queue.len()), (vec!["poison".to_owned()], 0));
    }

    #[test]
    fn faults_hold_drop_double_delay_and_reverse() {
        let (queue, now) = queue();
        queue.faults().set_hold(true);
        queue.send("one", now, WALL);
        queue.send("two", now, WALL);
        assert_eq!(queue.receive(10, now, WALL), []);
        queue.faults().set_hold(false);
        queue.faults().set_reverse(true);
        assert_eq!(bodies(&queue.receive(10, now, WALL)), ["two", "one"]);
        queue.faults().set_drop(true);
        queue.send("lost", now, WALL);
        queue.faults().set_drop(false);
        queue.faults().set_duplicate(true);
        queue.faults().set_delay(Duration::from_secs(1));
        queue.send("twice", now, WALL);
        assert_eq!(queue.receive(10, now, WALL), []);
        assert_eq!(
            bodies(&queue.receive(10, now + Duration::from_secs(1), WALL)),
            ["twice", "twice"]
        );
    }

    #[test]
    fn faults_meet_as_many_events_as_their_probabilities_say() {
        let (queue, now) = queue();
        queue.faults().set_rate(EventFault::Drop, 0.2);
        queue.faults().set_rate(EventFault::Duplicate, 0.3);
        queue.faults().set_rate(EventFault::Reorder, 0.5);
        for n in 0..1000 {
            queue.send(&n.to_string(), now, WALL);
        }
        let counts = [EventFault::Drop, EventFault::Duplicate].map(|fault| queue.faults().count(fault));
        assert!(
            (150..250).contains(&counts[0]) && (180..300).contains(&counts[1]),
            "{counts:?}"
        );
        assert_eq!(queue.len() as u64, 1000 - counts[0] + counts[1]);
        let at_once = queue.receive(2000, now, WALL).len() as u64;
        assert_eq!(at_once, queue.len() as u64 - queue.faults().count(EventFault::Reorder));
        queue.faults().heal();
        queue.send("healed", now, WALL);
        assert_eq!(bodies(&queue.receive(10, now, WALL)), ["healed"]);
    }
}

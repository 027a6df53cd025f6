mod cases;
mod clients;
mod simulation;

use std::collections::BTreeMap;

use tokio::time::Instant;
use types::TopicId;
use uuid::Uuid;

use super::*;

/// The topics of a test.
#[derive(Clone, Debug, Default)]
struct World(BTreeMap<String, TopicShape>);

impl World {
    fn of(topics: &[(&str, i32)]) -> Self {
        let mut world = Self::default();
        topics.iter().for_each(|(name, count)| world.create(name, *count));
        world
    }

    /// Creates a topic, or one anew in its place.
    fn create(&mut self, name: &str, partition_count: i32) {
        let newest = self.0.values().map(|shape| shape.id.0.as_u128()).max();
        let id = TopicId(Uuid::from_u128(newest.unwrap_or_default() + 1));
        self.0.insert(name.to_owned(), TopicShape { id, partition_count });
    }
}

impl Topics for World {
    fn by_name(&self, name: &str) -> Option<TopicShape> {
        self.0.get(name).copied()
    }

    fn name_of(&self, id: TopicId) -> Option<String> {
        let mut topics = self.0.iter();
        topics.find(|(_, shape)| shape.id == id).map(|(name, _)| name.clone())
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// A coordinator with one group, and its clock.
#[derive(Debug)]
struct Coordinator {
    live: Live,
    world: World,
    limits: Limits,
    now: Instant,
}

impl Coordinator {
    fn new(world: World) -> Self {
        Self {
            live: Live::default(),
            world,
            limits: Limits::default(),
            now: Instant::now(),
        }
    }

    /// As the owner of a group does it: on a copy that is dropped when it fails.
    fn call<T, E>(&mut self, ask: impl FnOnce(&mut Live, &Moment<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut next = self.live.clone();
        let answer = ask(
            &mut next,
            &Moment {
                now: self.now,
                topics: &self.world,
                limits: &self.limits,
            },
        )?;
        self.live = next;
        Ok(answer)
    }

    fn heartbeat(&mut self, request: &Heartbeat) -> Result<HeartbeatAnswer, Refusal> {
        self.call(|live, moment| live.heartbeat(request, moment))
    }

    fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        let expired: Result<_, Refusal> = self.call(|live, moment| Ok(live.expire(moment)));
        expired.unwrap()
    }

    /// Another agent takes over; all it has is what was stored.
    fn change_hands(&mut self) {
        let read = ConsumerGroup::from_bytes(&self.live.group.to_bytes()).unwrap();
        assert_eq!(read, self.live.group);
        self.live = Live::take_over(read, self.now, &self.limits);
    }
}

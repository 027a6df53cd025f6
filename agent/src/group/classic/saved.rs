//! A classic group as it lies in its row: JSON that names its version, because it outlives the program that wrote it.
//!
//! Left out is what cannot outlive it: parked requests, timers, ids promised or never told.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use metastore::{GroupKind, GroupState};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::member::Member;
use super::{ClassicGroup, Phase};
use crate::group::ask::{Identity, JoinAsk, Protocol};
use crate::group::kind::UnreadableGroup;

/// The format that is written. Older ones are read; fields may be added with a default, anything else is a new version.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct SavedGroup {
    version: u32,
    protocol_name: String,
    leader: Option<String>,
    members: Vec<SavedMember>,
}

#[derive(Serialize, Deserialize)]
struct SavedMember {
    id: String,
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    session_timeout_ms: u64,
    rebalance_timeout_ms: u64,
    protocols: Vec<SavedProtocol>,
    assignment: Base64,
}

#[derive(Serialize, Deserialize)]
struct SavedProtocol {
    name: String,
    metadata: Base64,
}

/// Bytes as text.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[derive(Clone)]
struct Base64(Bytes);

impl TryFrom<String> for Base64 {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(|bytes| Self(bytes.into()))
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        STANDARD.encode(bytes.0)
    }
}

impl ClassicGroup {
    /// What is written of the group.
    pub fn state(&self) -> GroupState {
        let known = self.members.iter().filter(|(_, member)| member.knows_id);
        let members: Vec<SavedMember> = known.map(|(id, member)| SavedMember::of(id, member)).collect();
        let member_count = i32::try_from(members.len()).unwrap_or(i32::MAX);
        let saved = SavedGroup {
            version: VERSION,
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            members,
        };
        let content = serde_json::to_vec(&saved).expect("texts and numbers are always JSON");
        GroupState {
            kind: GroupKind::Classic,
            generation: self.generation,
            state: self.state_name().to_owned(),
            protocol_type: self.protocol_type.clone(),
            member_count,
            content: Some(content),
        }
    }

    /// The group that was written. Its members' sessions start now: they have to find us first.
    pub fn load(state: &GroupState, now: Instant) -> Result<Self, UnreadableGroup> {
        let mut group = Self::empty(state);
        let Some(content) = &state.content else {
            return Ok(group);
        };
        let unreadable = |error: serde_json::Error| UnreadableGroup(error.to_string());
        let saved: SavedGroup = serde_json::from_slice(content).map_err(unreadable)?;
        if saved.version != VERSION {
            return Err(UnreadableGroup(format!("format {}", saved.version)));
        }
        group.protocol_name = saved.protocol_name;
        group.leader = saved.leader;
        let members = saved.members.into_iter();
        group.members = members.map(|member| (member.id.clone(), member.load(now))).collect();
        group.resume(&state.state, now);
        Ok(group)
    }

    fn empty(state: &GroupState) -> Self {
        Self {
            phase: Phase::Empty,
            generation: state.generation,
            protocol_type: state.protocol_type.clone(),
            protocol_name: String::new(),
            leader: None,
            members: Default::default(),
            promised: Default::default(),
            unsynced: Default::default(),
            sync_deadline: None,
            changed: false,
        }
    }

    /// Goes on where the group stood. Whoever joined a rebalance and was not answered joins again.
    fn resume(&mut self, state: &str, now: Instant) {
        let deadline = now + self.rebalance_timeout();
        if self
            .leader
            .as_ref()
            .is_some_and(|leader| !self.members.contains_key(leader))
        {
            self.leader = self.members.keys().next().cloned();
        }
        self.phase = match state {
            _ if self.members.is_empty() => Phase::Empty,
            "Stable" => Phase::Stable,
            "CompletingRebalance" => {
                self.unsynced = self.members.keys().cloned().collect();
                self.sync_deadline = Some(deadline);
                Phase::Completing
            }
            _ => Phase::Preparing {
                deadline,
                initial: None,
            },
        };
    }
}

impl SavedMember {
    fn of(id: &str, member: &Member) -> Self {
        let protocols = member.protocols.iter().map(|protocol| SavedProtocol {
            name: protocol.name.clone(),
            metadata: Base64(protocol.metadata.clone()),
        });
        Self {
            id: id.to_owned(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: millis(member.session_timeout),
            rebalance_timeout_ms: millis(member.rebalance_timeout),
            protocols: protocols.collect(),
            assignment: Base64(member.assignment.clone()),
        }
    }

    fn load(self, now: Instant) -> Member {
        let protocols = self.protocols.into_iter().map(|protocol| Protocol {
            name: protocol.name,
            metadata: protocol.metadata.0,
        });
        let join = JoinAsk {
            member: Identity {
                member_id: self.id,
                instance_id: self.instance_id,
            },
            client_id: self.client_id,
            client_host: self.client_host,
            protocol_type: String::new(),
            protocols: protocols.collect(),
            session_timeout: Duration::from_millis(self.session_timeout_ms),
            rebalance_timeout: Duration::from_millis(self.rebalance_timeout_ms),
            requires_known_id: false,
            can_skip_assignment: false,
        };
        let mut member = Member::new(join, true, now).known(now);
        member.assignment = self.assignment.0;
        member
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

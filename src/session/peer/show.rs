//! What the peer tells those who ask.

use std::time::{Duration, Instant};

use bgp_codec::{FamilySet, PeerKind, Role};

use super::dialer::Rest;
use super::{Core, Running, Statistics};
use crate::session::negotiate::Agreement;
use crate::session::settings::{PeerAddress, RemoteAsn};
use crate::session::status::{MessageCounts, ROUTE_REFRESH, State, Status};

impl Statistics {
    pub(super) fn new() -> Self {
        Self {
            shown: State::Idle,
            since: None,
            established_count: 0,
            flaps: 0,
            sent: MessageCounts::default(),
            received: MessageCounts::default(),
            bytes_sent: 0,
            bytes_received: 0,
            last_error: None,
            revision: 0,
        }
    }
}

impl Core {
    /// Grows whenever [`Core::status`] would differ in more than its counters.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.statistics.revision
    }

    /// Brings the counters of an earlier [`Core::status`] up to date.
    pub fn refresh_counters(&self, status: &mut Status) {
        let statistics = &self.statistics;
        status.messages_sent = statistics.sent;
        status.messages_received = statistics.received;
        status.bytes_sent = statistics.bytes_sent;
        status.bytes_received = statistics.bytes_received;
    }

    /// The peer as `stonechat peers` shows it; `unix_time` is that of `now`.
    #[must_use]
    pub fn status(&self, now: Instant, unix_time: Duration) -> Status {
        let settings = &self.settings;
        let furthest = self.connections.iter().max_by_key(|connection| connection.state);
        let agreement = furthest.and_then(|connection| connection.agreement.as_ref());
        let endpoints = furthest.map(|connection| connection.endpoints);
        let age = self
            .statistics
            .since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let configured_asn = match &settings.remote_asn {
            RemoteAsn::Is(asn) => Some(asn.0),
            RemoteAsn::Internal => Some(settings.local_asn.0),
            RemoteAsn::External | RemoteAsn::Any | RemoteAsn::Among(_) => None,
        };
        let mut status = Status {
            name: settings.name.clone(),
            group: settings.policy.group.clone(),
            description: settings.description.clone(),
            address: match settings.address {
                PeerAddress::Address(address) => address,
                PeerAddress::Range(range) => range.network(),
            },
            asn: agreement.map(|agreement| agreement.asn.0).or(configured_asn),
            local_asn: settings.local_asn.0,
            state: self.state(),
            is_self: self.running == Running::IsSelf,
            shutdown: self.shutdown.is_some(),
            since_unix_s: unix_time.saturating_sub(age).as_secs(),
            bgp_identifier: agreement.map(|agreement| agreement.bgp_identifier),
            local: endpoints.map(|endpoints| endpoints.local),
            remote: endpoints.map(|endpoints| endpoints.remote),
            hold_time_s: agreement
                .map_or(settings.hold_time, |agreement| agreement.hold_time)
                .as_secs(),
            keepalive_time_s: agreement.map_or(0, |agreement| agreement.keepalive_time.as_secs()),
            families: names(agreement.map_or(settings.families, |agreement| agreement.negotiated.families)),
            capabilities: agreement.map(capabilities).unwrap_or_default(),
            flaps: self.statistics.flaps,
            established_count: self.statistics.established_count,
            messages_sent: MessageCounts::default(),
            messages_received: MessageCounts::default(),
            bytes_sent: 0,
            bytes_received: 0,
            last_error: self.statistics.last_error.clone(),
            notes: self.notes(agreement, now),
        };
        self.refresh_counters(&mut status);
        status
    }

    fn notes(&self, agreement: Option<&Agreement>, now: Instant) -> Vec<String> {
        let mut notes = Vec::new();
        let policy = &self.settings.policy;
        for (chain, direction) in [(&policy.import, "import"), (&policy.export, "export")] {
            if chain.is_no_policy() {
                notes.push(format!(
                    "no {direction} filters: carries nothing in that direction (RFC 8212)"
                ));
            }
        }
        if let Some(text) = &self.shutdown {
            notes.push(format!("administratively down: {text}"));
        }
        match self.dialer.rest {
            Rest::No => {}
            Rest::Until(_) => notes.push("keeps failing: waits in Idle before the next attempt".into()),
            Rest::ForEver => notes.push("stays down until it is reset or enabled".into()),
        }
        if self.retained_until.is_some_and(|until| now < until) {
            notes.push("its routes are kept for a graceful restart".into());
        }
        let missing = agreement.map_or(FamilySet::EMPTY, |agreement| {
            let negotiated = agreement.negotiated.families;
            self.settings
                .families
                .iter()
                .filter(|family| !negotiated.contains(*family))
                .collect()
        });
        if !missing.is_empty() {
            notes.push(format!("the peer did not announce {}", names(missing).join(", ")));
        }
        notes
    }
}

fn names(families: FamilySet) -> Vec<String> {
    families.iter().map(|family| family.to_string()).collect()
}

/// What was negotiated, in words.
fn capabilities(agreement: &Agreement) -> Vec<String> {
    let negotiated = &agreement.negotiated;
    let mut words: Vec<String> = Vec::new();
    let mut say = |holds: bool, word: &str| {
        if holds {
            words.push(word.into());
        }
    };
    say(agreement.kind == PeerKind::Internal, "internal");
    say(agreement.kind == PeerKind::External, "external");
    say(negotiated.four_octet_asn, "4-octet AS");
    say(negotiated.route_refresh, ROUTE_REFRESH);
    say(negotiated.enhanced_route_refresh, "enhanced route refresh");
    say(
        negotiated.max_message > bgp_codec::MAX_MESSAGE,
        "extended message",
    );
    say(negotiated.extended_next_hop, "extended next hop");
    for family in negotiated.add_path_receive.iter() {
        say(true, &format!("add-path receive {family}"));
    }
    for family in negotiated.add_path_send.iter() {
        say(true, &format!("add-path send {family}"));
    }
    if let Some((ours, theirs)) = agreement.roles {
        let theirs = theirs.map_or("unsaid", role_name);
        say(true, &format!("role {} (the peer's: {theirs})", role_name(ours)));
    }
    if let Some(name) = &agreement.hostname {
        say(true, &format!("hostname {name}"));
    }
    if let Some(version) = &agreement.software {
        say(true, &format!("software {version}"));
    }
    if let Some(graceful) = &agreement.graceful_restart {
        let kept = names(graceful.families).join(", ");
        say(
            true,
            &format!("graceful restart {} s ({kept})", graceful.restart_time.as_secs()),
        );
        say(graceful.notification, "graceful restart with notification");
        for (family, time) in &graceful.long_lived.times {
            let time = time.as_secs();
            say(true, &format!("long-lived graceful restart {time} s ({family})"));
        }
    }
    words
}

/// A role in the words of the configuration.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Provider => "provider",
        Role::RouteServer => "route-server",
        Role::RouteServerClient => "route-server-client",
        Role::Customer => "customer",
        Role::Peer => "peer",
        Role::Unassigned(_) => "unassigned",
    }
}

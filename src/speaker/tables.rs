//! What VIPs wish to know of the tables: whether they are complete since the start, and whether a route is there.
//!
//! The shard says when a prefix that a VIP depends on has been decided, and is asked then. Nobody says when all peers have
//! told all their routes and the kernel holds them; that is asked a few times a second, for the first seconds after a start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;

use super::answer::Answerer;
use crate::rib::explain::{Answer, Query, View};
use crate::session::status::State;
use crate::vip::settings::RouteDependency;
use crate::vip::{Outside, Wishes};

/// Between two questions about completeness.
const PAUSE: Duration = Duration::from_millis(250);

/// Paths of one prefix that are looked at.
const MOST_PATHS: usize = 1;

/// Grants wishes for as long as there may be any; must be spawned.
pub(super) async fn watch(rooms: Answerer, deadline: Instant) {
    let mut outside = Outside::default();
    let mut watched = BTreeSet::new();
    loop {
        let Wishes { routes, completeness } = rooms.vips.wishes();
        let prefixes: BTreeSet<IpNet> = routes.iter().map(|route| route.prefix).collect();
        if watched != prefixes {
            watched.clone_from(&prefixes);
            // Before the question, so that nothing is decided between the two unheard.
            rooms.rib.watch(prefixes).await;
        }
        let before = outside.clone();
        if completeness {
            // In this order, one round each: what is selected in this one is on its way to the kernel in the next.
            outside.kernel |= outside.selected && kernel_is_complete(&rooms).await;
            outside.end_of_rib |= peers_have_told_all(&rooms, deadline).await;
            outside.selected |= outside.end_of_rib && all_is_decided(&rooms).await;
        }
        let mut there = BTreeSet::new();
        for route in routes {
            if has(&rooms, &route).await {
                there.insert(route);
            }
        }
        outside.routes = there;
        if outside != before {
            rooms.vips.outside(outside.clone());
        }
        let again = async {
            if rooms.vips.wishes().completeness {
                tokio::time::sleep(PAUSE).await;
            } else {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = rooms.vips.wishes_changed() => {}
            () = rooms.rib.watched_decided() => {}
            () = again => {}
        }
    }
}

/// The tables have been read, and nothing that was selected waits for the kernel.
async fn kernel_is_complete(rooms: &Answerer) -> bool {
    let status = rooms.kernel.status().await;
    status.is_some_and(|status| !status.active || status.ready && status.routes.pending == 0)
}

/// No prefix waits to be decided; after a restart they all do until selection begins.
async fn all_is_decided(rooms: &Answerer) -> bool {
    let counters = rooms.counters().await;
    counters.is_ok_and(|counters| counters.undecided == 0)
}

/// Every peer that is Established has sent its End-of-RIB, and there is one; after the deadline one that is Established is
/// enough, because some never send any.
async fn peers_have_told_all(rooms: &Answerer, deadline: Instant) -> bool {
    let statuses = rooms.sessions.statuses();
    let wanted = statuses.iter().filter(|peer| !peer.is_self && !peer.shutdown);
    let (up, down): (Vec<_>, Vec<_>) = wanted.partition(|peer| peer.state == State::Established);
    if up.is_empty() {
        return down.is_empty();
    }
    if Instant::now() >= deadline {
        return true;
    }
    let Ok(counters) = rooms.counters().await else {
        return false;
    };
    let told = |name: &Arc<str>| {
        let mut families = counters
            .peers
            .iter()
            .filter(|count| count.name == *name)
            .peekable();
        families.peek().is_some() && families.all(|count| count.end_of_rib_received)
    };
    down.is_empty() && up.iter().all(|peer| told(&peer.name))
}

/// Whether there is a usable path to exactly this prefix, from one of the peers.
async fn has(rooms: &Answerer, wanted: &RouteDependency) -> bool {
    let prefix: IpNet = wanted.prefix;
    let query = Query::Routes {
        view: View::Best,
        family: None,
        within: Some(prefix),
        after: None,
        limit: MOST_PATHS,
    };
    let Some(Answer::Routes { routes, .. }) = rooms.rib.query(query).await else {
        return false;
    };
    let from = |source: &Arc<str>| wanted.peers.is_empty() || wanted.peers.contains(source);
    routes
        .iter()
        .any(|route| route.prefix == prefix && (route.best || route.multipath) && from(&route.source))
}

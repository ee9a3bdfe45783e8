//! Routes that are read from the kernel's table.
//!
//! Several kernel routes to one prefix differ in their metrics; the source announces one route, from the one that the
//! kernel prefers among those that match.

use std::collections::BTreeMap;
use std::sync::Arc;

use bgp_codec::{Origin, PathAttributes};

use super::attributes;
use super::settings::{KernelMatch, Source};
use crate::route::{
    FromKernel, KernelRoute, KernelRouteKind, KernelTableChange, LocalRoute, OriginKind, Prefix, TableId,
};

/// The kernel's routes, those of our own protocol left out.
#[derive(Debug)]
pub(super) struct KernelTable {
    own_protocol: u8,
    routes: BTreeMap<(TableId, Prefix, u32), KernelRoute>,
    loaded: bool,
}

impl KernelTable {
    pub(super) fn new(own_protocol: u8) -> Self {
        Self {
            own_protocol,
            routes: BTreeMap::new(),
            loaded: false,
        }
    }

    /// What carries this protocol now is ours, and is not taken in any more.
    pub(super) fn set_own_protocol(&mut self, protocol: u8) {
        self.own_protocol = protocol;
        self.routes.retain(|_, route| route.protocol != protocol);
    }

    /// Whether the whole table has come once.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Takes in a change; the prefix that it concerns, or none if that is all of them.
    pub(super) fn apply(&mut self, change: KernelTableChange) -> Option<(TableId, Prefix)> {
        match change {
            KernelTableChange::Full(routes) => {
                self.loaded = true;
                self.routes.clear();
                for route in routes {
                    self.insert(route);
                }
                None
            }
            KernelTableChange::Added(route) => {
                let place = (route.table, route.prefix);
                if route.protocol == self.own_protocol {
                    // One of ours that replaced somebody else's under the same key leaves nothing to announce.
                    self.routes.remove(&(route.table, route.prefix, route.metric));
                } else {
                    self.insert(route);
                }
                Some(place)
            }
            KernelTableChange::Removed {
                table,
                prefix,
                metric,
            } => {
                self.routes.remove(&(table, prefix, metric));
                Some((table, prefix))
            }
        }
    }

    /// All routes that a source announces, one a prefix.
    pub(super) fn routes(&self, source: &Source, wanted: &KernelMatch) -> Vec<LocalRoute> {
        let attributes = attributes(Origin::Incomplete, source.extras());
        let mut routes: Vec<LocalRoute> = Vec::new();
        let of_table = self
            .routes
            .range((wanted.table, lowest(), 0)..)
            .take_while(|(key, _)| key.0 == wanted.table);
        for (_, route) in of_table.filter(|(_, route)| is_wanted(wanted, route)) {
            // In order of prefix, then metric: the first is the kernel's choice.
            if routes.last().is_none_or(|last| last.prefix != route.prefix) {
                routes.push(announcement(source, &attributes, route));
            }
        }
        routes
    }

    /// What a source announces for one prefix.
    pub(super) fn route(&self, source: &Source, wanted: &KernelMatch, prefix: Prefix) -> Option<LocalRoute> {
        if !has_prefix(wanted, prefix) {
            return None;
        }
        let mut metrics = self
            .routes
            .range((wanted.table, prefix, 0)..=(wanted.table, prefix, u32::MAX));
        let (_, route) = metrics.find(|(_, route)| is_wanted(wanted, route))?;
        Some(announcement(
            source,
            &attributes(Origin::Incomplete, source.extras()),
            route,
        ))
    }

    fn insert(&mut self, route: KernelRoute) {
        if route.protocol != self.own_protocol {
            self.routes
                .insert((route.table, route.prefix, route.metric), route);
        }
    }
}

fn announcement(source: &Source, attributes: &Arc<PathAttributes>, route: &KernelRoute) -> LocalRoute {
    LocalRoute {
        prefix: route.prefix,
        kind: OriginKind::Kernel,
        name: Arc::clone(&source.name),
        attributes: Arc::clone(attributes),
        from_kernel: Some(FromKernel {
            metric: route.metric,
            realm: route.realm,
        }),
    }
}

/// The least prefix in the order of prefixes.
fn lowest() -> Prefix {
    Prefix::V4(ipnet::Ipv4Net::default())
}

fn is_wanted(wanted: &KernelMatch, route: &KernelRoute) -> bool {
    fn any<T: PartialEq>(list: &[T], value: &T) -> bool {
        list.is_empty() || list.contains(value)
    }
    let kind = match route.kind {
        _ if !wanted.kinds.is_empty() => wanted.kinds.contains(&route.kind),
        KernelRouteKind::Unicast
        | KernelRouteKind::Blackhole
        | KernelRouteKind::Unreachable
        | KernelRouteKind::Prohibit => true,
        // Broadcast, multicast and anycast entries are local business as well.
        KernelRouteKind::Local | KernelRouteKind::Other(_) => false,
    };
    let interface = || {
        let name = route.interface.as_deref().unwrap_or_default();
        wanted.interfaces.is_empty() || wanted.interfaces.iter().any(|pattern| glob(pattern, name))
    };
    kind && wanted.table == route.table
        && any(&wanted.protocols, &route.protocol)
        && any(&wanted.scopes, &route.scope)
        && has_prefix(wanted, route.prefix)
        && wanted
            .metric
            .is_none_or(|(low, high)| (low..=high).contains(&route.metric))
        && wanted
            .realm
            .is_none_or(|(low, high)| (low..=high).contains(&route.realm))
        && interface()
}

/// Whether a route to this prefix may be wanted at all.
fn has_prefix(wanted: &KernelMatch, prefix: Prefix) -> bool {
    let length = prefix.prefix_len();
    (wanted.within.is_empty() || wanted.within.iter().any(|outer| outer.contains(&prefix)))
        && wanted.ge.is_none_or(|ge| length >= ge)
        && wanted.le.is_none_or(|le| length <= le)
        && !is_link_scoped(prefix)
}

/// Prefixes that mean nothing beyond a link or a host: every interface has fe80::/64 and ff00::/8.
fn is_link_scoped(prefix: Prefix) -> bool {
    match prefix {
        Prefix::V4(prefix) if prefix.prefix_len() > 0 => {
            let address = prefix.addr();
            address.is_loopback() || address.is_link_local() || address.is_multicast()
        }
        Prefix::V6(prefix) if prefix.prefix_len() > 0 => {
            let address = prefix.addr();
            address.is_loopback() || address.is_unicast_link_local() || address.is_multicast()
        }
        Prefix::V4(_) | Prefix::V6(_) => false,
    }
}

/// Shell-style matching with `*` and `?`. On a mismatch only the latest `*` grows, so the work is at most pattern times name.
fn glob(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let mut resume: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = pattern.clone();
        match (ahead.next(), name.clone().next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                resume = Some((ahead.clone(), name.clone()));
                pattern = ahead;
                continue;
            }
            (Some(wanted), Some(actual)) if wanted == '?' || wanted == actual => {
                pattern = ahead;
                name.next();
                continue;
            }
            _ => {}
        }
        // Let the latest `*` take one character more.
        let Some((after_star, mut at)) = resume.take() else {
            return false;
        };
        if at.next().is_none() {
            return false;
        }
        pattern = after_star.clone();
        name = at.clone();
        resume = Some((after_star, at));
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs_match_as_a_shell_would() {
        for (pattern, name, expected) in [
            ("cali*", "cali123", true),
            ("cali*", "eth0", false),
            ("*", "", true),
            ("eth?", "eth0", true),
            ("eth?", "eth10", false),
            ("*a*b", "xxaxxab", true),
            ("*a*b", "xxaxxa", false),
            ("", "x", false),
            ("a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }
}

//! Who announces a VIP: whom we tell, and from whom else we hear of it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::rib::explain::{Explanation, PathStory};
use crate::vip;

/// Who we are.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Our AS.
    pub asn: u32,
    /// Our BGP Identifier.
    pub router_id: Ipv4Addr,
}

/// One VIP, with everybody who announces it as far as we hear.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VipReport {
    /// The VIP.
    #[serde(flatten)]
    pub status: vip::Status,
    /// Peers that have been told of it.
    pub told: Vec<Arc<str>>,
    /// Paths to it that peers tell us.
    pub heard: Vec<Heard>,
    /// What deserves a look.
    pub warnings: Vec<String>,
}

/// A path to a VIP's address that a peer tells us.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Heard {
    /// The peer.
    pub from: Arc<str>,
    /// Where it leads.
    pub next_hop: Option<IpAddr>,
    /// AS_PATH; empty inside our AS.
    pub as_path: String,
    /// Who brought it into our AS, where a reflector says so.
    pub originator: Option<IpAddr>,
    /// It is our own announcement, come back: the peer, and whoever is behind it, accepted it.
    pub own: bool,
}

impl VipReport {
    /// Joins what the VIP says with the paths that the RIB holds.
    #[must_use]
    pub fn join(status: vip::Status, story: Option<&Explanation>, we: Identity) -> Self {
        let exports = story.into_iter().flat_map(|story| &story.exports);
        let told = exports.filter(|export| export.advertised);
        let paths = story.into_iter().flat_map(|story| &story.paths);
        // Our own path has no next hop.
        let heard: Vec<Heard> = paths
            .filter(|path| path.route.next_hop.is_some())
            .map(|path| heard(path, we))
            .collect();
        let strangers = heard.iter().filter_map(|heard| {
            let origin = heard.origin(we);
            let known =
                origin == Some(we.asn) || origin.is_some_and(|origin| status.origins.contains(&origin));
            let who = origin.map_or_else(|| String::from("an AS_SET"), |origin| format!("AS {origin}"));
            (!known).then(|| format!("{who} announces it too, heard from {}", heard.from))
        });
        Self {
            told: told.map(|export| Arc::clone(&export.peer)).collect(),
            warnings: status.warnings.iter().cloned().chain(strangers).collect(),
            heard,
            status,
        }
    }

    /// Nodes other than this one that announce it, as far as we hear: next hops are counted once.
    #[must_use]
    pub fn others(&self) -> usize {
        let others = self.heard.iter().filter(|heard| !heard.own);
        let nodes: std::collections::BTreeSet<Option<IpAddr>> =
            others.map(|heard| heard.originator.or(heard.next_hop)).collect();
        nodes.len()
    }
}

fn heard(path: &PathStory, we: Identity) -> Heard {
    let route = &path.route;
    Heard {
        from: Arc::clone(&route.source),
        next_hop: route.next_hop,
        as_path: route.as_path.clone(),
        originator: route.originator_id,
        // RFC 4456 §8: a reflector names whom it has the route from.
        own: route.originator_id == Some(IpAddr::V4(we.router_id)),
    }
}

impl Heard {
    /// The AS that originated it; none where an AS_SET hides it.
    fn origin(&self, we: Identity) -> Option<u32> {
        match self.as_path.split_whitespace().last() {
            None => Some(we.asn),
            Some(last) => last.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rib::explain::{ExportStory, RouteEntry};
    use crate::vip::Verdict;

    const WE: Identity = Identity {
        asn: 64_512,
        router_id: Ipv4Addr::new(192, 0, 2, 1),
    };

    #[test]
    fn others_are_counted_and_our_own_come_back_is_not_one() {
        let story = Explanation {
            paths: vec![
                path("vip:shop", None, "", None),
                path("rr", Some("192.0.2.1"), "", Some("192.0.2.1")),
                path("rr", Some("192.0.2.2"), "", Some("192.0.2.2")),
                path("rr-b", Some("192.0.2.2"), "", Some("192.0.2.2")),
                path("tor", Some("192.0.2.3"), "65001 64512", None),
            ],
            exports: vec![export("rr", true), export("tor", false)],
            ..Explanation::default()
        };
        let report = VipReport::join(status(&[]), Some(&story), WE);
        assert_eq!(report.told, ["rr".into()]);
        assert_eq!((report.heard.len(), report.others()), (4, 2));
        assert!(report.heard[0].own && !report.heard[1].own);
        assert_eq!(report.warnings, [""; 0]);
    }

    #[test]
    fn an_announcement_from_elsewhere_is_a_warning() {
        let story = Explanation {
            paths: vec![path("tor", Some("192.0.2.3"), "65001 65009", None)],
            ..Explanation::default()
        };
        let report = VipReport::join(status(&[]), Some(&story), WE);
        assert_eq!(report.warnings, ["AS 65009 announces it too, heard from tor"]);
        let report = VipReport::join(status(&[65_009]), Some(&story), WE);
        assert_eq!(report.warnings, [""; 0]);
    }

    fn export(peer: &str, advertised: bool) -> ExportStory {
        ExportStory {
            peer: peer.into(),
            advertised,
            reason: String::new(),
            pending: false,
            group: None,
        }
    }

    fn path(source: &str, next_hop: Option<&str>, as_path: &str, originator: Option<&str>) -> PathStory {
        PathStory {
            route: RouteEntry {
                prefix: "192.0.2.10/32".parse().unwrap(),
                path_id: 0,
                source: source.into(),
                next_hop: next_hop.map(|address| address.parse().unwrap()),
                origin: "igp".into(),
                as_path: as_path.into(),
                local_pref: 100,
                med: None,
                weight: 0,
                tag: 0,
                table: None,
                communities: vec![],
                originator_id: originator.map(|address| address.parse().unwrap()),
                cluster_list: vec![],
                best: false,
                multipath: false,
                stale: false,
                unusable: None,
                age_s: 0,
            },
            import: String::new(),
            decision: String::new(),
        }
    }

    fn status(origins: &[u32]) -> vip::Status {
        vip::Status {
            name: "shop".into(),
            address: "192.0.2.10/32".parse().unwrap(),
            verdict: Verdict::Up,
            drain: None,
            announced: true,
            held: None,
            saved: false,
            since_unix_s: 0,
            transitions_total: 0,
            damped_total: 0,
            damped_until_unix_s: None,
            bound: None,
            bandwidth_bits: None,
            warnings: vec![],
            origins: origins.to_vec(),
            checks: vec![],
        }
    }
}

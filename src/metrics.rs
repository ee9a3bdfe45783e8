//! Metrics: a page in the Prometheus text format, rendered from a snapshot each time somebody asks.
//!
//! Nothing is counted here. The counts come from those who own them (a session counts its flaps, a VIP its
//! transitions), so a change between two scrapes is never missed and no second copy can disagree. `bgp_` is for
//! sessions and routes, `stonechat_` for the rest.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

/// Everything that a scrape shows, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Seconds since the process started.
    pub uptime_s: u64,
    /// Each peer, its own counts.
    pub peers: Vec<Peer>,
    /// Each peer and family.
    pub families: Vec<PeerFamily>,
    /// The RIB.
    pub rib: Rib,
    /// Routes in the kernel by kind (`installed`, `failed`, `rejected`, `imported`).
    pub fib: Vec<(&'static str, u64)>,
    /// Each VIP.
    pub vips: Vec<Vip>,
    /// Reloads by result (`applied`, `unchanged`, `refused`, `undone`).
    pub reloads: Vec<(&'static str, u64)>,
    /// Each part of the daemon and whether it is well, as `/readyz` has it.
    pub parts: Vec<(String, bool)>,
}

/// One peer.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// 1 Idle, 2 Connect, 3 Active, 4 OpenSent, 5 OpenConfirm, 6 Established, as `bgpPeerState` has it (RFC 4273 §3).
    pub state: u64,
    /// Times it reached Established.
    pub established: u64,
    /// Times it left Established.
    pub flaps: u64,
    /// Messages sent, by kind.
    pub sent: Vec<(&'static str, u64)>,
    /// Messages received, by kind.
    pub received: Vec<(&'static str, u64)>,
    /// Octets.
    pub bytes_sent: u64,
    /// Octets.
    pub bytes_received: u64,
}

/// One peer in one family.
#[derive(Clone, Debug, Default)]
pub struct PeerFamily {
    /// The peer's name.
    pub peer: String,
    /// The family.
    pub family: String,
    /// Prefixes by stage (`received`, `accepted`, `best`, `advertised`, `stale`, `pending`).
    pub stages: Vec<(&'static str, u64)>,
    /// UPDATEs with an RFC 7606 treatment in this session.
    pub malformed: u64,
    /// Ignored for the rest of the session (RFC 7606 §7).
    pub disabled: bool,
}

/// The RIB as a whole.
#[derive(Clone, Debug, Default)]
pub struct Rib {
    /// Prefixes with a best path.
    pub prefixes: u64,
    /// Paths held.
    pub paths: u64,
    /// Distinct attribute sets.
    pub attribute_sets: u64,
    /// Update groups.
    pub groups: u64,
    /// Octets in all rings.
    pub ring_bytes: u64,
    /// Octets by what they are used for.
    pub memory: Vec<(Arc<str>, u64)>,
}

/// One VIP.
#[derive(Clone, Debug, Default)]
pub struct Vip {
    /// Its name.
    pub name: String,
    /// Announced.
    pub up: bool,
    /// Its verdict: 0 unknown, 1 down, 2 disabled, 3 degraded, 4 up.
    pub verdict: u64,
    /// Times it was held down for having gone down too often.
    pub damped: u64,
    /// Changes of its verdict.
    pub transitions: u64,
    /// Probes passed.
    pub passed: u64,
    /// Probes failed.
    pub failed: u64,
}

/// The value of the `Content-Type` header of a rendered page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Renders the page.
///
/// # Errors
/// When a name breaks the format's rules, which no name here does.
pub fn render(snapshot: &Snapshot) -> Result<String, prometheus::Error> {
    let page = Page(Registry::new());
    page.peers(&snapshot.peers)?;
    page.families(&snapshot.families)?;
    page.rib(&snapshot.rib)?;
    page.vips(&snapshot.vips)?;
    page.daemon(snapshot)?;
    TextEncoder::new().encode_to_string(&page.0.gather())
}

type Added = Result<(), prometheus::Error>;

struct Page(Registry);

impl Page {
    fn peers(&self, peers: &[Peer]) -> Added {
        let peer =
            |value: fn(&Peer) -> u64| peers.iter().map(move |peer| ([peer.name.as_str()], value(peer)));
        let help =
            "State of the session: 1 Idle, 2 Connect, 3 Active, 4 OpenSent, 5 OpenConfirm, 6 Established";
        self.gauges("bgp_peer_state", help, ["peer"], peer(|peer| peer.state))?;
        let help = "Times the session reached Established";
        self.counters(
            "bgp_peer_established_total",
            help,
            ["peer"],
            peer(|peer| peer.established),
        )?;
        let help = "Times the session left Established";
        self.counters("bgp_peer_flaps_total", help, ["peer"], peer(|peer| peer.flaps))?;
        let help = "Octets sent to the peer";
        self.counters(
            "bgp_sent_bytes_total",
            help,
            ["peer"],
            peer(|peer| peer.bytes_sent),
        )?;
        let help = "Octets received from the peer";
        self.counters(
            "bgp_received_bytes_total",
            help,
            ["peer"],
            peer(|peer| peer.bytes_received),
        )?;
        let sent = peers.iter().flat_map(|peer| by_kind(&peer.name, &peer.sent));
        self.counters(
            "bgp_messages_sent_total",
            "Messages sent, by kind",
            ["peer", "kind"],
            sent,
        )?;
        let received = peers.iter().flat_map(|peer| by_kind(&peer.name, &peer.received));
        self.counters(
            "bgp_messages_received_total",
            "Messages received, by kind",
            ["peer", "kind"],
            received,
        )
    }

    fn families(&self, families: &[PeerFamily]) -> Added {
        let stages = families.iter().flat_map(|family| {
            let labels = |stage| [family.peer.as_str(), family.family.as_str(), stage];
            family
                .stages
                .iter()
                .map(move |(stage, count)| (labels(stage), *count))
        });
        let help = "Prefixes of the peer: received, accepted by import policy, best, advertised to it, stale, pending";
        self.gauges("bgp_prefixes", help, ["peer", "family", "stage"], stages)?;
        let malformed = families
            .iter()
            .map(|family| ([family.peer.as_str(), family.family.as_str()], family.malformed));
        let help = "UPDATEs that RFC 7606 calls malformed, in this session";
        let disabled = families.iter().map(|family| {
            (
                [family.peer.as_str(), family.family.as_str()],
                family.disabled.into(),
            )
        });
        self.gauges(
            "bgp_family_disabled",
            "1 for a family that the rest of the session does without, RFC 7606 section 7",
            ["peer", "family"],
            disabled,
        )?;
        self.gauges("bgp_malformed_updates", help, ["peer", "family"], malformed)
    }

    fn rib(&self, rib: &Rib) -> Added {
        let all = [
            ("bgp_loc_rib_prefixes", "Prefixes with a best path", rib.prefixes),
            ("bgp_loc_rib_paths", "Paths held", rib.paths),
            (
                "bgp_attribute_sets",
                "Distinct sets of path attributes held",
                rib.attribute_sets,
            ),
            (
                "bgp_update_groups",
                "Groups of peers that are sent the same bytes",
                rib.groups,
            ),
            (
                "bgp_update_ring_bytes",
                "Octets encoded and not yet written to all members",
                rib.ring_bytes,
            ),
        ];
        all.into_iter()
            .try_for_each(|(name, help, value)| self.gauges(name, help, [], [([], value)]))?;
        let help = "Octets that the RIB has asked for, by what they are used for";
        let memory = rib.memory.iter().map(|(kind, bytes)| ([&**kind], *bytes));
        self.gauges("stonechat_rib_memory_bytes", help, ["kind"], memory)
    }

    fn vips(&self, vips: &[Vip]) -> Added {
        let up = vips.iter().map(|vip| ([vip.name.as_str()], u64::from(vip.up)));
        self.gauges("stonechat_vip_up", "1 while the VIP is announced", ["vip"], up)?;
        let verdict = vips.iter().map(|vip| ([vip.name.as_str()], vip.verdict));
        let help = "Verdict: 0 unknown, 1 down, 2 disabled, 3 degraded, 4 up";
        self.gauges("stonechat_vip_verdict", help, ["vip"], verdict)?;
        let damped = vips.iter().map(|vip| ([vip.name.as_str()], vip.damped));
        let help = "Times the VIP was held down for having gone down too often";
        self.counters("stonechat_vip_damped_total", help, ["vip"], damped)?;
        let transitions = vips.iter().map(|vip| ([vip.name.as_str()], vip.transitions));
        let help = "Changes of the VIP's verdict";
        self.counters("stonechat_vip_transitions_total", help, ["vip"], transitions)?;
        let probes = vips.iter().flat_map(|vip| {
            let name = vip.name.as_str();
            [([name, "passed"], vip.passed), ([name, "failed"], vip.failed)]
        });
        self.counters(
            "stonechat_vip_checks_total",
            "Probes, by result",
            ["vip", "result"],
            probes,
        )
    }

    fn daemon(&self, snapshot: &Snapshot) -> Added {
        let help = "Routes that the kernel holds for us or should, by kind";
        let fib = snapshot.fib.iter().map(|(kind, count)| ([*kind], *count));
        self.gauges("stonechat_fib_routes", help, ["kind"], fib)?;
        let help = "Reloads of the configuration, by result";
        let reloads = snapshot.reloads.iter().map(|(result, count)| ([*result], *count));
        self.counters("stonechat_config_reloads_total", help, ["result"], reloads)?;
        let parts = snapshot
            .parts
            .iter()
            .map(|(part, well)| ([part.as_str()], u64::from(*well)));
        self.gauges(
            "stonechat_ready",
            "1 while the part is well; /readyz says why not",
            ["kind"],
            parts,
        )?;
        // The one label beside the usual ones: a build is known by nothing else.
        let build = [([env!("CARGO_PKG_VERSION")], 1)];
        self.gauges("stonechat_build_info", "Always 1", ["version"], build)?;
        let uptime = [([], snapshot.uptime_s)];
        self.gauges(
            "stonechat_uptime_seconds",
            "Seconds since the process started",
            [],
            uptime,
        )
    }

    fn gauges<'a, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        values: impl IntoIterator<Item = ([&'a str; N], u64)>,
    ) -> Added {
        let gauges = IntGaugeVec::new(Opts::new(name, help), &labels)?;
        for (labels, value) in values {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            gauges.get_metric_with_label_values(&labels)?.set(value);
        }
        self.add(gauges)
    }

    fn counters<'a, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        values: impl IntoIterator<Item = ([&'a str; N], u64)>,
    ) -> Added {
        let counters = IntCounterVec::new(Opts::new(name, help), &labels)?;
        for (labels, value) in values {
            counters.get_metric_with_label_values(&labels)?.inc_by(value);
        }
        self.add(counters)
    }

    fn add(&self, metrics: impl Collector + 'static) -> Added {
        self.0.register(Box::new(metrics))
    }
}

fn by_kind<'a>(
    name: &'a str,
    counts: &'a [(&'static str, u64)],
) -> impl Iterator<Item = ([&'a str; 2], u64)> {
    counts.iter().map(move |(kind, count)| ([name, *kind], *count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_counts_are_on_the_page_as_they_are() {
        let peer = Peer {
            name: "f5-a".into(),
            state: 6,
            established: 3,
            flaps: 2,
            sent: vec![("open", 3), ("update", 17)],
            received: vec![("keepalive", 9)],
            bytes_sent: 1_000,
            bytes_received: 19,
        };
        let page = page(&Snapshot {
            peers: vec![peer],
            ..Snapshot::default()
        });
        check(&page, "bgp_peer_state{peer=\"f5-a\"} 6");
        check(&page, "bgp_peer_established_total{peer=\"f5-a\"} 3");
        check(&page, "bgp_peer_flaps_total{peer=\"f5-a\"} 2");
        check(&page, "bgp_messages_sent_total{kind=\"update\",peer=\"f5-a\"} 17");
        check(
            &page,
            "bgp_messages_received_total{kind=\"keepalive\",peer=\"f5-a\"} 9",
        );
        check(&page, "bgp_sent_bytes_total{peer=\"f5-a\"} 1000");
        check(&page, "# TYPE bgp_peer_flaps_total counter");
    }

    #[test]
    fn prefixes_are_told_by_peer_family_and_stage() {
        let family = PeerFamily {
            peer: "node1".into(),
            family: "ipv4-unicast".into(),
            stages: vec![("received", 5), ("accepted", 4)],
            malformed: 1,
            disabled: true,
        };
        let rib = Rib {
            prefixes: 7,
            memory: vec![("paths".into(), 20)],
            ..Rib::default()
        };
        let page = page(&Snapshot {
            families: vec![family],
            rib,
            ..Snapshot::default()
        });
        check(
            &page,
            "bgp_prefixes{family=\"ipv4-unicast\",peer=\"node1\",stage=\"accepted\"} 4",
        );
        check(
            &page,
            "bgp_malformed_updates{family=\"ipv4-unicast\",peer=\"node1\"} 1",
        );
        check(
            &page,
            "bgp_family_disabled{family=\"ipv4-unicast\",peer=\"node1\"} 1",
        );
        check(&page, "bgp_loc_rib_prefixes 7");
    }

    #[test]
    fn vips_and_the_daemon_are_on_the_page() {
        let vip = Vip {
            name: "shop".into(),
            up: true,
            verdict: 3,
            damped: 1,
            transitions: 3,
            passed: 40,
            failed: 2,
        };
        let page = page(&Snapshot {
            uptime_s: 61,
            vips: vec![vip],
            fib: vec![("installed", 12)],
            reloads: vec![("refused", 1)],
            parts: vec![("kernel".into(), false)],
            ..Snapshot::default()
        });
        check(&page, "stonechat_vip_up{vip=\"shop\"} 1");
        check(&page, "stonechat_vip_verdict{vip=\"shop\"} 3");
        check(&page, "stonechat_vip_damped_total{vip=\"shop\"} 1");
        check(&page, "stonechat_vip_transitions_total{vip=\"shop\"} 3");
        check(
            &page,
            "stonechat_vip_checks_total{result=\"failed\",vip=\"shop\"} 2",
        );
        check(&page, "stonechat_fib_routes{kind=\"installed\"} 12");
        check(&page, "stonechat_config_reloads_total{result=\"refused\"} 1");
        check(&page, "stonechat_ready{kind=\"kernel\"} 0");
        check(&page, "stonechat_uptime_seconds 61");
        check(
            &page,
            concat!(
                "stonechat_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        );
    }

    #[test]
    fn names_that_need_escaping_do_not_break_the_page() {
        let peer = Peer {
            name: "a\"b\\c\nd".into(),
            state: 1,
            ..Peer::default()
        };
        let page = page(&Snapshot {
            peers: vec![peer],
            ..Snapshot::default()
        });
        check(&page, "bgp_peer_state{peer=\"a\\\"b\\\\c\\nd\"} 1");
    }

    fn page(snapshot: &Snapshot) -> String {
        render(snapshot).unwrap()
    }

    fn check(page: &str, line: &str) {
        assert!(
            page.lines().any(|found| found == line),
            "no line {line} in\n{page}"
        );
    }
}

//! What configuration says of a VIP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{Asn, Community, LargeCommunity};
use ipnet::IpNet;

use super::status::Verdict;

/// One `[[vip]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vip {
    /// Unique; filters match it in `source`.
    pub name: Arc<str>,
    /// What is announced.
    pub address: IpNet,
    /// How to know that it is served; none: always.
    pub checks: Vec<Check>,
    /// How many of the checks that can take it down must pass.
    pub quorum: Quorum,
    /// The verdict to begin with where none was saved: `Unknown`, `Up` or `Down`.
    pub start: Verdict,
    /// What its route carries while it is up.
    pub up: Carried,
    /// While it is degraded; none: as `up`.
    pub degraded: Option<Carried>,
    /// While it is disabled; none: it is withdrawn.
    pub disabled: Option<Carried>,
    /// The link bandwidth that its route carries.
    pub bandwidth: Option<Bandwidth>,
    /// The interface that is given the address while it is announced.
    pub bind: Option<Arc<str>>,
    /// Announced only while somebody has given the address to an interface.
    pub require_bound: bool,
    /// From its withdrawal to the removal of the address that `bind` added.
    pub drain: Duration,
    /// VIPs of one group are announced all or none.
    pub group: Option<Arc<str>>,
    /// What must be there for it to be announced.
    pub depends_on: Vec<Dependency>,
    /// What must have happened since the start for it to be announced.
    pub wait_for: WaitFor,
    /// How much change is too much.
    pub damping: Option<Damping>,
    /// Run at each change of the verdict.
    pub on_change: Option<Vec<String>>,
    /// Other ASes that may originate the address; ours always may.
    pub origins: Vec<Asn>,
}

impl Vip {
    /// A VIP without checks and with every default.
    #[must_use]
    pub fn new(name: Arc<str>, address: IpNet) -> Self {
        Self {
            name,
            address,
            checks: Vec::new(),
            quorum: Quorum::All,
            start: Verdict::Unknown,
            up: Carried::default(),
            degraded: None,
            disabled: None,
            bandwidth: None,
            bind: None,
            require_bound: false,
            drain: DRAIN,
            group: None,
            depends_on: Vec::new(),
            wait_for: WaitFor::default(),
            damping: None,
            on_change: None,
            origins: Vec::new(),
        }
    }
}

/// [`Vip::drain`] unless configured: as long as routers take to move, with a margin.
pub const DRAIN: Duration = Duration::from_secs(5);

/// How many of several checks must pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Quorum {
    /// Each.
    All,
    /// This many, at least 1.
    AtLeast(usize),
}

/// What a route carries.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Carried {
    /// Communities.
    pub communities: Vec<Community>,
    /// Large communities.
    pub large_communities: Vec<LargeCommunity>,
    /// MED.
    pub med: Option<u32>,
    /// LOCAL_PREF, for internal peers.
    pub local_pref: Option<u32>,
    /// How often our AS is put in front once more, for external peers.
    pub prepend: u8,
}

/// Where the value of the link bandwidth extended community comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Bandwidth {
    /// Bits per second.
    Fixed(u64),
    /// This many bits per second for each healthy check.
    PerHealthy(u64),
    /// The speed of this interface.
    Interface(Arc<str>),
}

/// Something that must be there for a VIP to be announced.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Dependency {
    /// Another VIP is announced.
    Vip(Arc<str>),
    /// There is a best route to exactly this prefix.
    Route(RouteDependency),
}

/// A route that a VIP depends on.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RouteDependency {
    /// Exactly this.
    pub prefix: IpNet,
    /// Learned from one of these peers; empty: from whomever.
    pub peers: Vec<Arc<str>>,
}

/// What must have happened since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WaitFor {
    /// What was selected is in the kernel.
    pub kernel: bool,
    /// The peers have told all their routes.
    pub end_of_rib: bool,
}

/// How much change is too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Damping {
    /// So many times down ..
    pub changes: u32,
    /// .. within this time ..
    pub window: Duration,
    /// .. and it stays withdrawn for so long after the last.
    pub hold: Duration,
}

/// A health check and its rhythm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// What is asked.
    pub probe: Probe,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// The same while the verdict may be about to change.
    pub fast_interval: Duration,
    /// Each probe is put off by up to this.
    pub jitter: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// Consecutive successes before it passes.
    pub rise: u32,
    /// Consecutive failures before it fails.
    pub fall: u32,
    /// What its failure makes of the VIP: `Down`, `Degraded` or `Disabled`.
    pub on_fail: Verdict,
}

/// What a check asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// A TCP connection opens.
    Tcp(SocketAddr),
    /// A `GET` is answered as expected.
    Http(HttpProbe),
    /// The command exits with 0.
    Command(Vec<String>),
    /// A name server answers.
    Dns(DnsProbe),
    /// A file is there, or with `absent` is not.
    File {
        /// Which.
        path: PathBuf,
        /// It must not be there.
        absent: bool,
    },
    /// An interface is up and has carrier.
    Interface(Arc<str>),
}

/// What a `GET` asks and expects.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpProbe {
    /// Where to connect.
    pub target: SocketAddr,
    /// `Host` header.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The status to expect; `None`: 200 to 399.
    pub status: Option<u16>,
    /// The body contains this.
    pub body: Option<String>,
    /// Over TLS.
    pub tls: Option<Tls>,
}

/// How a server proves who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// The name that it is asked by (SNI) and that its certificate must be for; a domain name or an address.
    pub server_name: String,
    /// Who may vouch for it; the system's bundle when absent.
    pub ca_file: Option<PathBuf>,
}

/// What a name server is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DnsProbe {
    /// Where.
    pub server: SocketAddr,
    /// The name, without a dot at its end.
    pub name: String,
    /// Which records.
    pub kind: DnsKind,
}

/// Which records are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DnsKind {
    /// Addresses, RFC 1035 §3.4.1.
    A,
    /// IPv6 addresses, RFC 3596 §2.1.
    Aaaa,
    /// The zone's own record, RFC 1035 §3.3.13; an answer without an error passes, even one without records.
    Soa,
}

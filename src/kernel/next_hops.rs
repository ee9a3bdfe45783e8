//! BGP next hops resolved through the kernel's table: whether they are reachable, and through which gateways.
//!
//! Pure. Resolution takes the longest match over the kernel's own routes and those that we install. A kernel route
//! names its immediate gateways already; a route of ours is followed through its BGP next hops, RFC 4271 §5.1.3 and
//! §9.1.2.1. A route that would resolve through itself is passed over in favour of the next shorter match, so mutual
//! recursion ends in a common covering route or in "unreachable", whatever order things arrive in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use smallvec::SmallVec;

use super::mirror::Mirror;
use super::wire::{Hop, Hops, Route};
use crate::rib::interface::{FibNextHop, Reachability};
use crate::route::{KernelRouteKind, Prefix, TableId};

/// Routes of ours are followed through this many others of ours.
const MAX_DEPTH: usize = 8;

/// A next hop in the kernel's terms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Resolution {
    /// Packets leave this way.
    Reachable {
        /// Metric of the route that decides; 0 when connected.
        metric: u32,
        /// The next hop is on a link of ours.
        connected: bool,
        /// Immediate gateways; never empty.
        hops: Hops,
    },
    /// There is no way.
    Unreachable(Unreachable),
}

/// Why a next hop cannot be used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Unreachable {
    /// The kernel's table has not been read yet.
    Unknown,
    /// Nothing matches.
    NoRoute,
    /// Only the default route matches, and it may not be used.
    OnlyDefault,
    /// It is an address of this node.
    Own,
    /// The route to it discards packets.
    Discarded(Prefix),
    /// The route to it leaves through an interface that is down.
    LinkDown(Prefix),
    /// The only route to it is one that it carries itself.
    Loop(Prefix),
    /// A link-local address without an interface.
    NoInterface,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the kernel's table has not been read yet"),
            Self::NoRoute => f.write_str("no route to it"),
            Self::OnlyDefault => {
                f.write_str("only the default route matches, and next_hop_via_default is false")
            }
            Self::Own => f.write_str("it is an address of this node"),
            Self::Discarded(prefix) => write!(f, "the route {prefix} discards packets"),
            Self::LinkDown(prefix) => write!(f, "the interface of route {prefix} is down"),
            Self::Loop(prefix) => write!(f, "route {prefix} resolves through itself"),
            Self::NoInterface => f.write_str("a link-local address without an interface"),
        }
    }
}

impl Resolution {
    /// What the RIB is told.
    pub(crate) fn reachability(&self) -> Reachability {
        match self {
            Self::Reachable {
                metric, connected, ..
            } => Reachability::Reachable {
                metric: *metric,
                connected: *connected,
            },
            Self::Unreachable(_) => Reachability::Unreachable,
        }
    }
}

/// A route of ours as resolution sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OwnRoute<'a> {
    /// To these BGP next hops.
    Via(&'a [FibNextHop]),
    /// A blackhole.
    Discard,
}

/// The routes that we install, or are about to.
pub(crate) trait OwnRoutes {
    /// The one to exactly this prefix, with its metric.
    fn own_route(&self, table: TableId, prefix: Prefix) -> Option<(u32, OwnRoute<'_>)>;
    /// Whether the table has one of this prefix length.
    fn has_length(&self, table: TableId, ipv6: bool, length: u8) -> bool;
}

/// Where and how to look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lookup {
    /// This table first, then main, as the kernel does when it checks a gateway.
    pub(crate) table: TableId,
    /// A default route counts.
    pub(crate) via_default: bool,
}

/// The next hops that somebody asked about.
#[derive(Debug, Default)]
pub(crate) struct NextHops {
    entries: BTreeMap<IpAddr, Entry>,
    dirty: BTreeSet<IpAddr>,
}

#[derive(Debug)]
struct Entry {
    /// The RIB wants to hear of it.
    tracked: bool,
    /// Groups of routes that use it.
    users: u32,
    resolution: Resolution,
    /// Interfaces that resolution looked at, used or passed over.
    interfaces: SmallVec<[u32; 2]>,
    /// A route of ours took part.
    recursive: bool,
    reported: Option<Reachability>,
}

/// What a round of resolution changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// For the RIB.
    pub(crate) reachability: Vec<(IpAddr, Reachability)>,
    /// Next hops whose gateways differ.
    pub(crate) gateways: BTreeSet<IpAddr>,
}

impl NextHops {
    /// The RIB wants to hear of these.
    pub(crate) fn track(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for address in addresses {
            let entry = self.entry(address);
            entry.tracked = true;
            entry.reported = None;
            self.dirty.insert(address);
        }
    }

    /// The RIB no longer wants to hear of these.
    pub(crate) fn untrack(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for address in addresses {
            if let Some(entry) = self.entries.get_mut(&address) {
                entry.tracked = false;
                self.drop_unused(address);
            }
        }
    }

    /// A group of routes begins to use these.
    pub(crate) fn acquire(&mut self, next_hops: &[FibNextHop]) {
        for next_hop in next_hops {
            let entry = self.entry(next_hop.address);
            entry.users += 1;
            if entry.resolution == Resolution::Unreachable(Unreachable::Unknown) {
                self.dirty.insert(next_hop.address);
            }
        }
    }

    /// A group of routes no longer uses these.
    pub(crate) fn release(&mut self, next_hops: &[FibNextHop]) {
        for next_hop in next_hops {
            if let Some(entry) = self.entries.get_mut(&next_hop.address) {
                entry.users = entry.users.saturating_sub(1);
                self.drop_unused(next_hop.address);
            }
        }
    }

    /// A route to `prefix` came, changed or went.
    pub(crate) fn prefix_changed(&mut self, prefix: Prefix) {
        let inside = self
            .entries
            .range(prefix.network()..=last_address(prefix))
            .map(|(address, _)| *address);
        self.dirty.extend(inside);
    }

    /// An interface came, went, or changed between usable and not.
    pub(crate) fn interface_changed(&mut self, interface: u32) {
        let on_it = self
            .entries
            .iter()
            .filter(|(address, entry)| entry.interfaces.contains(&interface) || is_link_local(**address));
        self.dirty.extend(on_it.map(|(address, _)| *address));
    }

    /// An address came to this node or left it.
    pub(crate) fn address_changed(&mut self, address: IpAddr) {
        if self.entries.contains_key(&address) {
            self.dirty.insert(address);
        }
    }

    /// Everything is to be looked at again.
    pub(crate) fn all_changed(&mut self) {
        self.dirty.extend(self.entries.keys());
    }

    /// Resolves what may have changed.
    pub(crate) fn update(&mut self, lookup: Lookup, mirror: &Mirror, own: &impl OwnRoutes) -> Changes {
        let mut changes = Changes::default();
        if self.dirty.is_empty() {
            return changes;
        }
        // What goes through a route of ours depends on that route's next hops.
        let recursive = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.recursive)
            .map(|(address, _)| *address);
        self.dirty.extend(recursive);
        for address in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.entries.get_mut(&address) else {
                continue;
            };
            let mut search = Search {
                lookup,
                mirror,
                own,
                interfaces: SmallVec::new(),
                visited: Vec::new(),
                recursive: false,
            };
            let resolution = search.resolve(address);
            entry.recursive = search.recursive;
            entry.interfaces = search.interfaces;
            if entry.resolution != resolution {
                entry.resolution = resolution;
                changes.gateways.insert(address);
            }
            let reachability = entry.resolution.reachability();
            if entry.tracked && entry.reported != Some(reachability) {
                entry.reported = Some(reachability);
                changes.reachability.push((address, reachability));
            }
        }
        changes
    }

    /// How the next hop resolves, as last computed.
    pub(crate) fn resolution(&self, address: IpAddr) -> &Resolution {
        const UNKNOWN: &Resolution = &Resolution::Unreachable(Unreachable::Unknown);
        self.entries
            .get(&address)
            .map_or(UNKNOWN, |entry| &entry.resolution)
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&mut self, address: IpAddr) -> &mut Entry {
        self.entries.entry(address).or_insert_with(|| Entry {
            tracked: false,
            users: 0,
            resolution: Resolution::Unreachable(Unreachable::Unknown),
            interfaces: SmallVec::new(),
            recursive: false,
            reported: None,
        })
    }

    fn drop_unused(&mut self, address: IpAddr) {
        if self
            .entries
            .get(&address)
            .is_some_and(|entry| !entry.tracked && entry.users == 0)
        {
            self.entries.remove(&address);
            self.dirty.remove(&address);
        }
    }
}

/// One resolution under way.
struct Search<'a, O> {
    lookup: Lookup,
    mirror: &'a Mirror,
    own: &'a O,
    interfaces: SmallVec<[u32; 2]>,
    /// Next hops being resolved, outermost first: meeting one of them again is a loop.
    visited: Vec<IpAddr>,
    /// A route of ours was looked at.
    recursive: bool,
}

/// A match worth trying.
enum Candidate<'a> {
    Kernel(&'a Route),
    Own(Prefix, u32, OwnRoute<'a>),
}

impl<'a, O: OwnRoutes> Search<'a, O> {
    fn resolve(&mut self, address: IpAddr) -> Resolution {
        if is_link_local(address) {
            // Its interface comes with the route, not with the address; that any link is up is all that can be said.
            return if self.mirror.has_usable_link() {
                let hop = Hop {
                    interface: 0,
                    gateway: Some(address),
                    weight: 1,
                    onlink: false,
                };
                Resolution::Reachable {
                    metric: 0,
                    connected: true,
                    hops: Hops::from_elem(hop, 1),
                }
            } else {
                Resolution::Unreachable(Unreachable::NoInterface)
            };
        }
        if self.mirror.is_local(address) {
            return Resolution::Unreachable(Unreachable::Own);
        }
        let mut failure = Unreachable::NoRoute;
        let second = (self.lookup.table != TableId::MAIN).then_some(TableId::MAIN);
        for table in std::iter::once(self.lookup.table).chain(second) {
            match self.resolve_in(table, address) {
                Ok(resolution) => return resolution,
                Err(Unreachable::NoRoute) => {}
                Err(reason) => failure = reason,
            }
        }
        Resolution::Unreachable(failure)
    }

    /// Tries matches from the longest to the shortest; the first failure that is not "pass over" is final.
    fn resolve_in(&mut self, table: TableId, address: IpAddr) -> Result<Resolution, Unreachable> {
        let mut passed_over = Unreachable::NoRoute;
        let is_ipv6 = address.is_ipv6();
        let widest = if is_ipv6 { 128 } else { 32 };
        for length in (0..=widest).rev() {
            if !self.mirror.has_length(table, is_ipv6, length) && !self.own.has_length(table, is_ipv6, length)
            {
                continue;
            }
            let Ok(prefix) = Prefix::new(address, length).map(|prefix| prefix.trunc()) else {
                continue;
            };
            for candidate in self.candidates(table, prefix) {
                if length == 0 && !self.lookup.via_default {
                    return Err(if passed_over == Unreachable::NoRoute {
                        Unreachable::OnlyDefault
                    } else {
                        passed_over
                    });
                }
                match self.follow(address, &candidate) {
                    Ok(resolution) => return Ok(resolution),
                    Err(reason @ Unreachable::Discarded(_)) => return Err(reason),
                    Err(reason) => passed_over = reason,
                }
            }
        }
        Err(passed_over)
    }

    /// Routes to exactly this prefix, the lowest metric first as the kernel prefers them.
    fn candidates(&self, table: TableId, prefix: Prefix) -> SmallVec<[Candidate<'a>; 2]> {
        let (mirror, own) = (self.mirror, self.own);
        let mut found: SmallVec<[Candidate<'a>; 2]> =
            mirror.at(table, prefix).iter().map(Candidate::Kernel).collect();
        if let Some((metric, route)) = own.own_route(table, prefix) {
            let place = mirror
                .at(table, prefix)
                .iter()
                .take_while(|known| known.metric <= metric)
                .count();
            found.insert(place, Candidate::Own(prefix, metric, route));
        }
        found
    }

    fn follow(&mut self, address: IpAddr, candidate: &Candidate<'_>) -> Result<Resolution, Unreachable> {
        match *candidate {
            Candidate::Kernel(route) => self.follow_kernel(address, route),
            Candidate::Own(prefix, _, OwnRoute::Discard) => Err(Unreachable::Discarded(prefix)),
            Candidate::Own(prefix, metric, OwnRoute::Via(next_hops)) => {
                self.follow_own(address, prefix, metric, next_hops)
            }
        }
    }

    fn follow_kernel(&mut self, address: IpAddr, route: &Route) -> Result<Resolution, Unreachable> {
        // RTN_THROW: the lookup goes on in the next table, here with the next shorter match.
        const THROW: u8 = 9;
        match route.kind {
            KernelRouteKind::Unicast => {}
            KernelRouteKind::Other(THROW) => return Err(Unreachable::NoRoute),
            KernelRouteKind::Local
            | KernelRouteKind::Blackhole
            | KernelRouteKind::Unreachable
            | KernelRouteKind::Prohibit
            | KernelRouteKind::Other(_) => return Err(Unreachable::Discarded(route.prefix)),
        }
        let mut hops = Hops::new();
        let mut connected = false;
        for hop in &route.hops {
            self.interfaces.push(hop.interface);
            if !self.mirror.is_usable(hop.interface) {
                continue;
            }
            connected |= hop.gateway.is_none();
            hops.push(Hop {
                gateway: hop.gateway.or(Some(address)),
                ..*hop
            });
        }
        if hops.is_empty() {
            return Err(Unreachable::LinkDown(route.prefix));
        }
        let metric = if connected { 0 } else { route.metric };
        Ok(Resolution::Reachable {
            metric,
            connected,
            hops,
        })
    }

    fn follow_own(
        &mut self,
        address: IpAddr,
        prefix: Prefix,
        metric: u32,
        next_hops: &[FibNextHop],
    ) -> Result<Resolution, Unreachable> {
        self.recursive = true;
        let inside = |next_hop: &FibNextHop| next_hop.address == address;
        if self.visited.len() >= MAX_DEPTH || next_hops.iter().any(inside) {
            return Err(Unreachable::Loop(prefix));
        }
        self.visited.push(address);
        let mut union = Hops::new();
        let mut failure = Unreachable::Loop(prefix);
        for next_hop in next_hops {
            if self.visited.contains(&next_hop.address) {
                continue;
            }
            let resolution = match link_hop(next_hop, self.mirror) {
                Some(hop) => Resolution::Reachable {
                    metric: 0,
                    connected: true,
                    hops: Hops::from_elem(hop, 1),
                },
                None => self.resolve(next_hop.address),
            };
            match resolution {
                Resolution::Reachable { hops, .. } => merge(&mut union, &hops),
                Resolution::Unreachable(reason) => failure = reason,
            }
        }
        self.visited.pop();
        if union.is_empty() {
            Err(failure)
        } else {
            Ok(Resolution::Reachable {
                metric,
                connected: false,
                hops: union,
            })
        }
    }
}

/// The hop of a next hop that names its link: an IPv6 next hop with a link-local address, RFC 2545 §3, on the session's
/// interface. None while that interface is down, or where there is no such address.
pub(crate) fn link_hop(next_hop: &FibNextHop, mirror: &Mirror) -> Option<Hop> {
    let own = match next_hop.address {
        IpAddr::V6(address) if is_link_local(next_hop.address) => Some(address),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    };
    let gateway = next_hop.link_local.or(own)?;
    let usable = next_hop.interface != 0 && mirror.is_usable(next_hop.interface);
    usable.then(|| Hop {
        interface: next_hop.interface,
        gateway: Some(gateway.into()),
        weight: 1,
        onlink: false,
    })
}

/// Adds hops that are not there yet.
pub(crate) fn merge(hops: &mut Hops, more: &[Hop]) {
    for hop in more {
        if !hops
            .iter()
            .any(|known| (known.interface, known.gateway) == (hop.interface, hop.gateway))
        {
            hops.push(*hop);
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn last_address(prefix: Prefix) -> IpAddr {
    match prefix {
        Prefix::V4(prefix) => prefix.broadcast().into(),
        Prefix::V6(prefix) => {
            Ipv6Addr::from(u128::from(prefix.addr()) | u128::from(prefix.hostmask())).into()
        }
    }
}

#[cfg(test)]
mod tests;

//! A kernel in memory, for tests: it answers operations and dumps as Linux does, and tells nothing unless told to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::Core;
use super::fib::{Action, NexthopOperation, Operation, RouteOperation};
use super::settings::{Metric, OnStop, Settings};
use super::wire::{Address, DumpScope, Hop, Hops, Leads, Link, Message, Nexthop, Route, Verb};
use crate::rib::interface::{FibChange, FibNextHop, FibRoute, Reachability};
use crate::route::{KernelRouteKind, KernelTableChange, Prefix, TableId};

pub(crate) const OURS: u8 = 179;
pub(crate) const STATIC: u8 = 4;
/// The LOCAL_PREF of routes that carry BLACKHOLE here.
pub(crate) const BLACKHOLED: u32 = 666;
pub(crate) const ETH0: u32 = 2;
pub(crate) const ETH1: u32 = 3;

/// A core and the kernel that it talks to.
pub(crate) struct Lab {
    pub(crate) core: Core,
    pub(crate) now: Instant,
    pub(crate) links: BTreeMap<u32, Link>,
    pub(crate) addresses: BTreeMap<(u32, IpAddr), Address>,
    pub(crate) routes: BTreeMap<(TableId, Prefix, u32), Route>,
    pub(crate) nexthops: BTreeMap<u32, Nexthop>,
    /// What the kernel did, in order, since the last look.
    log: Vec<String>,
    nexthop_log: Vec<String>,
    /// Requests about nexthop objects fail with this.
    pub(crate) fail_nexthops: Option<i32>,
    /// So many routes fit the table.
    pub(crate) room: Option<usize>,
    pub(crate) dumps: Vec<DumpScope>,
    /// The next operations fail with this.
    pub(crate) fail: Option<i32>,
    pub(crate) interrupt_dumps: usize,
}

impl Lab {
    /// eth0 on 172.16.40.0/24 and 2001:db8:40::/64, eth1 on 10.99.0.0/24, and a default route by eth0's .1.
    pub(crate) fn new(settings: Option<Settings>) -> Self {
        let mut lab = Self {
            core: Core::new(settings, BTreeSet::new(), Duration::from_secs(60)),
            now: tokio::time::Instant::now().into_std() + Duration::from_secs(1_000),
            links: BTreeMap::new(),
            addresses: BTreeMap::new(),
            routes: BTreeMap::new(),
            nexthops: BTreeMap::new(),
            log: Vec::new(),
            nexthop_log: Vec::new(),
            fail_nexthops: None,
            room: None,
            dumps: Vec::new(),
            fail: None,
            interrupt_dumps: 0,
        };
        for (index, name) in [(ETH0, "eth0"), (ETH1, "eth1")] {
            lab.links.insert(index, link(index, name, true));
        }
        for (index, local, length) in [
            (ETH0, "172.16.40.199", 24),
            (ETH0, "2001:db8:40::199", 64),
            (ETH1, "10.99.0.2", 24),
        ] {
            let address = address(index, local, length);
            lab.addresses.insert((index, address.local), address);
        }
        for text in [
            "172.16.40.0/24 dev 2",
            "2001:db8:40::/64 dev 2",
            "10.99.0.0/24 dev 3",
        ] {
            lab.put(Route {
                protocol: 2,
                scope: 253,
                ..route(text)
            });
        }
        lab.put(route("0.0.0.0/0 via 172.16.40.1 dev 2"));
        lab
    }

    /// A lab whose core has read the kernel.
    pub(crate) fn running(settings: Settings) -> Self {
        let mut lab = Self::new(Some(settings));
        lab.start();
        lab
    }

    pub(crate) fn start(&mut self) {
        self.core.read_all(self.now);
        self.run();
    }

    /// Puts a route into the kernel's table, without a word to anybody.
    pub(crate) fn put(&mut self, route: Route) {
        self.routes
            .insert((route.table, route.prefix, route.metric), route);
    }

    /// Takes routes out of the kernel's table, without a word to anybody.
    pub(crate) fn take(&mut self, prefix: &str) -> Vec<Route> {
        let prefix: Prefix = prefix.parse().unwrap();
        let keys: Vec<_> = self
            .routes
            .keys()
            .filter(|key| key.1 == prefix)
            .copied()
            .collect();
        keys.into_iter()
            .filter_map(|key| self.routes.remove(&key))
            .collect()
    }

    /// Somebody else adds a route, and the kernel says so.
    pub(crate) fn add(&mut self, route: Route) {
        self.put(route.clone());
        self.core
            .notified(Message::Route(Verb::New, 0x400, route), self.now);
        self.run();
    }

    /// Somebody deletes all routes to a prefix, and the kernel says so.
    pub(crate) fn delete(&mut self, prefix: &str) {
        for route in self.take(prefix) {
            self.core
                .notified(Message::Route(Verb::Delete, 0, route), self.now);
        }
        self.run();
    }

    /// A link goes down or comes up. Going down takes IPv4 routes with it, silently, a moment after the kernel said so.
    pub(crate) fn set_link(&mut self, index: u32, up: bool) {
        let Some(link) = self.links.get_mut(&index) else {
            return;
        };
        (link.up, link.carrier) = (up, up);
        self.core
            .notified(Message::Link(Verb::New, link.clone()), self.now);
        if !up {
            self.flush_nexthops(index);
        }
        let links = &self.links;
        let down = |hop: &Hop| links.get(&hop.interface).is_none_or(|link| !link.up);
        self.routes
            .retain(|_, route| route.hops.is_empty() || !route.hops.iter().all(down));
        self.run();
    }

    /// The RIB wants routes: `10.1.0.0/16 172.16.40.202 172.16.40.203`; no next hop: gone.
    pub(crate) fn want(&mut self, text: &str) {
        self.want_with(text, 100);
    }

    pub(crate) fn want_with(&mut self, text: &str, local_pref: u32) {
        self.core.change_routes(&[want(text, local_pref)]);
        self.run();
    }

    /// The RIB wants all of these at the same time.
    pub(crate) fn want_all(&mut self, texts: &[String]) {
        let changes: Vec<FibChange> = texts.iter().map(|text| want(text, 100)).collect();
        self.core.change_routes(&changes);
        self.run();
    }

    pub(crate) fn track(&mut self, next_hops: &[&str]) {
        self.core.track(
            next_hops.iter().map(|text| text.parse().unwrap()).collect(),
            Vec::new(),
        );
        self.run();
    }

    /// Lets time pass, with everything done that becomes due.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.run();
        }
        self.now = end;
        self.run();
    }

    /// Does what is due now.
    pub(crate) fn run(&mut self) {
        self.core.tick(self.now);
        for _ in 0..10_000 {
            if let Some(scope) = self.core.poll_dump(self.now) {
                self.dump(scope);
                continue;
            }
            let mut operations = Vec::new();
            self.core.poll_operations(3, self.now, &mut operations);
            if operations.is_empty() {
                return;
            }
            let results: Vec<_> = operations.iter().map(|operation| self.apply(operation)).collect();
            self.core.done(&operations, &results, self.now);
        }
        panic!(
            "the core never comes to rest: {:?}",
            self.log.iter().rev().take(10).collect::<Vec<_>>()
        );
    }

    /// What the kernel did since the last look.
    pub(crate) fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// What the kernel did about nexthop objects since the last look.
    pub(crate) fn nexthop_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.nexthop_log)
    }

    /// What the kernel holds of ours.
    pub(crate) fn ours(&self) -> Vec<String> {
        self.routes
            .values()
            .filter(|route| route.protocol == OURS)
            .map(show)
            .collect()
    }

    pub(crate) fn state(&self, prefix: &str) -> String {
        self.core.describe(prefix.parse().unwrap()).unwrap_or_default()
    }

    pub(crate) fn reachability(&mut self) -> Vec<(String, Reachability)> {
        self.core
            .poll_reachability()
            .into_iter()
            .map(|(address, state)| (address.to_string(), state))
            .collect()
    }

    /// What the importer was told: `=n` for a full set, `+prefix metric`, `-prefix metric`.
    pub(crate) fn imported(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.core.poll_table_change())
            .map(|change| match change {
                KernelTableChange::Full(routes) => format!("={}", routes.len()),
                KernelTableChange::Added(route) => format!("+{} {}", route.prefix, route.metric),
                KernelTableChange::Removed { prefix, metric, .. } => format!("-{prefix} {metric}"),
            })
            .collect()
    }

    fn dump(&mut self, scope: DumpScope) {
        self.dumps.push(scope);
        let messages: Vec<Message> = match scope {
            DumpScope::Links => self
                .links
                .values()
                .map(|link| Message::Link(Verb::New, link.clone()))
                .collect(),
            DumpScope::Addresses => self
                .addresses
                .values()
                .map(|address| Message::Address(Verb::New, *address))
                .collect(),
            DumpScope::Nexthops => {
                let all = self.nexthops.values().cloned();
                all.map(|nexthop| Message::Nexthop(Verb::New, nexthop)).collect()
            }
            // Without strict checking a kernel shows everything: the core must filter.
            DumpScope::Routes { .. } => {
                let shown = self.routes.values().map(|route| self.resolved(route));
                shown.map(|route| Message::Route(Verb::New, 2, route)).collect()
            }
        };
        let interrupted = self.interrupt_dumps > 0;
        self.interrupt_dumps = self.interrupt_dumps.saturating_sub(1);
        for message in messages {
            self.core.dumped(message, interrupted);
        }
        self.core.dump_done(true, self.now);
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), i32> {
        match operation {
            Operation::Route(operation) => self.apply_route(operation),
            Operation::Nexthop(operation) => self.apply_nexthop(operation),
        }
    }

    /// As the kernel shows it: what names an object has the object's hops as well.
    pub(crate) fn resolved(&self, route: &Route) -> Route {
        let hop = |id: &u32| match self.nexthops.get(id)?.leads {
            Some(Leads::Hop(hop)) => Some(hop),
            _ => None,
        };
        let hops = match self
            .nexthops
            .get(&route.nexthop_id)
            .and_then(|nexthop| nexthop.leads.as_ref())
        {
            Some(Leads::Hop(hop)) => Hops::from_elem(*hop, 1),
            Some(Leads::Group(members)) => {
                let weighted = |(id, weight): &(u32, u16)| {
                    Some(Hop {
                        weight: *weight,
                        ..hop(id)?
                    })
                };
                members.iter().filter_map(weighted).collect()
            }
            None => route.hops.clone(),
        };
        Route {
            hops,
            ..route.clone()
        }
    }

    /// A device went: its objects go without a word, and take their routes along.
    fn flush_nexthops(&mut self, interface: u32) {
        let on_it =
            |nexthop: &Nexthop| matches!(nexthop.leads, Some(Leads::Hop(hop)) if hop.interface == interface);
        let mut gone: BTreeSet<u32> = self
            .nexthops
            .values()
            .filter(|nexthop| on_it(nexthop))
            .map(|nexthop| nexthop.id)
            .collect();
        for nexthop in self.nexthops.values_mut() {
            if let Some(Leads::Group(members)) = &mut nexthop.leads {
                members.retain(|(id, _)| !gone.contains(id));
                if members.is_empty() {
                    gone.insert(nexthop.id);
                }
            }
        }
        self.nexthops.retain(|id, _| !gone.contains(id));
        self.routes.retain(|_, route| !gone.contains(&route.nexthop_id));
    }

    fn apply_nexthop(&mut self, operation: &NexthopOperation) -> Result<(), i32> {
        let known = self.nexthops.get(&operation.id);
        let result = match (&operation.leads, known) {
            _ if self.fail_nexthops.is_some() => Err(self.fail_nexthops.unwrap()),
            (Some(_), Some(_)) if !operation.replace => Err(libc::EEXIST),
            (Some(_), None) if operation.replace => Err(libc::ENOENT),
            (None, None) => Err(libc::ENOENT),
            (Some(Leads::Group(members)), _)
                if members.iter().any(|(id, _)| !self.nexthops.contains_key(id)) =>
            {
                Err(libc::EINVAL)
            }
            _ => Ok(()),
        };
        let what = match (&operation.leads, operation.replace) {
            (Some(leads), false) => format!("nexthop {} {leads:?}", operation.id & 0xff),
            (Some(leads), true) => format!("nexthop {} becomes {leads:?}", operation.id & 0xff),
            (None, _) => format!("nexthop {} goes", operation.id & 0xff),
        };
        let outcome = result.map_or_else(|errno| format!(" = {errno}"), |()| String::new());
        self.nexthop_log.push(what + &outcome);
        if result.is_ok() {
            match &operation.leads {
                Some(leads) => {
                    let nexthop = Nexthop {
                        id: operation.id,
                        protocol: OURS,
                        leads: Some(leads.clone()),
                    };
                    self.nexthops.insert(operation.id, nexthop);
                }
                None => {
                    self.nexthops.remove(&operation.id);
                    self.routes.retain(|_, route| route.nexthop_id != operation.id);
                }
            }
        }
        result
    }

    fn apply_route(&mut self, operation: &RouteOperation) -> Result<(), i32> {
        let (table, prefix) = operation.key;
        let key = (table, prefix, operation.metric);
        let mut new = route_to(prefix);
        new.table = table;
        new.metric = operation.metric;
        new.protocol = operation.stamp.protocol;
        (new.mtu, new.advmss) = (operation.stamp.mtu, operation.stamp.advmss);
        new.preferred_source = operation.stamp.source(prefix);
        new.hops = Hops::from_slice(&operation.form);
        new.nexthop_id = operation.nexthop;
        if new.hops.is_empty() {
            new.kind = KernelRouteKind::Blackhole;
            (new.mtu, new.advmss, new.preferred_source) = (0, 0, None);
        }
        let held = self.routes.get(&key);
        let result = match operation.action {
            _ if self.fail.is_some() => Err(self.fail.unwrap()),
            Action::Create | Action::Replace
                if operation.nexthop != 0 && !self.nexthops.contains_key(&operation.nexthop) =>
            {
                Err(libc::EINVAL)
            }
            Action::Create if held.is_some() => Err(libc::EEXIST),
            Action::Create if self.room.is_some_and(|room| self.routes.len() >= room) => Err(libc::ENOSPC),
            Action::Replace if held.is_none() => Err(libc::ENOENT),
            Action::Delete if held.is_none_or(|route| route.protocol != operation.stamp.protocol) => {
                Err(libc::ESRCH)
            }
            Action::Replace => {
                let strange = held.is_some_and(|route| route.protocol == STATIC);
                assert!(!strange, "a stranger's route is overwritten");
                Ok(())
            }
            Action::Create | Action::Delete => Ok(()),
        };
        let outcome = result.map_or_else(|errno| format!(" = {errno}"), |()| String::new());
        let what = match operation.action {
            Action::Create => format!("create {}", show(&new)),
            Action::Replace => format!("replace {}", show(&new)),
            Action::Delete => format!("delete {prefix} metric {}", operation.metric),
        };
        self.log.push(what + &outcome);
        if result.is_ok() {
            match operation.action {
                Action::Create | Action::Replace => drop(self.routes.insert(key, new)),
                Action::Delete => drop(self.routes.remove(&key)),
            }
        }
        result
    }
}

/// `10.1.0.0/16 172.16.40.202`.
pub(crate) fn want(text: &str, local_pref: u32) -> FibChange {
    let mut words = text.split_whitespace();
    let prefix = words.next().unwrap().parse().unwrap();
    let next_hops = words
        .map(next_hop)
        .collect::<smallvec::SmallVec<[FibNextHop; 2]>>();
    let route = (!next_hops.is_empty()).then(|| {
        Arc::new(FibRoute {
            next_hops,
            local_pref,
            external: false,
            blackhole: local_pref == BLACKHOLED,
            table: TableId::UNSPECIFIED,
        })
    });
    FibChange {
        table: TableId::UNSPECIFIED,
        left: None,
        prefix,
        route,
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        install: true,
        table: TableId::MAIN,
        protocol: OURS,
        metric: Metric::Fixed(200),
        multipath: 16,
        blackhole: true,
        unreachable: false,
        next_hop_via_default: true,
        onlink: false,
        ipv4_source: None,
        ipv6_source: None,
        mtu: None,
        advmss: None,
        on_stop: OnStop::Keep,
    }
}

pub(crate) fn link(index: u32, name: &str, up: bool) -> Link {
    Link {
        index,
        name: name.into(),
        up,
        carrier: up,
        loopback: false,
    }
}

pub(crate) fn address(interface: u32, local: &str, length: u8) -> Address {
    Address {
        interface,
        local: local.parse().unwrap(),
        length,
        scope: 0,
        secondary: false,
        duplicate: false,
    }
}

/// `prefix [via gateway] [dev index] [metric n]` of protocol static; several `via .. dev ..` for multipath; without any,
/// a blackhole.
pub(crate) fn route(text: &str) -> Route {
    let mut words = text.split_whitespace();
    let mut route = route_to(words.next().unwrap().parse().unwrap());
    let mut gateway = None;
    while let (Some(word), Some(value)) = (words.next(), words.next()) {
        match word {
            "via" => gateway = Some(value.parse().unwrap()),
            "dev" => {
                let interface = value.parse().unwrap();
                route.hops.push(Hop {
                    interface,
                    gateway: gateway.take(),
                    weight: 1,
                    onlink: false,
                });
            }
            "metric" => route.metric = value.parse().unwrap(),
            other => panic!("{other}"),
        }
    }
    if route.hops.is_empty() {
        route.kind = KernelRouteKind::Blackhole;
    }
    route
}

fn route_to(prefix: Prefix) -> Route {
    Route {
        table: TableId::MAIN,
        prefix,
        tos: 0,
        metric: 0,
        kind: KernelRouteKind::Unicast,
        protocol: STATIC,
        scope: 0,
        hops: Hops::new(),
        preferred_source: None,
        realm: 0,
        nexthop_id: 0,
        mtu: 0,
        advmss: 0,
    }
}

/// A next hop; `fe80::1@fe80::1%2` style link-local parts are written `global/link-local/interface`.
pub(crate) fn next_hop(text: &str) -> FibNextHop {
    let mut parts = text.split('/');
    let address = parts.next().unwrap().parse().unwrap();
    let link_local = parts.next().map(|part| part.parse().unwrap());
    let interface = parts.next().map_or(0, |part| part.parse().unwrap());
    FibNextHop {
        address,
        link_local,
        interface,
        weight: 1,
    }
}

pub(crate) fn show(route: &Route) -> String {
    let mut text = route.prefix.to_string();
    if route.hops.is_empty() {
        text += " blackhole";
    }
    for hop in &route.hops {
        if let Some(gateway) = hop.gateway {
            text += &format!(" via {gateway}");
        }
        text += &format!(" dev {}", hop.interface);
        if hop.weight > 1 {
            text += &format!(" weight {}", hop.weight);
        }
    }
    text + &format!(" metric {}", route.metric)
}

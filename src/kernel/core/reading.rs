//! A dump on its way in, and what it means when it is over.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use super::dumps::{ADDRESSES, LINKS, NEXTHOPS, Scope, wire_scope};
use super::{Core, INTERRUPTED_AFTER, OVERRUN_INTERVAL};
use crate::kernel::fib::Seen;
use crate::kernel::wire::{DumpScope, Message, Nexthop, Route, Verb};

/// A dump under way.
#[derive(Debug)]
pub(super) struct Running {
    scope: Scope,
    started: Instant,
    links: BTreeSet<u32>,
    addresses: BTreeSet<(u32, IpAddr)>,
    ours: Seen,
    nexthops: Vec<Nexthop>,
    others: Vec<Route>,
    interrupted: bool,
}

impl Core {
    /// The dump to run now, if any; its messages follow in [`Core::dumped`], and [`Core::dump_done`] ends it.
    pub(crate) fn poll_dump(&mut self, now: Instant) -> Option<DumpScope> {
        let scope = self.dumps.take(now)?;
        self.running = Some(Running {
            scope,
            started: now,
            links: self.mirror.link_indices(),
            addresses: self.mirror.address_keys(),
            ours: Seen::default(),
            nexthops: Vec::new(),
            others: Vec::new(),
            interrupted: false,
        });
        Some(wire_scope(scope))
    }

    /// One message of the dump; `interrupted` if its header says so.
    pub(crate) fn dumped(&mut self, message: Message, interrupted: bool) {
        let Some(running) = &mut self.running else { return };
        running.interrupted |= interrupted;
        match message {
            Message::Route(Verb::New, _, route) => {
                let (_, table, ipv6, interface) = running.scope;
                // A kernel without strict checking does not filter.
                let through =
                    interface.is_none_or(|index| route.hops.iter().any(|hop| hop.interface == index));
                if route.table != table || route.prefix.addr().is_ipv6() != ipv6 || !through || route.tos != 0
                {
                    return;
                }
                if !self.fib.is_ours(&route) {
                    running.others.push(route);
                } else if self.settings.is_some() {
                    // At once: a table of hundreds of thousands is taken in as it is read, in slices.
                    self.fib.seen(&route, &mut running.ours);
                }
            }
            Message::Link(Verb::New, link) => {
                running.links.remove(&link.index);
                self.mirror.link(Verb::New, link);
            }
            Message::Address(Verb::New, address) => {
                running.addresses.remove(&(address.interface, address.local));
                self.mirror.address(Verb::New, address);
            }
            Message::Nexthop(Verb::New, nexthop) => running.nexthops.push(nexthop),
            Message::Route(..)
            | Message::Link(..)
            | Message::Address(..)
            | Message::Nexthop(..)
            | Message::Answer { .. }
            | Message::Done(_)
            | Message::Overrun
            | Message::Other => {}
        }
    }

    /// The dump is over; `complete` unless it failed on the way.
    pub(crate) fn dump_done(&mut self, complete: bool, now: Instant) {
        let Some(running) = self.running.take() else {
            return;
        };
        let scope = running.scope;
        let urgent = self.unread.as_ref().is_some_and(|unread| unread.contains(&scope));
        self.dumps.ended(scope, running.started, now, urgent);
        if !complete || running.interrupted {
            let again = if complete {
                INTERRUPTED_AFTER
            } else {
                OVERRUN_INTERVAL
            };
            self.schedule(scope, now + again);
            return;
        }
        match scope {
            LINKS => self.mirror.drop_links(&running.links),
            ADDRESSES => self.mirror.drop_addresses(&running.addresses),
            NEXTHOPS => {
                let own_protocol = self.own_protocol();
                self.fib.reconcile_nexthops(running.nexthops, own_protocol);
            }
            (_, table, ipv6, interface) => {
                self.mirror.reconcile(table, ipv6, interface, running.others);
                if self.settings.is_some() {
                    self.fib.drop_unseen((table, ipv6, interface), running.ours);
                }
            }
        }
        if scope <= ADDRESSES {
            self.next_hops.all_changed();
        }
        let was_ready = self.is_ready();
        if let Some(unread) = &mut self.unread {
            unread.remove(&scope);
        }
        if !was_ready && self.is_ready() {
            self.stale_at = Some(now + self.stale_after);
            self.full_table_due = true;
            self.next_hops.all_changed();
        }
        self.settle();
    }
}

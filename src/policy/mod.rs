//! Policy: a pure function from a route to a verdict.
//!
//! A [`Chain`] is an ordered list of [`Filter`]s; the first accept or reject ends, and the end of the list rejects.
//! Evaluating returns the [`Reason`] that decided, and `why` prints that value: there is no second implementation.

use std::net::IpAddr;
use std::sync::Arc;

use bgp_codec::{Asn, Attributes, Family, NextHop, PathAttributes, PeerKind};
use serde::Serialize;

use crate::route::{OriginKind, Prefix};

/// What a filter may look at.
#[derive(Clone, Copy, Debug)]
pub struct RouteView<'a> {
    /// Destination.
    pub prefix: Prefix,
    /// Its address family.
    pub family: Family,
    /// Where it comes from.
    pub source: Source<'a>,
    /// Path attributes, read from their canonical form.
    pub attributes: &'a Attributes<'a>,
    /// The route's next hop; none for a route of our own.
    pub next_hop: Option<NextHop>,
    /// The kernel's metric, for routes read from its table.
    pub kernel_metric: Option<u32>,
}

/// Where a route comes from, in the words that filters use.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Originated here.
    Local {
        /// Why.
        kind: OriginKind,
        /// The `name` of its `[[originate]]` or `[[vip]]`.
        name: &'a str,
    },
    /// Learned from a peer.
    Peer {
        /// Its configured name.
        name: &'a str,
        /// Its group's name, if any.
        group: Option<&'a str>,
        /// Its address.
        address: IpAddr,
        /// Its AS.
        asn: Asn,
        /// Inside or outside our AS.
        kind: PeerKind,
    },
}

/// Where in a configuration file something stands.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct Location {
    /// The file as named on the command line.
    pub file: Arc<str>,
    /// 1-based.
    pub line: u32,
}

/// Whether a route passes, with what changes, and what decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether the route passes.
    pub accept: bool,
    /// What passes is changed by these, in order; empty when nothing is set.
    pub edits: Edits,
    /// The rule that decided.
    pub reason: Reason,
}

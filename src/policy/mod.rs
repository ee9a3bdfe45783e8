//! Policy: a pure function from a route to a verdict.
//!
//! A [`Chain`] is an ordered list of [`Filter`]s; the first accept or reject ends, and the end of the list rejects.
//! Evaluating returns the [`Reason`] that decided, and `why` prints that value: there is no second implementation.

mod as_path_pattern;
mod canonical_block;
mod chain;
mod community_pattern;
mod condition;
mod edits;
mod extended_community_pattern;
mod filter;
mod implication;
mod marks;
mod martian;
mod masked;
mod place;
mod prefix_set;
mod reason;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use bgp_codec::{Asn, Family, NextHop, PeerKind, Role};

pub use self::as_path_pattern::{AsPathPattern, AsPathPatternError};
pub use self::canonical_block::CanonicalBlock;
pub use self::chain::{Chain, ImportGuard};
pub use self::community_pattern::{CommunityPattern, CommunityPatternError, LargeCommunityPattern};
pub use self::condition::{Condition, SourcePattern};
pub use self::edits::{Edit, Edits, NextHopEdit};
pub use self::extended_community_pattern::ExtendedCommunityPattern;
pub use self::filter::{Action, Fallthrough, Filter, Rule};
pub use self::marks::Marks;
pub use self::place::{Location, Place};
pub use self::prefix_set::{PrefixPattern, PrefixPatternError, PrefixSet};
pub use self::reason::Reason;
use crate::route::{FromKernel, OriginKind, Prefix};

/// What a filter may look at.
#[derive(Clone, Copy, Debug)]
pub struct RouteView<'a> {
    /// Destination.
    pub prefix: Prefix,
    /// Its address family.
    pub family: Family,
    /// Where it comes from.
    pub source: Source<'a>,
    /// Path attributes.
    pub attributes: &'a CanonicalBlock<'a>,
    /// The route's next hop; none for a route of our own.
    pub next_hop: Option<NextHop>,
    /// What the kernel's table says of it, for routes read from there.
    pub from_kernel: Option<FromKernel>,
    /// Interior cost to the next hop, for a learned route where that is known: on export.
    pub next_hop_metric: Option<u32>,
    /// What import policy has noted.
    pub marks: Marks,
    /// Our AS on the session, which a prepend without AS prepends.
    pub local_asn: Asn,
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
        /// What we are to it, RFC 9234.
        role: Option<Role>,
    },
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

impl Verdict {
    /// The route does not pass.
    #[must_use]
    pub const fn reject(reason: Reason) -> Self {
        Self {
            accept: false,
            edits: Edits::NONE,
            reason,
        }
    }
}

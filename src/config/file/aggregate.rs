//! `[[aggregate]]`.

use std::sync::Arc;

use bgp_codec::{Community, LargeCommunity};
use ipnet::IpNet;

use super::filter::reference;
use super::keys;
use crate::config::reader::Referent;
use crate::config::scalar;
use crate::config::schema::{
    BOOLEAN, COMMUNITIES, LARGE_COMMUNITIES, LIVE, NAME, NAMES, NONE, PREFIX, REQUIRED, U32,
};

keys! {
    /// `[[aggregate]]`.
    AggregateKeys in "[[aggregate]]" {
        /// The prefix that is announced while a more specific route contributes to it. Its AS path is ours alone: there are no
        /// AS_SETs (RFC 9774); where contributors came from other ASes it carries ATOMIC_AGGREGATE, and AGGREGATOR always.
        prefix: IpNet = scalar::prefix => PREFIX, REQUIRED, LIVE;
        /// Unique among `[[originate]]`, `[[vip]]` and `[[aggregate]]`; filters use it in `source`, where `aggregate` means any.
        name: Arc<str> = scalar::name => NAME, "the prefix", LIVE;
        /// Announce the block and nothing beneath it: what contributes is not advertised, except to peers with
        /// `more_specifics`.
        summary_only: bool = scalar::boolean => BOOLEAN, "`false`", LIVE;
        /// Filters that a more specific route must pass to contribute: in order, the first accept or reject decides, and the end
        /// of the list rejects. What they would set is not set.
        contributing: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Filter))
            => NAMES, "every more specific route in use", LIVE;
        /// Put a blackhole route of ours beneath it while it is announced, so that packets for parts of it that nobody has do
        /// not loop (RFC 4632 §5.1).
        discard: bool = scalar::boolean => BOOLEAN, "`true`", LIVE;
        /// Communities to attach; those of contributors are not gathered.
        community: Vec<Community> = scalar::communities => COMMUNITIES, NONE, LIVE;
        /// Large communities to attach.
        large_community: Vec<LargeCommunity> = scalar::large_communities => LARGE_COMMUNITIES, NONE, LIVE;
        /// MED to attach.
        med: u32 = scalar::any_u32 => U32, NONE, LIVE;
    }
}

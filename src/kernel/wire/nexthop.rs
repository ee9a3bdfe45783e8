//! `RTM_*NEXTHOP`: nexthop objects, which routes refer to by number (`linux/nexthop.h`).

use std::net::IpAddr;

use smallvec::SmallVec;

use super::request::{begin, begin_attribute, end, put};
use super::route::{ONLINK, address};
use super::{AF_INET, AF_INET6, Attributes, Cursor, Hop, RTM_DELNEXTHOP, RTM_NEWNEXTHOP};

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;

/// A nexthop object as the kernel reports it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Nexthop {
    /// Its number.
    pub(crate) id: u32,
    /// Who made it.
    pub(crate) protocol: u8,
    /// What it is; none for what we do not make (blackholes, encapsulation).
    pub(crate) leads: Option<Leads>,
}

/// Where a nexthop object leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Leads {
    /// Through one gateway.
    Hop(Hop),
    /// To other objects, each with a weight of 1 to 256.
    Group(SmallVec<[(u32, u16); 2]>),
}

/// A change of a nexthop object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NexthopChange<'a> {
    /// `CREATE|EXCL`: fails with EEXIST where somebody has this number.
    Create(&'a Leads),
    /// Routes that refer to it follow at once.
    Replace(&'a Leads),
    /// The kernel takes every route along that refers to it.
    Delete,
}

impl Nexthop {
    /// Reads an `nhmsg`.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(payload);
        let [family, _scope, protocol, _] = cursor.take()?;
        let [flags, ..] = cursor.take::<4>()?;
        let (mut id, mut interface, mut gateway, mut group) = (0, 0, None, None);
        let mut plain = true;
        for (kind, value) in Attributes(cursor.0) {
            match kind {
                NHA_ID => id = Cursor(value).u32()?,
                NHA_OIF => interface = Cursor(value).u32()?,
                NHA_GATEWAY => gateway = address(family, value),
                NHA_GROUP => group = Some(members(value)),
                // Blackhole, encapsulation, FDB, resilient groups.
                4 | 7 | 8 | 11 | 12 => plain = false,
                _ => {}
            }
        }
        let leads = match (group, gateway) {
            _ if !plain => None,
            (Some(group), _) => Some(Leads::Group(group)),
            (None, Some(gateway)) => Some(Leads::Hop(Hop {
                interface,
                gateway: Some(gateway),
                weight: 1,
                onlink: flags & ONLINK != 0,
            })),
            (None, None) => None,
        };
        Some(Self { id, protocol, leads })
    }
}

/// Entries of 8 octets: id, weight less one, its high octet, padding.
fn members(value: &[u8]) -> SmallVec<[(u32, u16); 2]> {
    let mut cursor = Cursor(value);
    let mut members = SmallVec::new();
    while let (Some(id), Some([low, high, _, _])) = (cursor.u32(), cursor.take()) {
        members.push((id, u16::from_le_bytes([low, high]).saturating_add(1)));
    }
    members
}

/// Appends a request about the object `id`.
///
/// `acknowledge` asks for an answer on success as well; a failure is always answered.
pub(crate) fn encode_nexthop(
    out: &mut Vec<u8>,
    (id, protocol): (u32, u8),
    change: NexthopChange<'_>,
    sequence: u32,
    acknowledge: bool,
) {
    let (kind, flags, leads) = match change {
        NexthopChange::Create(leads) => (RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL, Some(leads)),
        NexthopChange::Replace(leads) => (RTM_NEWNEXTHOP, NLM_F_REPLACE, Some(leads)),
        NexthopChange::Delete => (RTM_DELNEXTHOP, 0, None),
    };
    let acknowledge = if acknowledge { NLM_F_ACK } else { 0 };
    let start = begin(out, kind, NLM_F_REQUEST | acknowledge | flags, sequence);
    let (family, hop_flags) = match leads {
        Some(Leads::Hop(hop)) => (
            match hop.gateway {
                Some(IpAddr::V6(_)) => AF_INET6,
                Some(IpAddr::V4(_)) | None => AF_INET,
            },
            if hop.onlink { ONLINK } else { 0 },
        ),
        Some(Leads::Group(_)) | None => (0, 0),
    };
    // The kernel refuses a protocol in a delete.
    let protocol = if leads.is_some() { protocol } else { 0 };
    out.extend([family, 0, protocol, 0, hop_flags, 0, 0, 0]);
    put(out, NHA_ID, &id.to_ne_bytes());
    match leads {
        Some(Leads::Hop(hop)) => {
            put(out, NHA_OIF, &hop.interface.to_ne_bytes());
            match hop.gateway {
                Some(IpAddr::V4(gateway)) => put(out, NHA_GATEWAY, &gateway.octets()),
                Some(IpAddr::V6(gateway)) => put(out, NHA_GATEWAY, &gateway.octets()),
                None => {}
            }
        }
        Some(Leads::Group(members)) => {
            let list = begin_attribute(out, NHA_GROUP);
            for (member, weight) in members {
                out.extend(member.to_ne_bytes());
                // The high octet of the weight is younger than groups are: older kernels refuse it unless it is 0.
                let [low, high] = weight.saturating_sub(1).to_le_bytes();
                out.extend([low, high, 0, 0]);
            }
            end(out, list, true);
        }
        None => {}
    }
    end(out, start, false);
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::kernel::wire::{Message, Messages, Verb, parse};

    #[test]
    fn objects_read_back_as_written() {
        let hop = Leads::Hop(Hop {
            interface: 3,
            gateway: Some([192, 0, 2, 1].into()),
            weight: 1,
            onlink: true,
        });
        let group = Leads::Group(smallvec![(7, 1), (8, 256)]);
        for leads in [hop, group] {
            let mut out = Vec::new();
            encode_nexthop(
                &mut out,
                (0xb300_0001, 179),
                NexthopChange::Create(&leads),
                5,
                true,
            );
            let (header, payload) = Messages::new(&out).next().unwrap();
            assert_eq!(
                header.flags,
                NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
            );
            let expected = Nexthop {
                id: 0xb300_0001,
                protocol: 179,
                leads: Some(leads),
            };
            assert_eq!(parse(header, payload), Message::Nexthop(Verb::New, expected));
        }
    }
}

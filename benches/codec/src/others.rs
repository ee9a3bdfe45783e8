//! The other crates. Each decodes every UPDATE in full, with the same session in mind, and counts the prefixes it found;
//! what it decoded is kept from being optimised away. A message that it refuses counts nothing.

use std::collections::HashMap;
use std::hint::black_box;

use bgp_codec::header;

use crate::Reader;
use crate::stream::Stream;
use crate::sum::Sum;

/// By the names of their crates.
pub const READERS: &[Reader] = &[
    ("zettabgp", zettabgp),
    ("netgauze-bgp-pkt", netgauze),
    ("rustbgpd-wire", rustbgpd),
    ("routecore", routecore),
    ("bgpkit-parser", bgpkit),
];

fn counted(prefixes: usize) -> Sum {
    Sum {
        prefixes: prefixes as u64,
        values: 0,
    }
}

fn zettabgp(stream: &Stream) -> Sum {
    use zettabgp::afi::BgpAddrs;
    use zettabgp::message::attributes::BgpAttrItem;
    use zettabgp::message::update::BgpUpdateMessage;
    use zettabgp::{BgpCapAddPath, BgpCapability, BgpMessage, BgpSessionParams, BgpTransportMode};

    fn count(addresses: &BgpAddrs) -> usize {
        match addresses {
            BgpAddrs::IPV4U(list) => list.len(),
            BgpAddrs::IPV4UP(list) => list.len(),
            BgpAddrs::IPV6U(list) => list.len(),
            BgpAddrs::IPV6UP(list) => list.len(),
            _ => 0,
        }
    }

    let mut capabilities = Vec::new();
    if stream.add_path {
        let family = |afi| BgpCapAddPath {
            afi,
            safi: 1,
            send: true,
            receive: true,
        };
        capabilities.push(BgpCapability::CapAddPath(vec![family(1), family(2)]));
    }
    let router_id = [192, 0, 2, 1].into();
    let mut session = BgpSessionParams::new(64_512, 90, BgpTransportMode::IPv4, router_id, capabilities);
    session.fuzzy_pathid = false;
    let mut prefixes = 0;
    for message in stream.messages() {
        let mut update = BgpUpdateMessage::new();
        if update
            .decode_from(&session, &message[header::HEADER_LEN..])
            .is_err()
        {
            continue;
        }
        prefixes += count(&update.updates) + count(&update.withdraws);
        for attribute in &update.attrs {
            prefixes += match attribute {
                BgpAttrItem::MPUpdates(reach) => count(&reach.addrs),
                BgpAttrItem::MPWithdraws(unreach) => count(&unreach.addrs),
                _ => 0,
            };
        }
        black_box(&update);
    }
    counted(prefixes)
}

fn netgauze(stream: &Stream) -> Sum {
    use netgauze_bgp_pkt::BgpMessage;
    use netgauze_bgp_pkt::path_attribute::{MpReach, MpUnreach, PathAttributeValue};
    use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
    use netgauze_iana::address_family::AddressType;
    use netgauze_parse_utils::reader::SliceReader;
    use netgauze_parse_utils::traits::ParseFromWithOneInput;

    let families = [AddressType::Ipv4Unicast, AddressType::Ipv6Unicast];
    let add_path: HashMap<_, _> = families
        .into_iter()
        .map(|family| (family, stream.add_path))
        .collect();
    let mut context = BgpParsingContext::new(true, HashMap::new(), add_path, true, true, true, true);
    let mut prefixes = 0;
    for message in stream.messages() {
        let Ok(BgpMessage::Update(update)) = BgpMessage::parse(&mut SliceReader::new(message), &mut context)
        else {
            continue;
        };
        prefixes += update.nlri().len() + update.withdraw_routes().len();
        for attribute in update.path_attributes() {
            prefixes += match attribute.value() {
                PathAttributeValue::MpReach(MpReach::Ipv4Unicast { nlri, .. }) => nlri.len(),
                PathAttributeValue::MpReach(MpReach::Ipv6Unicast { nlri, .. }) => nlri.len(),
                PathAttributeValue::MpUnreach(MpUnreach::Ipv4Unicast { nlri }) => nlri.len(),
                PathAttributeValue::MpUnreach(MpUnreach::Ipv6Unicast { nlri }) => nlri.len(),
                _ => 0,
            };
        }
        black_box(&update);
    }
    counted(prefixes)
}

fn rustbgpd(stream: &Stream) -> Sum {
    use rustbgpd_wire::UpdateMessage;
    use rustbgpd_wire::attribute::PathAttribute;
    use rustbgpd_wire::capability::{Afi, Safi};

    let families = [(Afi::Ipv4, Safi::Unicast), (Afi::Ipv6, Safi::Unicast)];
    let add_path: &[_] = if stream.add_path { &families } else { &[] };
    let mut prefixes = 0;
    // It reads from shared buffers: one for the stream, and a slice of it for each message.
    let mut at = 0;
    for end in &stream.ends {
        let mut body = stream.shared.slice(at + header::HEADER_LEN..*end);
        at = *end;
        let len = body.len();
        let update = UpdateMessage::decode(&mut body, len);
        let Ok(parsed) = update.and_then(|update| update.parse(true, stream.add_path, add_path)) else {
            continue;
        };
        prefixes += parsed.announced.len() + parsed.withdrawn.len();
        for attribute in &parsed.attributes {
            prefixes += match attribute {
                PathAttribute::MpReachNlri(reach) => reach.announced.len(),
                PathAttribute::MpUnreachNlri(unreach) => unreach.withdrawn.len(),
                _ => 0,
            };
        }
        black_box(&parsed);
    }
    counted(prefixes)
}

fn routecore(stream: &Stream) -> Sum {
    use routecore::bgp::message::UpdateMessage;
    use routecore::bgp::message::update::SessionConfig;
    use routecore::bgp::nlri::afisafi::AfiSafiType;
    use routecore::bgp::types::AddpathDirection;

    let mut session = SessionConfig::modern();
    if stream.add_path {
        for family in [AfiSafiType::Ipv4Unicast, AfiSafiType::Ipv6Unicast] {
            session.add_addpath(family, AddpathDirection::SendReceive);
        }
    }
    let mut prefixes = 0;
    for message in stream.messages() {
        let Ok(update) = UpdateMessage::from_octets(message, &session) else {
            continue;
        };
        // It reads on demand, so everything is demanded.
        if let Ok(attributes) = update.path_attributes() {
            for attribute in attributes.flatten() {
                black_box(attribute.to_owned().is_ok());
            }
        }
        if let Ok(announced) = update.announcements() {
            prefixes += announced.flatten().map(black_box).count();
        }
        if let Ok(withdrawn) = update.withdrawals() {
            prefixes += withdrawn.flatten().map(black_box).count();
        }
    }
    counted(prefixes)
}

fn bgpkit(stream: &Stream) -> Sum {
    use bgpkit_parser::models::{AsnLength, AttributeValue};
    use bgpkit_parser::parser::bgp::messages::parse_bgp_update_message;

    let mut prefixes = 0;
    let mut at = 0;
    for end in &stream.ends {
        let body = stream.shared.slice(at + header::HEADER_LEN..*end);
        at = *end;
        let Ok(update) = parse_bgp_update_message(body, stream.add_path, &AsnLength::Bits32) else {
            continue;
        };
        prefixes += update.announced_prefixes.len() + update.withdrawn_prefixes.len();
        for attribute in update.attributes.iter() {
            prefixes += match attribute {
                AttributeValue::MpReachNlri(nlri) | AttributeValue::MpUnreachNlri(nlri) => {
                    nlri.prefixes.len()
                }
                _ => 0,
            };
        }
        black_box(&update);
    }
    counted(prefixes)
}

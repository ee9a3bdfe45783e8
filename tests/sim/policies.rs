//! Random policies that cannot oscillate: whoever passes routes on does not prefer what comes later on its way.

use std::num::NonZeroU8;
use std::sync::Arc;

use bgp_codec::Community;
use stonechat::policy::{
    Action, Chain, Condition, Edit, Edits, Fallthrough, Filter, Location, PrefixPattern, Rule,
};
use stonechat::rib::interface::{NextHopPolicy, SentPaths};
use stonechat::route::Prefix;

use super::node::Spec;
use super::random::Random;

/// Gives every peer of every node filters and other settings of its own.
pub(crate) fn vary(specs: &mut [Spec], random: &mut Random) {
    for spec in specs {
        let asn = spec.asn;
        let reflects = spec.peers.iter().any(|peer| peer.policy.rr_client);
        for peer in &mut spec.peers {
            let external = !peer.remote_asn.is_internal(bgp_codec::Asn(asn));
            // RFC 4456 §10: a reflector that changes what the decision compares may have its clusters chase each other.
            let passes_on = reflects || external;
            let policy = &mut peer.policy;
            policy.import = some_chain(random, |random| some_edit(random, !passes_on, false));
            policy.export = some_chain(random, |random| some_edit(random, !passes_on, external));
            policy.next_hop = match random.below(4) {
                0 => NextHopPolicy::Own,
                1 if reflects => NextHopPolicy::OwnForced,
                _ => NextHopPolicy::Standard,
            };
            policy.route_server_client = external && random.below(6) == 0;
            policy.allow_own_as = u8::from(random.below(6) == 0);
            if random.below(4) == 0 {
                peer.add_path_receive = peer.families;
            }
            if random.below(4) == 0 {
                peer.add_path_send = peer.families;
            }
            peer.policy.sent_paths = match random.below(4) {
                0 => SentPaths::Equal,
                1 => SentPaths::Best(NonZeroU8::MIN),
                2 => SentPaths::Best(NonZeroU8::new(2).unwrap()),
                _ => SentPaths::All,
            };
            peer.extended_message = random.below(3) > 0;
        }
    }
}

/// The same policies, each peer's in words that nobody else has: no two peers share an update group.
pub(crate) fn ungroup(specs: &mut [Spec]) {
    for (node, spec) in specs.iter_mut().enumerate() {
        for (number, peer) in spec.peers.iter_mut().enumerate() {
            let nowhere: Prefix = "203.0.113.0/24".parse().unwrap();
            let rule = Rule {
                location: location(),
                condition: Condition::Prefix(std::iter::once(PrefixPattern::exact(nowhere)).collect()),
                action: Action::Continue,
                edits: Edits::new(vec![Edit::Med(u32::try_from(node * 100 + number).unwrap())]),
            };
            let own = Filter {
                name: "own".into(),
                rules: vec![rule],
                default: Fallthrough::Next,
                location: location(),
            };
            let mut filters = vec![Arc::new(own)];
            let export = &peer.policy.export;
            if export.filters().is_empty() {
                filters.push(Arc::new(filter(Vec::new(), Fallthrough::Accept)));
            }
            filters.extend(export.filters().iter().cloned());
            peer.policy.export = Chain::new(filters);
        }
    }
}

fn some_chain(random: &mut Random, edit: impl Fn(&mut Random) -> Edit) -> Chain {
    if random.below(3) == 0 {
        return Chain::accept_all();
    }
    let rules = (0..1 + random.below(2)).map(|_| {
        let condition = match random.below(3) {
            0 => Condition::Peer(vec![format!("n{}", random.below(5)).into()]),
            _ => {
                let patterns = [
                    "10.0.0.0/8",
                    "10.1.0.0/16",
                    "10.99.0.0/16",
                    "fd00::/16",
                    "10.0.0.0/15",
                ];
                let pattern: Prefix = patterns[random.below(patterns.len())].parse().unwrap();
                Condition::Prefix(std::iter::once(PrefixPattern::or_longer(pattern)).collect())
            }
        };
        let action = [Action::Accept, Action::Accept, Action::Reject, Action::Continue][random.below(4)];
        let edits = if action != Action::Reject && random.below(2) == 0 {
            vec![edit(random)]
        } else {
            vec![]
        };
        Rule {
            location: location(),
            condition,
            action,
            edits: Edits::new(edits),
        }
    });
    let rules = rules.collect();
    let default = [Fallthrough::Accept, Fallthrough::Accept, Fallthrough::Reject][random.below(3)];
    Chain::new(vec![Arc::new(filter(rules, default))])
}

fn some_edit(random: &mut Random, preferences: bool, external: bool) -> Edit {
    match random.below(6) {
        0 | 1 if preferences => Edit::LocalPref(100 + u32::try_from(random.below(3)).unwrap()),
        2 if preferences => Edit::Med(u32::try_from(random.below(3)).unwrap()),
        0..=2 if external => Edit::Prepend { asn: None, count: 2 },
        3 => Edit::AddCommunities(vec![Community::NO_EXPORT]),
        _ => Edit::AddCommunities(vec![Community(0x0001_0001)]),
    }
}

fn filter(rules: Vec<Rule>, default: Fallthrough) -> Filter {
    Filter {
        name: "some".into(),
        rules,
        default,
        location: location(),
    }
}

fn location() -> stonechat::policy::Place {
    Location {
        file: "sim".into(),
        line: 1,
    }
    .into()
}

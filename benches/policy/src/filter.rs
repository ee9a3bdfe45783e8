//! A set of 10,000 prefixes, asked about 1,000,000 routes in no order, by the chain that the speaker asks.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bgp_codec::{Asn, Family, PeerKind};
use stonechat_bench_rib::policy::{
    Action, CanonicalBlock, Chain, Condition, Edits, Fallthrough, Filter, Location, Marks, PrefixPattern,
    PrefixSet, RouteView, Rule, Source,
};
use stonechat_bench_rib::route::Prefix;
use stonechat_bench_rib::tables::{Dice, Table};

const ROUTES: usize = 1_000_000;
const ENTRIES: usize = 10_000;
const ROUNDS: usize = 7;
/// Answers that are compared with a walk over the list.
const CHECKED: usize = 500;

pub fn run() {
    let mut prefixes: Vec<Prefix> = Table::new(ROUTES, ROUTES / 6).runs.concat();
    let mut dice = Dice::new(3);
    for at in (1..prefixes.len()).rev() {
        prefixes.swap(at, dice.roll(at as u64 + 1) as usize);
    }
    let listed = &prefixes[..ENTRIES];
    let exact = listed.iter().map(|prefix| PrefixPattern::exact(*prefix)).collect();
    let ranges = listed.iter().enumerate().map(|(index, prefix)| match index % 3 {
        0 => PrefixPattern::exact(*prefix),
        1 => PrefixPattern::or_longer(*prefix),
        _ => PrefixPattern {
            base: wider(*prefix, 16 + (index % 6) as u8),
            min_len: 22,
            max_len: 24,
        },
    });
    println!("filter: a set of {ENTRIES} prefixes asked about {ROUTES} routes in no order, {ROUNDS} rounds");
    measure("prefixes alone", &prefixes, exact);
    measure("with ge and le, bases of 16 to 24 bits", &prefixes, ranges.collect());
}

fn measure(what: &str, prefixes: &[Prefix], patterns: Vec<PrefixPattern>) {
    let rule = Rule {
        location: place(),
        condition: Condition::Prefix(patterns.iter().copied().collect::<PrefixSet>()),
        action: Action::Accept,
        edits: Edits::NONE,
    };
    let chain = Chain::new(vec![Arc::new(Filter {
        name: "set".into(),
        rules: vec![rule],
        default: Fallthrough::Reject,
        location: place(),
    })]);
    for prefix in prefixes.iter().step_by(prefixes.len() / CHECKED) {
        let listed = patterns.iter().any(|pattern| {
            let length = prefix.prefix_len();
            pattern.base.contains(prefix) && (pattern.min_len..=pattern.max_len).contains(&length)
        });
        assert_eq!(accepts(&chain, *prefix), listed, "{prefix}");
    }
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            let accepted = prefixes.iter().filter(|prefix| accepts(&chain, **prefix)).count();
            black_box(accepted);
            begun.elapsed().as_secs_f64() * 1e9 / prefixes.len() as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let accepted = prefixes.iter().filter(|prefix| accepts(&chain, **prefix)).count();
    println!(
        "  {what}: median {:.0} ns a route, least {:.0}, {accepted} accepted",
        rounds[ROUNDS / 2],
        rounds[0]
    );
}

fn accepts(chain: &Chain, prefix: Prefix) -> bool {
    const ATTRIBUTES: &[u8] = &[0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9];
    let route = RouteView {
        prefix: black_box(prefix),
        family: Family::IPV4_UNICAST,
        source: Source::Peer {
            name: "peer",
            group: None,
            address: IpAddr::from([192, 0, 2, 1]),
            asn: Asn(65_001),
            kind: PeerKind::External,
            role: None,
        },
        attributes: &CanonicalBlock::new(ATTRIBUTES),
        next_hop: None,
        from_kernel: None,
        next_hop_metric: None,
        marks: Marks::default(),
        local_asn: Asn(64_512),
    };
    chain.evaluate(&route).accept
}

fn wider(prefix: Prefix, len: u8) -> Prefix {
    Prefix::new(prefix.addr(), len).expect("a valid length").trunc()
}

fn place() -> stonechat_bench_rib::policy::Place {
    Location {
        file: "bench".into(),
        line: 1,
    }
    .into()
}

//! The formula of ARCHITECTURE.md against what is held.

use super::*;

const PREFIXES: u32 = 65_536;
const SETS: u32 = 1_024;

/// Octets of a place in the table that finds ids by hash, at its mean load.
const PLACE: f64 = 8.0 / 0.7;

#[test]
fn memory_follows_the_formula() {
    let mut lab = Lab::new(settings());
    let [a, b] = lab.up([client(1), client(2)])[..] else {
        panic!()
    };
    let all = many(PREFIXES);
    let mut block = 0;
    for (index, chunk) in (0u32..).zip(all.chunks((PREFIXES / SETS) as usize)) {
        let attributes = PathAttributes {
            med: Some(index),
            ..via("10.0.0.1")
        };
        let mut octets = Vec::new();
        attributes.encode_canonical(&mut octets);
        block = octets.len() + 4;
        lab.announce_nlri(a, &attributes, chunk);
    }
    lab.settle();
    assert_eq!(lab.remotes[&b].routes.len(), PREFIXES as usize);
    let prefixes = f64::from(PREFIXES);
    check(&lab, "prefixes", prefixes * (8.0 + 4.0 + PLACE));
    check(&lab, "paths", prefixes * (20.0 + 4.0));
    check(
        &lab,
        "attribute sets",
        f64::from(SETS) * (56.0 + block as f64 + PLACE),
    );
    check(&lab, "advertised", prefixes * 12.0);
    check(&lab, "messages queued", 0.0);
    check(&lab, "members behind", 0.0);
    // What a burst needed is given back.
    lab.withdraw_nlri(a, &all);
    lab.settle();
    check(&lab, "prefixes to decide", prefixes / 8.0);
}

/// Within a tenth.
fn check(lab: &Lab, kind: &str, expected: f64) {
    let memory = lab.counters().memory;
    let used = memory
        .iter()
        .find(|used| &*used.kind == kind)
        .expect("a known kind");
    let differs = (used.bytes as f64 - expected).abs();
    assert!(
        differs <= expected / 10.0,
        "{kind}: {} octets and not {expected}",
        used.bytes
    );
}

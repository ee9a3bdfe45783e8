//! Operators' notation that other modules do not spell out: AS paths, AS numbers with a dot, prefixes, families.

use bgp_codec::{Aggregator, AsPathBuf, Asn, Family, Nlri, Origin, ParseAsPathError, SegmentKind, WriteNlri};
use ipnet::IpNet;

#[test]
fn as_paths_parse_and_print() {
    use SegmentKind::{ConfedSequence, ConfedSet, Sequence, Set};
    for (text, kinds, printed) in [
        ("", &[][..], ""),
        ("  ", &[], ""),
        ("64512", &[(Sequence, 1)], "64512"),
        ("64512 1.10  3", &[(Sequence, 3)], "64512 65546 3"),
        ("1 {2,3}", &[(Sequence, 1), (Set, 2)], "1 {2,3}"),
        ("{2 3} 1", &[(Set, 2), (Sequence, 1)], "{2,3} 1"),
        (
            "(64600 64601) 1",
            &[(ConfedSequence, 2), (Sequence, 1)],
            "(64600 64601) 1",
        ),
        (
            "[64600 64601](64602)1{2}",
            &[(ConfedSet, 2), (ConfedSequence, 1), (Sequence, 1), (Set, 1)],
            "[64600,64601] (64602) 1 {2}",
        ),
    ] {
        let path: AsPathBuf = text.parse().unwrap();
        let read: Vec<_> = path
            .segments
            .iter()
            .map(|segment| (segment.kind, segment.asns.len()))
            .collect();
        assert_eq!(read, kinds, "{text}");
        assert_eq!(path.to_string(), printed);
    }
    for text in [
        "{",
        "}",
        "{}",
        "()",
        "[ ]",
        "1 {2",
        "1 2}",
        "(1]",
        "{1 {2}}",
        "1 -2",
        "4294967296",
        "AS1",
        "1 x",
    ] {
        assert_eq!(text.parse::<AsPathBuf>(), Err(ParseAsPathError), "{text}");
    }
}

/// RFC 5396 §2.
#[test]
fn as_numbers_print_plain_or_with_a_dot() {
    for (asn, plain, dotted) in [
        (0, "0", "0"),
        (65_535, "65535", "65535"),
        (65_536, "65536", "1.0"),
        (u32::MAX, "4294967295", "65535.65535"),
    ] {
        let asn = Asn(asn);
        assert_eq!(
            (asn.to_string(), format!("{asn:#}")),
            (plain.into(), dotted.into())
        );
        assert_eq!((plain.parse(), dotted.parse()), (Ok(asn), Ok(asn)));
    }
}

#[test]
fn prefixes_in_text_are_those_on_the_wire() {
    for (text, wire) in [
        ("0.0.0.0/0", &[0][..]),
        ("10.128.0.0/9", &[9, 10, 128]),
        ("192.0.2.1/32", &[32, 192, 0, 2, 1]),
        ("::/0", &[0]),
        ("2001:db8::/33", &[33, 0x20, 1, 0xd, 0xb8, 0]),
    ] {
        let prefix: IpNet = text.parse().unwrap();
        let family = if prefix.addr().is_ipv4() {
            Family::IPV4_UNICAST
        } else {
            Family::IPV6_UNICAST
        };
        let mut out = Vec::new();
        assert!(Nlri::new(prefix).write(family, false, &mut out));
        assert_eq!((&out[..], prefix.to_string().as_str()), (wire, text));
    }
    for text in [
        "10.0.0.0/33",
        "10.0.0.0",
        "10.0.0/8",
        "::/129",
        "2001:db8::/-1",
        "",
    ] {
        assert!(text.parse::<IpNet>().is_err(), "{text}");
    }
}

#[test]
fn families_origins_and_aggregators_parse_as_they_print() {
    for family in Family::KNOWN.iter().copied() {
        assert_eq!(family.to_string().parse(), Ok(family));
    }
    for origin in [Origin::Igp, Origin::Egp, Origin::Incomplete] {
        assert_eq!(origin.to_string().parse(), Ok(origin));
    }
    assert_eq!(
        "1.10 192.0.2.9".parse(),
        Ok(Aggregator {
            asn: Asn(65_546),
            address: [192, 0, 2, 9].into()
        })
    );
    for text in ["", "1", "192.0.2.9", "1 192.0.2", "1 192.0.2.9 2"] {
        assert!(text.parse::<Aggregator>().is_err(), "{text}");
    }
    assert!("ipv5 unicast".parse::<Family>().is_err() && "igp2".parse::<Origin>().is_err());
}

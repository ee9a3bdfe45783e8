//! Two- and four-octet AS numbers side by side, RFC 6793.

use bgp_codec::{
    AsPathBuf, Asn, Attributes, DecodeContext, Family, FamilySet, Nlri, PathAttributes, Update, UpdateWriter,
    WriteContext, header,
};

use crate::common::{NEXT_HOP, NLRI, ORIGIN, attribute, body, internal};

const WIDE: u32 = 4_200_000_000;

#[test]
fn shorter_as4_path_replaces_the_end_of_the_path() {
    merged(
        "100 23456 23456",
        Some("4200000000 65546"),
        "100 4200000000 65546",
    );
    merged("100 200 23456", Some("4200000000"), "100 200 4200000000");
}

#[test]
fn as4_path_of_equal_length_replaces_all() {
    merged("23456 23456", Some("1 4200000000"), "1 4200000000");
}

#[test]
fn longer_as4_path_is_ignored() {
    merged("23456", Some("4200000000 1"), "23456");
}

#[test]
fn sets_count_one_in_the_merge() {
    merged(
        "100 {200,300} 23456",
        Some("{200,300} 4200000000"),
        "100 {200,300} 4200000000",
    );
    merged("100 {200,300}", Some("4200000000"), "100 4200000000");
}

#[test]
fn confederation_segments_stay_at_the_head_and_are_dropped_from_as4_path() {
    merged("(64600) 100 23456", Some("4200000000"), "(64600) 100 4200000000");
    merged("100 23456", Some("(64600) 4200000000"), "100 4200000000");
}

#[test]
fn aggregator_other_than_as_trans_voids_both_companions() {
    let path = attribute(0x40, 2, &narrow("100 23456"));
    let as4_path = attribute(0xc0, 17, &"4200000000".parse::<AsPathBuf>().unwrap().to_bytes());
    let as4_aggregator = attribute(0xc0, 18, &[0xfa, 0x56, 0xea, 0, 9, 9, 9, 9]);
    for (asn, expected_path, expected_asn) in
        [([0x5b, 0xa0], "100 4200000000", WIDE), ([0, 77], "100 23456", 77)]
    {
        let aggregator = attribute(0xc0, 7, &[&asn[..], &[1, 1, 1, 1]].concat());
        let bytes = body(
            &[],
            &[&ORIGIN, &path, &NEXT_HOP, &aggregator, &as4_path, &as4_aggregator],
            &NLRI,
        );
        let attributes = owned(&bytes);
        assert_eq!(attributes.as_path.to_string(), expected_path);
        assert_eq!(attributes.aggregator.unwrap().asn, Asn(expected_asn));
    }
}

#[test]
fn loops_hidden_behind_as_trans_show_in_the_merged_path() {
    let path = attribute(0x40, 2, &narrow("100 23456"));
    let as4_path = attribute(0xc0, 17, &"4200000000".parse::<AsPathBuf>().unwrap().to_bytes());
    let bytes = body(&[], &[&ORIGIN, &path, &NEXT_HOP, &as4_path], &NLRI);
    assert!(owned(&bytes).as_path.contains(Asn(WIDE)));
}

#[test]
fn two_octet_peers_are_sent_companions_only_where_needed() {
    for (path, narrow_path, companion) in [
        ("100 200", "100 200", None),
        ("100 4200000000", "100 23456", Some("100 4200000000")),
        (
            "(64600) 4200000000 {1,2}",
            "(64600) 23456 {1,2}",
            Some("4200000000 {1,2}"),
        ),
        ("", "", None),
    ] {
        let attributes = PathAttributes {
            as_path: path.parse().unwrap(),
            ..PathAttributes::default()
        };
        let bytes = write_narrow(&attributes);
        let update = Update::decode(&bytes[19..], &two_octets()).unwrap();
        assert_eq!(update.treatment(), None);
        assert_eq!(update.attributes().as_path().unwrap().to_string(), narrow_path);
        assert_eq!(
            update
                .attributes()
                .as4_path()
                .map(|path| path.to_string())
                .as_deref(),
            companion
        );
        assert_eq!(
            PathAttributes::from(update.attributes()).as_path,
            attributes.as_path
        );
    }
}

#[test]
fn wide_aggregator_survives_a_two_octet_session_in_canonical_order() {
    let attributes = PathAttributes {
        as_path: "4200000000".parse().unwrap(),
        aggregator: Some(bgp_codec::Aggregator {
            asn: Asn(WIDE),
            address: [9, 9, 9, 9].into(),
        }),
        communities: vec![bgp_codec::Community(1)],
        large_communities: vec!["1:2:3".parse().unwrap()],
        ..PathAttributes::default()
    };
    let bytes = write_narrow(&attributes);
    let update = Update::decode(&bytes[19..], &two_octets()).unwrap();
    let codes: Vec<_> = update
        .attributes()
        .iter_raw()
        .map(|attribute| attribute.code)
        .collect();
    assert_eq!(codes, [1, 2, 3, 7, 8, 17, 18, 32]);
    assert_eq!(
        PathAttributes::from(update.attributes()).aggregator,
        attributes.aggregator
    );
}

fn merged(path: &str, as4_path: Option<&str>, expected: &str) {
    let path = attribute(0x40, 2, &narrow(path));
    let as4_path = as4_path.map(|path| attribute(0xc0, 17, &path.parse::<AsPathBuf>().unwrap().to_bytes()));
    let bytes = body(
        &[],
        &[&ORIGIN, &path, &NEXT_HOP, &as4_path.unwrap_or_default()],
        &NLRI,
    );
    let attributes = owned(&bytes);
    assert_eq!(attributes.as_path.to_string(), expected);
    let mut block = Vec::new();
    attributes.encode_canonical(&mut block);
    assert_eq!(
        Attributes::from_canonical(&block).as_path().unwrap().to_string(),
        expected
    );
}

fn owned(bytes: &[u8]) -> PathAttributes {
    let update = Update::decode(bytes, &two_octets()).unwrap();
    assert_eq!(update.treatment(), None);
    PathAttributes::from(update.attributes())
}

fn narrow(path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    path.parse::<AsPathBuf>().unwrap().encode(false, &mut out);
    out
}

fn two_octets() -> DecodeContext {
    DecodeContext {
        four_octet_asn: false,
        ..internal()
    }
}

fn write_narrow(attributes: &PathAttributes) -> Vec<u8> {
    let context = WriteContext {
        four_octet_asn: false,
        max_message: header::MAX_MESSAGE,
        add_path: FamilySet::EMPTY,
    };
    let mut out = Vec::new();
    let nlri = [Nlri::new("10.0.0.0/8".parse::<ipnet::Ipv4Net>().unwrap())];
    let mut writer = UpdateWriter::new(&mut out, context);
    assert_eq!(
        writer.announce(Family::IPV4_UNICAST, attributes, [192, 0, 2, 1].into(), nlri),
        Ok(1)
    );
    out
}

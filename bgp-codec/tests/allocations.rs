//! Reading allocates nothing: counted, on streams of every kind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(unsafe_code, reason = "an allocator that counts can be made no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bgp_codec::{
    AsPathBuf, Asn, Community, DecodeContext, Family, FamilySet, LargeCommunity, NextHop, Nlri, NlriBlock,
    PathAttributes, PeerKind, RawUpdate, Update, UpdateVisitor, UpdateWriter, WriteContext, header, mrt,
    visit,
};
use ipnet::{Ipv4Net, Ipv6Net};

thread_local! {
    /// Of this thread alone: tests run beside each other.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

fn allocations(work: impl FnOnce() -> usize) -> (u64, usize) {
    let before = COUNT.get();
    let prefixes = work();
    (COUNT.get() - before, prefixes)
}

#[test]
fn the_allocator_counts() {
    assert_eq!(allocations(|| vec![1_u8; 10].len()), (1, 10));
}

#[test]
fn reading_a_stream_allocates_nothing() {
    for (stream, add_path, prefixes) in [
        (ipv4(false), false, 300),
        (ipv6(), false, 300),
        (withdrawals(), false, 300),
        (ipv4(true), true, 300),
        (recorded(), false, 3),
    ] {
        let context = DecodeContext {
            add_path: if add_path {
                FamilySet::ALL
            } else {
                FamilySet::EMPTY
            },
            ..DecodeContext::all(PeerKind::Internal)
        };
        let (count, viewed) = allocations(|| bodies(&stream).map(|body| view(body, &context)).sum());
        assert_eq!(count, 0, "view");
        assert!(viewed >= prefixes, "{viewed}");
        let mut counter = Counter(0);
        let (count, _) = allocations(|| {
            bodies(&stream)
                .filter(|body| visit::update(body, &context, &mut counter).is_ok())
                .count()
        });
        assert_eq!((count, counter.0), (0, viewed), "visitor");
        let (count, _) = allocations(|| {
            bodies(&stream)
                .filter_map(|body| Some(RawUpdate::find(body, &context)?.hash(1)))
                .count()
        });
        assert_eq!(count, 0, "key");
    }
}

#[test]
fn writing_into_a_buffer_allocates_nothing() {
    let attributes = attributes();
    let mut out = Vec::with_capacity(4096);
    let (count, _) = allocations(|| {
        let mut writer = UpdateWriter::new(&mut out, write_context(false));
        let prefixes = (0..9).map(|n| Nlri::new(ipv4_prefix(n)));
        writer
            .announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), prefixes)
            .unwrap()
    });
    assert_eq!(count, 0);
}

fn bodies(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let frame = header::frame(rest, header::MAX_EXTENDED).unwrap()?;
        let (message, after) = rest.split_at(frame.len);
        rest = after;
        Some(&message[header::HEADER_LEN..])
    })
}

fn view(body: &[u8], context: &DecodeContext) -> usize {
    let Ok(update) = Update::decode(body, context) else {
        return 0;
    };
    let attributes = update.attributes();
    let path = attributes.as_path().map_or(0, |path| path.asns().count());
    let communities = attributes.communities().iter().count() + attributes.large_communities().iter().count();
    assert!(path + communities < 4096 && update.check_nlri().is_ok());
    let announced = update.announced().map(|announced| announced.nlri);
    announced
        .chain(update.withdrawn())
        .map(|block| block.ip_prefixes().flatten().count())
        .sum()
}

struct Counter(usize);

impl UpdateVisitor for Counter {
    fn begin(&mut self) {}
    fn withdraw(&mut self, nlri: NlriBlock<'_>) {
        self.0 += nlri.ip_prefixes().flatten().count();
    }
    fn announce(&mut self, nlri: NlriBlock<'_>, _next_hop: Option<NextHop>) {
        self.0 += nlri.ip_prefixes().flatten().count();
    }
}

fn attributes() -> PathAttributes {
    PathAttributes {
        as_path: AsPathBuf::from_sequence([64_512, 64_513, 400_000].map(Asn)),
        med: Some(10),
        local_pref: Some(100),
        communities: vec![Community::new(64_512, 1), Community::new(64_512, 2)],
        large_communities: vec![LargeCommunity {
            global: 64_512,
            local1: 1,
            local2: 2,
        }],
        ..PathAttributes::default()
    }
}

fn write_context(add_path: bool) -> WriteContext {
    WriteContext {
        four_octet_asn: true,
        max_message: header::MAX_MESSAGE,
        add_path: if add_path {
            FamilySet::ALL
        } else {
            FamilySet::EMPTY
        },
    }
}

fn ipv4_prefix(n: u8) -> Ipv4Net {
    Ipv4Net::new([10, n, 0, 0].into(), 16 + n % 9).unwrap().trunc()
}

fn ipv6_prefix(n: u8) -> Ipv6Net {
    Ipv6Net::new([0x2001, n.into(), 0, 0, 0, 0, 0, 0].into(), 32 + n)
        .unwrap()
        .trunc()
}

fn ipv4(add_path: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for id in 0..50 {
        let prefixes = (0..6).map(|n| Nlri {
            path_id: id,
            prefix: ipv4_prefix(n),
        });
        let mut writer = UpdateWriter::new(&mut out, write_context(add_path));
        writer
            .announce(
                Family::IPV4_UNICAST,
                &attributes(),
                [192, 0, 2, 1].into(),
                prefixes,
            )
            .unwrap();
    }
    out
}

fn ipv6() -> Vec<u8> {
    let next_hop = NextHop::V6WithLinkLocal {
        global: "2001:db8::1".parse().unwrap(),
        link_local: "fe80::1".parse().unwrap(),
    };
    let mut out = Vec::new();
    for _ in 0..50 {
        let prefixes = (0..6).map(|n| Nlri::new(ipv6_prefix(n)));
        let mut writer = UpdateWriter::new(&mut out, write_context(false));
        writer
            .announce(Family::IPV6_UNICAST, &attributes(), next_hop, prefixes)
            .unwrap();
    }
    out
}

fn withdrawals() -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..25 {
        let mut writer = UpdateWriter::new(&mut out, write_context(false));
        writer
            .withdraw(Family::IPV4_UNICAST, (0..6).map(|n| Nlri::new(ipv4_prefix(n))))
            .unwrap();
        writer
            .withdraw(Family::IPV6_UNICAST, (0..6).map(|n| Nlri::new(ipv6_prefix(n))))
            .unwrap();
    }
    out
}

/// The UPDATEs that real speakers sent. Those of sessions with Add-Path, which old recordings do not mark, are left out:
/// read without it they are malformed, and an error owns its octets.
fn recorded() -> Vec<u8> {
    let context = DecodeContext {
        add_path: FamilySet::EMPTY,
        ..DecodeContext::all(PeerKind::Internal)
    };
    let mut out = Vec::new();
    for name in ["quagga_bgp", "bird6_bgp", "openbgpd_bgp"] {
        let file = format!("{}/tests/vectors/mrt/{name}.mrt", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(file).unwrap();
        let (mut rest, mut buffer) = (&bytes[..], Vec::new());
        while mrt::read_record(&mut rest, &mut buffer).unwrap() {
            let Ok(Some((record, _))) = mrt::Record::split(&buffer) else {
                break;
            };
            if let Ok(mrt::Entry::Message(message)) = record.parse()
                && matches!(header::frame(message.bytes, header::MAX_MESSAGE), Ok(Some(frame)) if frame.kind == bgp_codec::MessageType::Update)
                && Update::decode(&message.bytes[header::HEADER_LEN..], &context)
                    .is_ok_and(|update| update.check_nlri().is_ok())
            {
                out.extend_from_slice(message.bytes);
            }
        }
    }
    out
}

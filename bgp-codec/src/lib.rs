//! Zero-copy, validating BGP-4 codec.
//!
//! Two levels: borrowed views that check while they read ([`Update`], [`Attributes`]), and owned forms to build and edit
//! ([`Open`], [`Notification`], [`PathAttributes`]) that the [`UpdateWriter`] puts on the wire. Reading allocates nothing;
//! no octets from outside can make this crate panic.
//!
//! Reading an UPDATE:
//!
//! ```
//! use bgp_codec::{DecodeContext, Frame, MessageType, PeerKind, Update, header};
//!
//! fn print(buffer: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//!     let context = DecodeContext::all(PeerKind::External);
//!     let frame = header::frame(buffer, header::MAX_MESSAGE)?;
//!     let Some(Frame { kind: MessageType::Update, len }) = frame else { return Ok(()) };
//!     let update = Update::decode(&buffer[header::HEADER_LEN..len], &context)?;
//!     update.check_nlri()?;
//!     for block in update.withdrawn() {
//!         for nlri in block.ip_prefixes() {
//!             println!("withdraw {}", nlri?.prefix);
//!         }
//!     }
//!     for announced in update.announced() {
//!         for nlri in announced.nlri.ip_prefixes() {
//!             println!("announce {} via {:?}", nlri?.prefix, announced.next_hop);
//!         }
//!     }
//!     Ok(())
//! }
//! # print(&[0xff; 3]).unwrap();
//! ```
//!
//! Writing one:
//!
//! ```
//! use bgp_codec::{Asn, Family, FamilySet, Nlri, PathAttributes, UpdateWriter, WriteContext, header};
//! use ipnet::{Ipv4Net, Ipv6Net};
//!
//! fn announce(buffer: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//!     let max_message = header::MAX_MESSAGE;
//!     let context = WriteContext { four_octet_asn: true, max_message, add_path: FamilySet::EMPTY };
//!     let communities = vec!["64512:100".parse()?, "no-export".parse()?];
//!     let mut attributes = PathAttributes { communities, ..PathAttributes::default() };
//!     attributes.as_path.prepend(Asn(64_512), 1);
//!
//!     let mut writer = UpdateWriter::new(buffer, context);
//!     let announced: [Ipv4Net; 2] = ["192.0.2.0/24".parse()?, "198.51.100.0/24".parse()?];
//!     let next_hop = [203, 0, 113, 1].into();
//!     writer.announce(Family::IPV4_UNICAST, &attributes, next_hop, announced.map(Nlri::new))?;
//!     let withdrawn: [Ipv6Net; 1] = ["2001:db8::/32".parse()?];
//!     writer.withdraw(Family::IPV6_UNICAST, withdrawn.map(Nlri::new))?;
//!     writer.end_of_rib(Family::IPV4_UNICAST);
//!     Ok(())
//! }
//! # let mut buffer = Vec::new();
//! # announce(&mut buffer).unwrap();
//! # assert!(header::frame(&buffer, header::MAX_MESSAGE).unwrap().is_some());
//! ```
//!
//! | RFC | where | what |
//! |---|---|---|
//! | 1997, 3765, 4360, 5668, 5701, 7611, 7999, 8092, 8097, 8326, 9012, 9026 | [`community`] | communities and their names |
//! | 2545, 8950 | [`next_hop`] | IPv6 next hops, also for IPv4 NLRI |
//! | 2918, 7313 | [`route_refresh`] | route refresh |
//! | 4271 | all | BGP-4 |
//! | 4364, 4659, 4684, 4761, 4798, 7432, 8277, 8955, 8956, 9552 | [`nlri`] | where NLRI end that are carried as octets |
//! | 4456, 5065, 6368, 6514, 6790, 7311, 8205, 8669, 9012, 9234 | [`attribute`] | reflection, confederations, AIGP, Only to Customer; others checked and carried |
//! | 4486, 6608, 8538, 9003, 9384, 9687 | [`notification`] | subcodes, Hard Reset, texts for operators |
//! | 4724, 5492, 6286, 8654, 9072, 9494 | [`open`], [`capability`] | graceful restart, capabilities, long messages and parameters |
//! | 4760, 7911 | [`nlri`], [`family`] | families, path identifiers |
//! | 5396 | [`asn`] | AS numbers, plain and dotted |
//! | 6396, 8050 | [`mrt`] | recorded messages and table dumps |
//! | 6793 | [`attribute`], [`writer`] | four-octet AS numbers |
//! | 7606, 7607, 9774 | [`update`] | what is done about errors, AS 0, AS_SET |

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod asn;
pub mod attribute;
pub mod capability;
pub mod community;
pub mod family;
pub mod header;
pub mod interning;
pub mod keepalive;
pub mod mrt;
pub mod next_hop;
pub mod nlri;
pub mod notification;
pub mod open;
mod reader;
pub mod route_refresh;
pub mod update;
pub mod visit;
pub mod writer;

pub use asn::{AS_TRANS, Asn, ParseAsnError};
pub use attribute::{
    Aggregator, AsPath, AsPathBuf, AsPathSegment, AttributeError, AttributeErrorKind, AttributeErrors,
    Attributes, ClusterList, Communities, ExtendedCommunities, Ipv6ExtendedCommunities, LargeCommunities,
    MpReach, MpUnreach, Origin, ParseAggregatorError, ParseAsPathError, ParseOriginError, PathAttributes,
    SegmentKind, Treatment, UnknownAttribute,
};
pub use capability::{AddPathMode, Capability, ExtendedNextHopFamily, GrFamily, LlgrFamily, Role};
pub use community::{
    Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, ParseCommunityError,
};
pub use family::{Afi, Family, FamilySet, ParseFamilyError, Safi};
pub use header::{Frame, HEADER_LEN, HeaderError, MAX_EXTENDED, MAX_MESSAGE, MessageType};
pub use interning::RawUpdate;
pub use next_hop::{NextHop, ParseNextHopError};
pub use nlri::{Nlri, NlriBlock, NlriError, NlriIter, OpaqueIter, WirePrefix, WriteNlri};
pub use notification::Notification;
pub use open::{GracefulRestart, Open, OpenError};
pub use route_refresh::{RouteRefresh, RouteRefreshError};
pub use update::{Announced, AsSets, DecodeContext, PeerKind, Sections, Update, UpdateError};
pub use visit::UpdateVisitor;
pub use writer::{UpdateWriter, WriteContext, WriteError};

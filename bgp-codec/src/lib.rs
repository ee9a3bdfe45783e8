//! Zero-copy, validating BGP-4 codec.
//!
//! Two levels: borrowed views that check while they read ([`Update`], [`Attributes`]), and owned forms to build and edit
//! ([`Open`], [`Notification`], [`PathAttributes`]) that the [`UpdateWriter`] puts on the wire. Reading allocates nothing;
//! no octets from outside can make this crate panic.
//!
//! Reading an UPDATE:
//!
//! ```
//! use bgp_codec::{DecodeContext, MessageType, PeerKind, Update, UpdateError, header};
//!
//! fn print(buffer: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//!     let context = DecodeContext::all(PeerKind::External);
//!     let Some(frame) = header::frame(buffer, header::MAX_MESSAGE)? else { return Ok(()) };
//!     if frame.kind != MessageType::Update {
//!         return Ok(());
//!     }
//!     let update = Update::decode(&buffer[header::HEADER_LEN..frame.len], &context)?;
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
//! Writing one: see [`UpdateWriter`].

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
pub mod keepalive;
pub mod mrt;
pub mod next_hop;
pub mod nlri;
pub mod notification;
pub mod open;
mod reader;
pub mod route_refresh;
pub mod update;
pub mod writer;

pub use asn::{AS_TRANS, Asn, ParseAsnError};
pub use attribute::{
    Aggregator, AsPath, AsPathBuf, AsPathSegment, AttributeError, AttributeErrorKind, AttributeErrors,
    Attributes, ClusterList, Communities, ExtendedCommunities, Ipv6ExtendedCommunities, LargeCommunities,
    MpReach, MpUnreach, Origin, ParseAsPathError, PathAttributes, SegmentKind, Treatment, UnknownAttribute,
};
pub use capability::{AddPathMode, Capability, ExtendedNextHopFamily, GrFamily, LlgrFamily, Role};
pub use community::{
    Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, ParseCommunityError,
};
pub use family::{Afi, Family, FamilySet, ParseFamilyError, Safi};
pub use header::{Frame, HEADER_LEN, HeaderError, MAX_EXTENDED, MAX_MESSAGE, MessageType};
pub use next_hop::NextHop;
pub use nlri::{Nlri, NlriBlock, NlriError, NlriIter, OpaqueIter, WirePrefix, WriteNlri};
pub use notification::Notification;
pub use open::{GracefulRestart, Open, OpenError};
pub use route_refresh::{RouteRefresh, RouteRefreshError};
pub use update::{Announced, DecodeContext, PeerKind, Sections, Update, UpdateError};
pub use writer::{UpdateWriter, WriteContext, WriteError};

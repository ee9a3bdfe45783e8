//! Writes UPDATEs into one buffer: packs NLRI up to the peer's limit, splits exactly, fills in lengths afterwards.

use std::ops::Range;

use thiserror::Error;

use crate::attribute::{Aggregator, PathAttributes};
use crate::attribute::{AsPath, AsPathBuf, RawAttributes, code, flag, write as write_attribute};
use crate::family::{Family, FamilySet};
use crate::header::{self, HEADER_LEN, MAX_EXTENDED, MessageType};
use crate::next_hop::{self, NextHop};
use crate::nlri::WriteNlri;
use crate::update::EMPTY_LEN;

/// What a session has negotiated for sending.
///
/// ```
/// use bgp_codec::{FamilySet, WriteContext, header};
/// let context = WriteContext { four_octet_asn: true, max_message: header::MAX_EXTENDED, add_path: FamilySet::EMPTY };
/// assert!(!context.add_path.contains(bgp_codec::Family::IPV4_UNICAST));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct WriteContext {
    /// AS numbers take four octets, RFC 6793.
    pub four_octet_asn: bool,
    /// The longest message the peer accepts: [`header::MAX_MESSAGE`] or [`header::MAX_EXTENDED`].
    pub max_message: usize,
    /// Families whose NLRI go out with path identifiers, RFC 7911.
    pub add_path: FamilySet,
}

/// Why an UPDATE was not written.
///
/// ```
/// # use bgp_codec::{Family, FamilySet, Nlri, PathAttributes, UpdateWriter, WriteContext, WriteError, header};
/// # let context = WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
/// # let prefix = Nlri::new("192.0.2.0/24".parse::<ipnet::Ipv4Net>()?);
/// let mut out = Vec::new();
/// let mut writer = UpdateWriter::new(&mut out, context);
/// let error = writer.withdraw(Family::IPV6_UNICAST, [prefix]);
/// assert_eq!(error, Err(WriteError::Family { family: Family::IPV6_UNICAST, written: 0 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum WriteError {
    /// Attributes and one NLRI exceed the peer's limit: the route is to be withdrawn there instead.
    #[error("{size} octets exceed a message of {limit}")]
    TooLong {
        /// Octets that the message would have had.
        size: usize,
        /// Octets that the peer accepts.
        limit: usize,
        /// NLRI written before the one that did not fit; they stand in whole messages.
        written: usize,
    },
    /// The NLRI is of another family.
    #[error("NLRI do not belong to {family}")]
    Family {
        /// The family that was to be written.
        family: Family,
        /// NLRI written before the wrong one; they stand in whole messages.
        written: usize,
    },
    /// The family cannot have such a next hop.
    #[error("next hop {next_hop} does not go with {family}")]
    NextHop {
        /// The family that was to be written.
        family: Family,
        /// The next hop.
        next_hop: NextHop,
    },
    /// The family cannot go without a next hop.
    #[error("{family} needs a next hop")]
    NoNextHop {
        /// The family that was to be written.
        family: Family,
    },
}

/// Appends UPDATEs to a buffer of the caller.
///
/// ```
/// use bgp_codec::{DecodeContext, Family, FamilySet, Nlri, PathAttributes, PeerKind, Update, UpdateWriter, WriteContext};
/// let context = WriteContext { four_octet_asn: true, max_message: 4096, add_path: FamilySet::EMPTY };
/// let attributes = PathAttributes { as_path: "64512".parse()?, ..PathAttributes::default() };
/// let prefixes = ["192.0.2.0/24".parse::<ipnet::Ipv4Net>()?, "198.51.100.0/24".parse()?];
///
/// let mut out = Vec::new();
/// let mut writer = UpdateWriter::new(&mut out, context);
/// writer.announce(Family::IPV4_UNICAST, &attributes, [192, 0, 2, 1].into(), prefixes.map(Nlri::new))?;
///
/// let update = Update::decode(&out[19..], &DecodeContext::all(PeerKind::External))?;
/// assert_eq!(update.announced().flat_map(|item| item.nlri.prefixes::<ipnet::Ipv4Net>()).count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UpdateWriter<'b> {
    out: &'b mut Vec<u8>,
    context: WriteContext,
    next_hops: Ranges,
    scratch: Vec<u8>,
}

/// Ranges, of which there is nearly always one: that one takes no allocation.
#[derive(Clone, Debug, Default)]
struct Ranges {
    one: Option<Range<usize>>,
    /// All, if there are more.
    all: Vec<Range<usize>>,
}

impl Ranges {
    fn push(&mut self, range: Range<usize>) {
        if self.one.is_none() {
            self.one = Some(range);
            return;
        }
        if self.all.is_empty() {
            self.all.extend(self.one.clone());
        }
        self.all.push(range);
    }

    fn as_slice(&self) -> &[Range<usize>] {
        if self.all.is_empty() {
            self.one.as_slice()
        } else {
            &self.all
        }
    }
}

/// The message that is being filled.
#[derive(Clone, Copy)]
struct Open {
    /// Where it begins.
    start: usize,
    /// How far its NLRI may go.
    end: usize,
    /// NLRI in it.
    count: usize,
}

impl<'b> UpdateWriter<'b> {
    /// Appends to `out`, for sessions that have negotiated `context`.
    ///
    /// ```
    /// # use bgp_codec::{Family, FamilySet, Nlri, PathAttributes, UpdateWriter, WriteContext, WriteError, header};
    /// # let context = WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
    /// # let prefix = Nlri::new("192.0.2.0/24".parse::<ipnet::Ipv4Net>()?);
    /// let mut out = Vec::new();
    /// let mut writer = UpdateWriter::new(&mut out, context);
    /// assert!(writer.next_hop_ranges().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn new(out: &'b mut Vec<u8>, context: WriteContext) -> Self {
        Self {
            out,
            context,
            next_hops: Ranges {
                one: None,
                all: Vec::new(),
            },
            scratch: Vec::new(),
        }
    }

    /// Where in the buffer next hops stand, so that each session can write its own address there: one range a message.
    ///
    /// ```
    /// # use bgp_codec::{Family, FamilySet, Nlri, PathAttributes, UpdateWriter, WriteContext, WriteError, header};
    /// # let context = WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
    /// # let prefix = Nlri::new("192.0.2.0/24".parse::<ipnet::Ipv4Net>()?);
    /// let mut out = Vec::new();
    /// let mut writer = UpdateWriter::new(&mut out, context);
    /// writer.announce(Family::IPV4_UNICAST, &PathAttributes::default(), [192, 0, 2, 1].into(), [prefix])?;
    /// let range = writer.next_hop_ranges()[0].clone();
    /// assert_eq!(out[range], [192, 0, 2, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn next_hop_ranges(&self) -> &[Range<usize>] {
        self.next_hops.as_slice()
    }

    /// The same, given away.
    ///
    /// ```
    /// # use bgp_codec::{Family, FamilySet, Nlri, PathAttributes, UpdateWriter, WriteContext, WriteError, header};
    /// # let context = WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
    /// # let prefix = Nlri::new("192.0.2.0/24".parse::<ipnet::Ipv4Net>()?);
    /// let mut out = Vec::new();
    /// let mut writer = UpdateWriter::new(&mut out, context);
    /// writer.announce(Family::IPV4_UNICAST, &PathAttributes::default(), [192, 0, 2, 1].into(), [prefix])?;
    /// for range in writer.into_next_hop_ranges() {
    ///     // Each session writes its own address.
    ///     out[range].copy_from_slice(&[192, 0, 2, 7]);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_next_hop_ranges(self) -> Vec<Range<usize>> {
        self.next_hops.as_slice().to_vec()
    }

    /// Announces NLRI with owned attributes; their own `next_hop` is not looked at. Yields how many messages it took.
    ///
    /// ```
    /// # use bgp_codec::{Family, FamilySet, Nlri, PathAttributes, UpdateWriter, WriteContext, WriteError, header};
    /// # let context = WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
    /// # let prefix = Nlri::new("192.0.2.0/24".parse::<ipnet::Ipv4Net>()?);
    /// let mut out = Vec::new();
    /// let mut writer = UpdateWriter::new(&mut out, context);
    /// let messages = writer.announce(Family::IPV4_UNICAST, &PathAttributes::default(), [192, 0, 2, 1].into(), [prefix])?;
    /// assert_eq!(messages, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WriteError`]; what was written before stays.
    pub fn announce<N: WriteNlri>(
        &mut self,
        family: Family,
        attributes: &PathAttributes,
        next_hop: NextHop,
        nlri: impl IntoIterator<Item = N>,
    ) -> Result<usize, WriteError> {
        if let (Family::IPV4_UNICAST, NextHop::V4(address), true) =
            (family, next_hop, self.context.four_octet_asn)
        {
            return self.classic_owned(attributes, address.octets(), nlri.into_iter());
        }
        let mut block = Vec::new();
        attributes.encode_canonical(&mut block);
        self.announce_canonical(family, &block, Some(next_hop), nlri)
    }

    /// The first message from the attributes, those behind it from the first.
    fn classic_owned<N: WriteNlri>(
        &mut self,
        attributes: &PathAttributes,
        next_hop: [u8; 4],
        nlri: impl Iterator<Item = N>,
    ) -> Result<usize, WriteError> {
        let first = self.out.len();
        let mut written: Option<(Range<usize>, usize)> = None;
        let begin = |out: &mut Vec<u8>| match &written {
            Some((head, _)) => out.extend_from_within(head.clone()),
            None => {
                let start = out.len();
                out.extend_from_slice(&[0; 4]);
                let next_hop_at = attributes.encode_with_next_hop(Some(next_hop), out);
                patch_len(out, start.saturating_add(2));
                let at = next_hop_at.unwrap_or(start).saturating_sub(first);
                written = Some((start..out.len(), at));
            }
        };
        let messages = self.fill(Family::IPV4_UNICAST, 0, nlri, (begin, |_: &mut Vec<u8>, _| {}));
        if let Some((_, at)) = written {
            self.record_next_hops(first, at, 4);
        }
        messages
    }

    /// Announces NLRI with the block that [`PathAttributes::encode_canonical`] wrote. Yields how many messages it took.
    ///
    /// IPv4 unicast with an IPv4 next hop takes the classic form, everything else MP_REACH_NLRI. `next_hop` is `None`
    /// only for families that have none.
    ///
    /// ```
    /// # use bgp_codec::{Family, FamilySet, Nlri, PathAttributes, UpdateWriter, WriteContext, WriteError, header};
    /// # let context = WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
    /// # let prefix = Nlri::new("192.0.2.0/24".parse::<ipnet::Ipv4Net>()?);
    /// let mut out = Vec::new();
    /// let mut writer = UpdateWriter::new(&mut out, context);
    /// let mut block = Vec::new();
    /// PathAttributes::default().encode_canonical(&mut block);
    /// assert_eq!(writer.announce_canonical(Family::IPV4_UNICAST, &block, Some([192, 0, 2, 1].into()), [prefix])?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WriteError`]; what was written before stays.
    pub fn announce_canonical<N: WriteNlri>(
        &mut self,
        family: Family,
        block: &[u8],
        next_hop: Option<NextHop>,
        nlri: impl IntoIterator<Item = N>,
    ) -> Result<usize, WriteError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let block = if self.context.four_octet_asn {
            block
        } else {
            scratch.clear();
            to_two_octets(block, &mut scratch);
            &scratch
        };
        let written = match (family, next_hop) {
            (Family::IPV4_UNICAST, Some(NextHop::V4(address))) => {
                self.classic(block, address.octets(), nlri.into_iter())
            }
            _ => self.reach((family, next_hop), block, nlri.into_iter()),
        };
        self.scratch = scratch;
        written
    }

    /// Withdraws NLRI. Yields how many messages it took.
    ///
    /// ```
    /// # use bgp_codec::{Family, FamilySet, Nlri, PathAttributes, UpdateWriter, WriteContext, WriteError, header};
    /// # let context = WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
    /// # let prefix = Nlri::new("192.0.2.0/24".parse::<ipnet::Ipv4Net>()?);
    /// let mut out = Vec::new();
    /// let mut writer = UpdateWriter::new(&mut out, context);
    /// assert_eq!(writer.withdraw(Family::IPV4_UNICAST, [prefix])?, 1);
    /// assert_eq!(out[16..], [0, 27, 2, 0, 4, 24, 192, 0, 2, 0, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WriteError::Family`]; what was written before stays.
    pub fn withdraw<N: WriteNlri>(
        &mut self,
        family: Family,
        nlri: impl IntoIterator<Item = N>,
    ) -> Result<usize, WriteError> {
        if family == Family::IPV4_UNICAST {
            let begin = |out: &mut Vec<u8>| out.extend_from_slice(&[0, 0]);
            let finish = |out: &mut Vec<u8>, start: usize| {
                patch_len(out, start.saturating_add(HEADER_LEN));
                out.extend_from_slice(&[0, 0]);
            };
            return self.fill(family, 2, nlri.into_iter(), (begin, finish));
        }
        let begin = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[0, 0, 0, 0]);
            out.extend_from_slice(&[
                flag::OPTIONAL | flag::EXTENDED_LENGTH,
                code::MP_UNREACH_NLRI,
                0,
                0,
            ]);
            out.extend_from_slice(&family.afi.0.to_be_bytes());
            out.push(family.safi.0);
        };
        let finish = |out: &mut Vec<u8>, start: usize| {
            patch_len(out, start.saturating_add(EMPTY_LEN).saturating_add(2));
            patch_len(out, start.saturating_add(HEADER_LEN).saturating_add(2));
        };
        self.fill(family, 0, nlri.into_iter(), (begin, finish))
    }

    /// Says that the initial routes of the family are complete, RFC 4724 §2.
    ///
    /// ```
    /// # use bgp_codec::{Family, FamilySet, Nlri, PathAttributes, UpdateWriter, WriteContext, WriteError, header};
    /// # let context = WriteContext { four_octet_asn: true, max_message: header::MAX_MESSAGE, add_path: FamilySet::EMPTY };
    /// # let prefix = Nlri::new("192.0.2.0/24".parse::<ipnet::Ipv4Net>()?);
    /// let mut out = Vec::new();
    /// let mut writer = UpdateWriter::new(&mut out, context);
    /// writer.end_of_rib(Family::IPV4_UNICAST);
    /// assert_eq!(out[16..], [0, 23, 2, 0, 0, 0, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn end_of_rib(&mut self, family: Family) {
        let start = header::start(MessageType::Update, self.out);
        if family == Family::IPV4_UNICAST {
            self.out.extend_from_slice(&[0; 4]);
        } else {
            self.out
                .extend_from_slice(&[0, 0, 0, 6, flag::OPTIONAL, code::MP_UNREACH_NLRI, 3]);
            self.out.extend_from_slice(&family.afi.0.to_be_bytes());
            self.out.push(family.safi.0);
        }
        header::finish(start, self.out);
    }

    /// NEXT_HOP among the attributes, NLRI at the end.
    fn classic<N: WriteNlri>(
        &mut self,
        block: &[u8],
        next_hop: [u8; 4],
        nlri: impl Iterator<Item = N>,
    ) -> Result<usize, WriteError> {
        let (before, after) = split_before(block, code::NEXT_HOP);
        let next_hop_at = EMPTY_LEN.saturating_add(before.len()).saturating_add(3);
        let begin = |out: &mut Vec<u8>| {
            let [high, low] = field(block.len().saturating_add(7));
            out.extend_from_slice(&[0, 0, high, low]);
            out.extend_from_slice(before);
            out.extend_from_slice(&[flag::TRANSITIVE, code::NEXT_HOP, 4]);
            out.extend_from_slice(&next_hop);
            out.extend_from_slice(after);
        };
        let first = self.out.len();
        let messages = self.fill(Family::IPV4_UNICAST, 0, nlri, (begin, |_: &mut Vec<u8>, _| {}));
        self.record_next_hops(first, next_hop_at, 4);
        messages
    }

    /// MP_REACH_NLRI first (RFC 7606 §5.1), the other attributes behind it.
    fn reach<N: WriteNlri>(
        &mut self,
        (family, next_hop): (Family, Option<NextHop>),
        block: &[u8],
        nlri: impl Iterator<Item = N>,
    ) -> Result<usize, WriteError> {
        let distinguished = next_hop::has_distinguisher(family);
        let mut hop = Vec::with_capacity(48);
        if let Some(next_hop) = next_hop {
            next_hop.write(distinguished, &mut hop);
        }
        if !next_hop::length_is_valid(family, hop.len(), true) {
            return Err(
                next_hop.map_or(WriteError::NoNextHop { family }, |next_hop| WriteError::NextHop {
                    family,
                    next_hop,
                }),
            );
        }
        let begin = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[0, 0, 0, 0]);
            out.extend_from_slice(&[flag::OPTIONAL | flag::EXTENDED_LENGTH, code::MP_REACH_NLRI, 0, 0]);
            out.extend_from_slice(&family.afi.0.to_be_bytes());
            out.extend_from_slice(&[family.safi.0, u8::try_from(hop.len()).unwrap_or_default()]);
            out.extend_from_slice(&hop);
            out.push(0);
        };
        let finish = |out: &mut Vec<u8>, start: usize| {
            patch_len(out, start.saturating_add(EMPTY_LEN).saturating_add(2));
            out.extend_from_slice(block);
            patch_len(out, start.saturating_add(HEADER_LEN).saturating_add(2));
        };
        let first = self.out.len();
        let messages = self.fill(family, block.len(), nlri, (begin, finish));
        let distinguisher = if distinguished { 8 } else { 0 };
        if !hop.is_empty() {
            self.record_next_hops(
                first,
                EMPTY_LEN + 8 + distinguisher,
                hop.len().saturating_sub(distinguisher),
            );
        }
        messages
    }

    /// Packs NLRI into as few messages as they fit in: `begin` writes what stands before them, `finish` what stands
    /// behind, of `reserved` octets.
    fn fill<N: WriteNlri>(
        &mut self,
        family: Family,
        reserved: usize,
        nlri: impl Iterator<Item = N>,
        (mut begin, finish): (impl FnMut(&mut Vec<u8>), impl Fn(&mut Vec<u8>, usize)),
    ) -> Result<usize, WriteError> {
        let limit = self.context.max_message.min(MAX_EXTENDED);
        let add_path = self.context.add_path.contains(family);
        let mut messages: usize = 0;
        let mut written: usize = 0;
        let mut open: Option<Open> = None;
        let close = |out: &mut Vec<u8>, open: Open| {
            finish(out, open.start);
            header::finish(open.start, out.as_mut_slice());
        };
        for item in nlri {
            loop {
                let message = *open.get_or_insert_with(|| {
                    messages = messages.saturating_add(1);
                    let start = header::start(MessageType::Update, self.out);
                    begin(self.out);
                    let end = start.saturating_add(limit).saturating_sub(reserved);
                    Open { start, end, count: 0 }
                });
                let before = self.out.len();
                let of_family = item.write(family, add_path, self.out);
                if of_family && self.out.len() <= message.end {
                    written = written.saturating_add(1);
                    open = Some(Open {
                        count: message.count.saturating_add(1),
                        ..message
                    });
                    break;
                }
                let size = self
                    .out
                    .len()
                    .saturating_sub(message.start)
                    .saturating_add(reserved);
                self.out.truncate(before);
                if message.count == 0 {
                    self.out.truncate(message.start);
                } else {
                    close(self.out, message);
                }
                open = None;
                if !of_family {
                    return Err(WriteError::Family { family, written });
                }
                if message.count == 0 {
                    return Err(WriteError::TooLong { size, limit, written });
                }
            }
        }
        if let Some(message) = open {
            close(self.out, message);
        }
        Ok(messages)
    }

    /// Notes the next hop of each message from `first` on.
    fn record_next_hops(&mut self, first: usize, at: usize, len: usize) {
        let mut start = first;
        while let Some([high, low]) = self.out.get(start.saturating_add(16)..start.saturating_add(18)) {
            let next_hop = start.saturating_add(at);
            self.next_hops.push(next_hop..next_hop.saturating_add(len));
            start = start.saturating_add(usize::from(u16::from_be_bytes([*high, *low])).max(HEADER_LEN));
        }
    }
}

/// Writes into the two octets at `at` how many follow them.
fn patch_len(out: &mut [u8], at: usize) {
    let len = field(out.len().saturating_sub(at.saturating_add(2)));
    if let Some(octets) = out.get_mut(at..at.saturating_add(2)) {
        octets.copy_from_slice(&len);
    }
}

/// A length as its field; no message is long enough to exceed it.
fn field(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// The attributes of lower type than `code`, and the others.
fn split_before(block: &[u8], code: u8) -> (&[u8], &[u8]) {
    let mut attributes = RawAttributes::new(block);
    let mut after = block;
    while attributes.next().is_some_and(|attribute| attribute.code < code) {
        after = attributes.rest();
    }
    block
        .split_at_checked(block.len().saturating_sub(after.len()))
        .unwrap_or((block, &[]))
}

/// RFC 6793 §4.2.2: AS_PATH and AGGREGATOR with two-octet numbers; AS4_PATH and AS4_AGGREGATOR where that loses something.
fn to_two_octets(block: &[u8], out: &mut Vec<u8>) {
    let mut as4_path = None;
    let mut as4_aggregator = None;
    for attribute in RawAttributes::new(block) {
        if attribute.code > code::AS4_PATH {
            write_as4(&mut as4_path, &mut as4_aggregator, out);
        }
        match (attribute.code, attribute.value) {
            (code::AS_PATH, value) => {
                let path = AsPathBuf::from(AsPath::trusted(value, true));
                let mut narrow = Vec::new();
                path.encode(false, &mut narrow);
                write_attribute(attribute.flags, attribute.code, &narrow, out);
                as4_path = wide_path(path);
            }
            (code::AGGREGATOR, &[a, b, c, d, e, f, g, h]) => {
                let asn = crate::Asn(u32::from_be_bytes([a, b, c, d]));
                let [low, high] = asn.to_two_octets().to_be_bytes();
                write_attribute(attribute.flags, attribute.code, &[low, high, e, f, g, h], out);
                if !asn.is_two_octet() {
                    as4_aggregator = Some(Aggregator {
                        asn,
                        address: [e, f, g, h].into(),
                    });
                }
            }
            (_, value) => write_attribute(attribute.flags, attribute.code, value, out),
        }
    }
    write_as4(&mut as4_path, &mut as4_aggregator, out);
}

/// AS4_PATH for a path, if a number in it needs four octets; it holds no confederation segments.
fn wide_path(mut path: AsPathBuf) -> Option<AsPathBuf> {
    path.strip_confederation();
    let wide = path.asns().any(|asn| !asn.is_two_octet());
    wide.then_some(path)
}

fn write_as4(path: &mut Option<AsPathBuf>, aggregator: &mut Option<Aggregator>, out: &mut Vec<u8>) {
    const FLAGS: u8 = flag::OPTIONAL | flag::TRANSITIVE;
    if let Some(path) = path.take() {
        write_attribute(FLAGS, code::AS4_PATH, &path.to_bytes(), out);
    }
    if let Some(Aggregator { asn, address }) = aggregator.take() {
        let [a, b, c, d] = asn.0.to_be_bytes();
        let [e, f, g, h] = address.octets();
        write_attribute(FLAGS, code::AS4_AGGREGATOR, &[a, b, c, d, e, f, g, h], out);
    }
}

//! The message header (RFC 4271 §4.1, §6.1) and framing of a byte stream.

use thiserror::Error;

/// Octets of the header: marker, length, type.
pub const HEADER_LEN: usize = 19;
/// The longest message without the extended message capability, RFC 4271 §4.1.
pub const MAX_MESSAGE: usize = 4096;
/// The longest message with the extended message capability, RFC 8654 §3.
pub const MAX_EXTENDED: usize = 65_535;

/// The kinds of message.
///
/// ```
/// use bgp_codec::{MessageType, header};
/// let message = [&[0xff; 16][..], &[0, 19, 4]].concat();
/// assert_eq!(header::frame(&message, header::MAX_MESSAGE)?.map(|frame| frame.kind), Some(MessageType::Keepalive));
/// # Ok::<(), bgp_codec::HeaderError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MessageType {
    /// RFC 4271 §4.2.
    Open,
    /// RFC 4271 §4.3.
    Update,
    /// RFC 4271 §4.5.
    Notification,
    /// RFC 4271 §4.4.
    Keepalive,
    /// RFC 2918.
    RouteRefresh,
}

impl MessageType {
    /// The octet on the wire.
    ///
    /// ```
    /// assert_eq!(bgp_codec::MessageType::Keepalive.code(), 4);
    /// ```
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    /// The kind that an octet stands for.
    ///
    /// ```
    /// use bgp_codec::MessageType;
    /// assert_eq!(MessageType::from_code(2), Some(MessageType::Update));
    /// assert_eq!(MessageType::from_code(9), None);
    /// ```
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Open,
            2 => Self::Update,
            3 => Self::Notification,
            4 => Self::Keepalive,
            5 => Self::RouteRefresh,
            _ => return None,
        })
    }

    /// Whether a whole message of this kind may have that length, RFC 4271 §6.1.
    ///
    /// OPEN and KEEPALIVE keep the limit of 4,096 octets (RFC 8654 §4).
    const fn allows(self, len: usize) -> bool {
        match self {
            Self::Open => len >= 29 && len <= MAX_MESSAGE,
            Self::Update | Self::RouteRefresh => len >= 23,
            Self::Notification => len >= 21,
            Self::Keepalive => len == HEADER_LEN,
        }
    }
}

/// One whole message at the beginning of a buffer.
///
/// ```
/// use bgp_codec::{Frame, MessageType, header};
/// // A KEEPALIVE and the beginning of another message.
/// let stream = [&[0xff; 16][..], &[0, 19, 4], &[0xff; 5]].concat();
/// assert_eq!(header::frame(&stream, header::MAX_MESSAGE), Ok(Some(Frame { kind: MessageType::Keepalive, len: 19 })));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame {
    /// The kind of message.
    pub kind: MessageType,
    /// Octets of the whole message, header included.
    pub len: usize,
}

/// What is wrong with a header; each maps to a NOTIFICATION of code 1.
///
/// ```
/// use bgp_codec::{HeaderError, Notification, header};
/// let error = header::frame(&[0xff, 0], header::MAX_MESSAGE);
/// assert_eq!(error, Err(HeaderError::NotSynchronized));
/// assert_eq!(Notification::from(HeaderError::BadType(9)), Notification { code: 1, subcode: 3, data: vec![9] });
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HeaderError {
    /// The marker is not all ones: 1/1.
    #[error("the marker is not all ones")]
    NotSynchronized,
    /// The length is outside what the kind of message allows: 1/2, data is the length field.
    #[error("bad message length {0}")]
    BadLength(u16),
    /// No such kind of message: 1/3, data is the type field.
    #[error("bad message type {0}")]
    BadType(u8),
}

/// Looks for one whole message at the beginning of `buf`.
///
/// `Ok(None)` means that more octets are needed; whatever is already there is checked as early as it can be.
/// `max_len` is [`MAX_MESSAGE`] or, with RFC 8654, [`MAX_EXTENDED`].
///
/// ```
/// use bgp_codec::{Frame, MessageType, header};
/// let mut bytes = Vec::new();
/// bgp_codec::keepalive::encode(&mut bytes);
/// let frame = header::frame(&bytes, header::MAX_MESSAGE)?;
/// assert_eq!(frame, Some(Frame { kind: MessageType::Keepalive, len: 19 }));
/// assert_eq!(header::frame(&bytes[..7], header::MAX_MESSAGE)?, None);
/// # Ok::<(), bgp_codec::HeaderError>(())
/// ```
///
/// # Errors
///
/// [`HeaderError`] as RFC 4271 §6.1 says; the peer is told 1/1, 1/2 or 1/3.
#[inline]
pub fn frame(buf: &[u8], max_len: usize) -> Result<Option<Frame>, HeaderError> {
    let Some((header, _)) = buf.split_first_chunk::<HEADER_LEN>() else {
        return partial(buf, max_len).map(|()| None);
    };
    let [marker @ .., high, low, code] = header;
    if *marker != [0xff; 16] {
        return Err(HeaderError::NotSynchronized);
    }
    let field = u16::from_be_bytes([*high, *low]);
    let len = usize::from(field);
    if len < HEADER_LEN || len > max_len {
        return Err(HeaderError::BadLength(field));
    }
    // Nearly always.
    let kind = MessageType::Update;
    if *code == kind.code() && kind.allows(len) {
        return Ok((buf.len() >= len).then_some(Frame { kind, len }));
    }
    let kind = MessageType::from_code(*code).ok_or(HeaderError::BadType(*code))?;
    if !kind.allows(len) {
        return Err(HeaderError::BadLength(field));
    }
    Ok((buf.len() >= len).then_some(Frame { kind, len }))
}

#[cold]
fn partial(buf: &[u8], max_len: usize) -> Result<(), HeaderError> {
    if buf.iter().take(16).any(|octet| *octet != 0xff) {
        return Err(HeaderError::NotSynchronized);
    }
    if let Some([high, low]) = buf.get(16..18) {
        let field = u16::from_be_bytes([*high, *low]);
        let len = usize::from(field);
        if len < HEADER_LEN || len > max_len {
            return Err(HeaderError::BadLength(field));
        }
    }
    Ok(())
}

/// Appends a header whose length is filled in by [`finish`].
pub(crate) fn start(kind: MessageType, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let mut header = [0xff; HEADER_LEN];
    let [.., high, low, code] = &mut header;
    (*high, *low, *code) = (0, 0, kind.code());
    out.extend_from_slice(&header);
    start
}

/// Fills in the length of the message that began at `start`.
///
/// A message longer than the field can say is cut off by the callers before they get here.
pub(crate) fn finish(start: usize, out: &mut [u8]) {
    let len = u16::try_from(out.len().saturating_sub(start)).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(start.saturating_add(16)..start.saturating_add(18)) {
        field.copy_from_slice(&len.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(len: u16, code: u8) -> Vec<u8> {
        let mut bytes = vec![0xff; 16];
        bytes.extend(len.to_be_bytes());
        bytes.push(code);
        bytes
    }

    #[test]
    fn lengths_are_checked_per_type() {
        for (code, len, max, ok) in [
            (1, 28, MAX_MESSAGE, false),
            (1, 29, MAX_MESSAGE, true),
            (1, 4096, MAX_EXTENDED, true),
            (1, 4097, MAX_EXTENDED, false),
            (2, 22, MAX_MESSAGE, false),
            (2, 23, MAX_MESSAGE, true),
            (2, 4097, MAX_MESSAGE, false),
            (2, 65_535, MAX_EXTENDED, true),
            (3, 20, MAX_MESSAGE, false),
            (3, 21, MAX_MESSAGE, true),
            (4, 19, MAX_MESSAGE, true),
            (4, 20, MAX_MESSAGE, false),
            (5, 22, MAX_MESSAGE, false),
            (5, 23, MAX_MESSAGE, true),
            (2, 18, MAX_MESSAGE, false),
        ] {
            let answer = frame(&header(len, code), max);
            let expected = if ok {
                Ok(None)
            } else {
                Err(HeaderError::BadLength(len))
            };
            let answer = answer.map(|frame| frame.filter(|_| len != 19));
            assert_eq!(answer, expected, "type {code} length {len}");
        }
    }

    #[test]
    fn errors_show_as_early_as_the_octets_allow() {
        assert_eq!(
            frame(&[0xff, 0xfe], MAX_MESSAGE),
            Err(HeaderError::NotSynchronized)
        );
        assert_eq!(
            frame(&header(18, 2)[..18], MAX_MESSAGE),
            Err(HeaderError::BadLength(18))
        );
        assert_eq!(frame(&header(19, 0), MAX_MESSAGE), Err(HeaderError::BadType(0)));
        assert_eq!(frame(&header(19, 6), MAX_MESSAGE), Err(HeaderError::BadType(6)));
        assert_eq!(frame(&[], MAX_MESSAGE), Ok(None));
    }

    #[test]
    fn a_message_is_whole_or_awaited() {
        let mut bytes = header(23, 2);
        bytes.extend([0; 3]);
        assert_eq!(frame(&bytes, MAX_MESSAGE), Ok(None));
        bytes.extend([0; 9]);
        assert_eq!(
            frame(&bytes, MAX_MESSAGE),
            Ok(Some(Frame {
                kind: MessageType::Update,
                len: 23
            }))
        );
    }
}

//! NOTIFICATION (RFC 4271 §4.5): codes, subcodes, words for them, and the answer to each decoding error.

use std::fmt;

use crate::header::{self, HEADER_LEN, HeaderError, MessageType};
use crate::open::{OpenError, VERSION};
use crate::route_refresh::RouteRefreshError;
use crate::update::UpdateError;

/// The longest shutdown communication, RFC 9003 §2.
pub const MAX_COMMUNICATION: usize = 255;

macro_rules! subcodes {
    ($($(#[$doc:meta])* $module:ident ($code:path) {
        $($(#[$item:meta])* $name:ident = $value:literal $text:literal;)*
    })*) => {
        $($(#[$doc])* pub mod $module {
            $(#[doc = concat!("Subcode ", stringify!($value), ": ", $text, ".")] pub const $name: u8 = $value;)*
        })*

        fn subcode_text(code: u8, subcode: u8) -> Option<&'static str> {
            Some(match (code, subcode) {
                $($(($code, $value) => $text,)*)*
                _ => return None,
            })
        }
    };
}

/// Error codes.
///
/// ```
/// assert_eq!(bgp_codec::notification::code::CEASE, 6);
/// ```
pub mod code {
    /// RFC 4271 §6.1.
    pub const MESSAGE_HEADER: u8 = 1;
    /// RFC 4271 §6.2.
    pub const OPEN_MESSAGE: u8 = 2;
    /// RFC 4271 §6.3.
    pub const UPDATE_MESSAGE: u8 = 3;
    /// RFC 4271 §6.5.
    pub const HOLD_TIMER_EXPIRED: u8 = 4;
    /// RFC 4271 §6.6.
    pub const FINITE_STATE_MACHINE: u8 = 5;
    /// RFC 4271 §6.7.
    pub const CEASE: u8 = 6;
    /// RFC 7313 §5.
    pub const ROUTE_REFRESH_MESSAGE: u8 = 7;
    /// RFC 9687 §4.
    pub const SEND_HOLD_TIMER_EXPIRED: u8 = 8;
}

subcodes! {
    /// Subcodes of [`code::MESSAGE_HEADER`].
    message_header (code::MESSAGE_HEADER) {
        CONNECTION_NOT_SYNCHRONIZED = 1 "connection not synchronized";
        BAD_MESSAGE_LENGTH = 2 "bad message length";
        BAD_MESSAGE_TYPE = 3 "bad message type";
    }
    /// Subcodes of [`code::OPEN_MESSAGE`].
    open_message (code::OPEN_MESSAGE) {
        UNSUPPORTED_VERSION_NUMBER = 1 "unsupported version number";
        BAD_PEER_AS = 2 "bad peer AS";
        BAD_BGP_IDENTIFIER = 3 "bad BGP identifier";
        UNSUPPORTED_OPTIONAL_PARAMETER = 4 "unsupported optional parameter";
        UNACCEPTABLE_HOLD_TIME = 6 "unacceptable hold time";
        UNSUPPORTED_CAPABILITY = 7 "unsupported capability";
        ROLE_MISMATCH = 11 "role mismatch";
    }
    /// Subcodes of [`code::UPDATE_MESSAGE`].
    update_message (code::UPDATE_MESSAGE) {
        MALFORMED_ATTRIBUTE_LIST = 1 "malformed attribute list";
        UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE = 2 "unrecognized well-known attribute";
        MISSING_WELL_KNOWN_ATTRIBUTE = 3 "missing well-known attribute";
        ATTRIBUTE_FLAGS = 4 "attribute flags error";
        ATTRIBUTE_LENGTH = 5 "attribute length error";
        INVALID_ORIGIN = 6 "invalid origin attribute";
        INVALID_NEXT_HOP = 8 "invalid next hop attribute";
        OPTIONAL_ATTRIBUTE = 9 "optional attribute error";
        INVALID_NETWORK_FIELD = 10 "invalid network field";
        MALFORMED_AS_PATH = 11 "malformed AS path";
    }
    /// Subcodes of [`code::FINITE_STATE_MACHINE`], RFC 6608 §4.
    finite_state_machine (code::FINITE_STATE_MACHINE) {
        UNEXPECTED_IN_OPEN_SENT = 1 "unexpected message in OpenSent";
        UNEXPECTED_IN_OPEN_CONFIRM = 2 "unexpected message in OpenConfirm";
        UNEXPECTED_IN_ESTABLISHED = 3 "unexpected message in Established";
    }
    /// Subcodes of [`code::CEASE`], RFC 4486 §3, RFC 8538 §3, RFC 9384 §2.
    cease (code::CEASE) {
        MAXIMUM_PREFIXES_REACHED = 1 "maximum number of prefixes reached";
        ADMINISTRATIVE_SHUTDOWN = 2 "administrative shutdown";
        PEER_DECONFIGURED = 3 "peer deconfigured";
        ADMINISTRATIVE_RESET = 4 "administrative reset";
        CONNECTION_REJECTED = 5 "connection rejected";
        OTHER_CONFIGURATION_CHANGE = 6 "other configuration change";
        CONNECTION_COLLISION = 7 "connection collision resolution";
        OUT_OF_RESOURCES = 8 "out of resources";
        HARD_RESET = 9 "hard reset";
        BFD_DOWN = 10 "BFD down";
    }
    /// Subcodes of [`code::ROUTE_REFRESH_MESSAGE`], RFC 7313 §5.
    route_refresh_message (code::ROUTE_REFRESH_MESSAGE) {
        INVALID_MESSAGE_LENGTH = 1 "invalid message length";
    }
}

/// A NOTIFICATION message.
///
/// ```
/// use bgp_codec::Notification;
/// let notification = Notification::administrative_shutdown("maintenance");
/// assert_eq!(notification.to_string(), "cease / administrative shutdown: maintenance");
/// let mut bytes = Vec::new();
/// notification.encode(&mut bytes);
/// assert_eq!(Notification::decode(&bytes[19..]), Ok(notification));
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Notification {
    /// One of [`code`].
    pub code: u8,
    /// Depends on the code; 0 is unspecific.
    pub subcode: u8,
    /// Depends on code and subcode.
    pub data: Vec<u8>,
}

impl Notification {
    /// A notification without data.
    ///
    /// ```
    /// use bgp_codec::notification::{Notification, code};
    /// assert_eq!(Notification::new(code::HOLD_TIMER_EXPIRED, 0).to_string(), "hold timer expired");
    /// ```
    #[must_use]
    pub const fn new(code: u8, subcode: u8) -> Self {
        Self {
            code,
            subcode,
            data: Vec::new(),
        }
    }

    /// A Cease with one of the [`cease`] subcodes.
    ///
    /// ```
    /// use bgp_codec::notification::{Notification, cease};
    /// assert_eq!(Notification::cease(cease::PEER_DECONFIGURED).to_string(), "cease / peer deconfigured");
    /// ```
    #[must_use]
    pub const fn cease(subcode: u8) -> Self {
        Self::new(code::CEASE, subcode)
    }

    /// The hold timer has expired.
    ///
    /// ```
    /// assert_eq!(bgp_codec::Notification::hold_timer_expired().code, 4);
    /// ```
    #[must_use]
    pub const fn hold_timer_expired() -> Self {
        Self::new(code::HOLD_TIMER_EXPIRED, 0)
    }

    /// The send hold timer has expired, RFC 9687.
    ///
    /// ```
    /// assert_eq!(bgp_codec::Notification::send_hold_timer_expired().to_string(), "send hold timer expired");
    /// ```
    #[must_use]
    pub const fn send_hold_timer_expired() -> Self {
        Self::new(code::SEND_HOLD_TIMER_EXPIRED, 0)
    }

    /// A message that the state does not allow; one of the [`finite_state_machine`] subcodes, data is its type
    /// (RFC 6608 §4).
    ///
    /// ```
    /// use bgp_codec::{MessageType, Notification, notification::finite_state_machine};
    /// let unexpected = Notification::unexpected_message(finite_state_machine::UNEXPECTED_IN_OPEN_SENT, MessageType::Update);
    /// assert_eq!((unexpected.code, unexpected.subcode, unexpected.data), (5, 1, vec![2]));
    /// ```
    #[must_use]
    pub fn unexpected_message(subcode: u8, kind: MessageType) -> Self {
        Self {
            code: code::FINITE_STATE_MACHINE,
            subcode,
            data: vec![kind.code()],
        }
    }

    /// A Cease for a planned stop, with a text for the peer's operator (RFC 9003).
    ///
    /// ```
    /// let shutdown = bgp_codec::Notification::administrative_shutdown("maintenance until 6");
    /// assert_eq!(shutdown.to_string(), "cease / administrative shutdown: maintenance until 6");
    /// ```
    #[must_use]
    pub fn administrative_shutdown(text: &str) -> Self {
        Self::with_communication(cease::ADMINISTRATIVE_SHUTDOWN, text)
    }

    /// A Cease for a planned reset, with a text for the peer's operator (RFC 9003).
    ///
    /// ```
    /// assert_eq!(bgp_codec::Notification::administrative_reset("").to_string(), "cease / administrative reset");
    /// ```
    #[must_use]
    pub fn administrative_reset(text: &str) -> Self {
        Self::with_communication(cease::ADMINISTRATIVE_RESET, text)
    }

    /// A Cease because a family has too many prefixes; data names family and limit (RFC 4486 §4).
    ///
    /// ```
    /// use bgp_codec::{Family, Notification};
    /// let reached = Notification::maximum_prefixes(Family::IPV6_UNICAST, 1000);
    /// assert_eq!((reached.subcode, reached.data), (1, vec![0, 2, 1, 0, 0, 3, 0xe8]));
    /// ```
    #[must_use]
    pub fn maximum_prefixes(family: crate::Family, limit: u32) -> Self {
        let mut data = family.afi.0.to_be_bytes().to_vec();
        data.push(family.safi.0);
        data.extend_from_slice(&limit.to_be_bytes());
        Self {
            code: code::CEASE,
            subcode: cease::MAXIMUM_PREFIXES_REACHED,
            data,
        }
    }

    /// Wraps a notification so that the peer does not keep routes for a graceful restart (RFC 8538 §3).
    ///
    /// ```
    /// use bgp_codec::Notification;
    /// let inner = Notification::administrative_shutdown("bye");
    /// assert_eq!(Notification::hard_reset(&inner).hard_reset_reason(), Some(inner));
    /// ```
    #[must_use]
    pub fn hard_reset(reason: &Self) -> Self {
        let mut data = vec![reason.code, reason.subcode];
        data.extend_from_slice(&reason.data);
        Self {
            code: code::CEASE,
            subcode: cease::HARD_RESET,
            data,
        }
    }

    /// Whether the peer must not keep routes (RFC 8538 §4).
    ///
    /// ```
    /// use bgp_codec::Notification;
    /// assert!(Notification::hard_reset(&Notification::hold_timer_expired()).is_hard_reset());
    /// ```
    #[must_use]
    pub const fn is_hard_reset(&self) -> bool {
        self.code == code::CEASE && self.subcode == cease::HARD_RESET
    }

    /// The notification inside a Hard Reset.
    ///
    /// ```
    /// use bgp_codec::Notification;
    /// let reason = Notification::hold_timer_expired();
    /// assert_eq!(Notification::hard_reset(&reason).hard_reset_reason(), Some(reason));
    /// ```
    #[must_use]
    pub fn hard_reset_reason(&self) -> Option<Self> {
        match self.data.as_slice() {
            [code, subcode, data @ ..] if self.is_hard_reset() => Some(Self {
                code: *code,
                subcode: *subcode,
                data: data.to_vec(),
            }),
            _ => None,
        }
    }

    /// The text for operators that an administrative shutdown or reset carries (RFC 9003 §2), directly or inside a
    /// Hard Reset. Control characters are not removed here: print it escaped.
    ///
    /// ```
    /// use bgp_codec::Notification;
    /// let shutdown = Notification::administrative_shutdown("bye");
    /// assert_eq!(shutdown.shutdown_communication().as_deref(), Some("bye"));
    /// assert_eq!(Notification::hard_reset(&shutdown).shutdown_communication().as_deref(), Some("bye"));
    /// ```
    #[must_use]
    pub fn shutdown_communication(&self) -> Option<String> {
        if let Some(reason) = self.hard_reset_reason() {
            return reason.communication();
        }
        self.communication()
    }

    fn communication(&self) -> Option<String> {
        let administrative = matches!(
            (self.code, self.subcode),
            (
                code::CEASE,
                cease::ADMINISTRATIVE_SHUTDOWN | cease::ADMINISTRATIVE_RESET
            )
        );
        let (len, text) = self.data.split_first()?;
        let text = text.get(..usize::from(*len))?;
        (administrative && !text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }

    fn with_communication(subcode: u8, text: &str) -> Self {
        let end = (0..=MAX_COMMUNICATION.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        let text = end.and_then(|end| text.get(..end)).unwrap_or_default();
        let mut data = Vec::new();
        if let (Ok(len), false) = (u8::try_from(text.len()), text.is_empty()) {
            data.push(len);
            data.extend_from_slice(text.as_bytes());
        }
        Self {
            code: code::CEASE,
            subcode,
            data,
        }
    }

    /// Reads the body of a NOTIFICATION.
    ///
    /// ```
    /// assert_eq!(bgp_codec::Notification::decode(&[6, 4])?.to_string(), "cease / administrative reset");
    /// # Ok::<(), bgp_codec::HeaderError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HeaderError::BadLength`] if there are not even two octets; [`header::frame`] lets no such message through.
    pub fn decode(body: &[u8]) -> Result<Self, HeaderError> {
        if let [code, subcode, data @ ..] = body {
            return Ok(Self {
                code: *code,
                subcode: *subcode,
                data: data.to_vec(),
            });
        }
        let len = body.len().saturating_add(HEADER_LEN);
        Err(HeaderError::BadLength(u16::try_from(len).unwrap_or(u16::MAX)))
    }

    /// Appends the whole message; data that would exceed 4,096 octets is cut off.
    ///
    /// ```
    /// let mut message = Vec::new();
    /// bgp_codec::Notification::hold_timer_expired().encode(&mut message);
    /// assert_eq!(message[16..], [0, 21, 3, 4, 0]);
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = header::start(MessageType::Notification, out);
        out.extend_from_slice(&[self.code, self.subcode]);
        out.extend_from_slice(&self.data);
        out.truncate(start.saturating_add(header::MAX_MESSAGE));
        header::finish(start, out);
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match code_text(self.code) {
            Some(text) => f.write_str(text)?,
            None => write!(f, "code {}", self.code)?,
        }
        match subcode_text(self.code, self.subcode) {
            Some(text) => write!(f, " / {text}")?,
            None if self.subcode != 0 => write!(f, " / subcode {}", self.subcode)?,
            None => {}
        }
        if let Some(reason) = self.hard_reset_reason() {
            // One level only: a Hard Reset inside a Hard Reset is a peer's joke.
            return match (code_text(reason.code), subcode_text(reason.code, reason.subcode)) {
                (Some(code), Some(subcode)) => write!(f, " ({code} / {subcode})"),
                _ => write!(f, " ({}/{})", reason.code, reason.subcode),
            }
            .and_then(|()| match self.shutdown_communication() {
                Some(text) => write!(f, ": {}", text.escape_debug()),
                None => Ok(()),
            });
        }
        match self.shutdown_communication() {
            Some(text) => write!(f, ": {}", text.escape_debug()),
            None if self.data.is_empty() => Ok(()),
            None => {
                f.write_str(" (data ")?;
                for octet in self.data.iter().take(32) {
                    write!(f, "{octet:02x}")?;
                }
                f.write_str(if self.data.len() > 32 { "...)" } else { ")" })
            }
        }
    }
}

const fn code_text(code: u8) -> Option<&'static str> {
    Some(match code {
        code::MESSAGE_HEADER => "message header error",
        code::OPEN_MESSAGE => "open message error",
        code::UPDATE_MESSAGE => "update message error",
        code::HOLD_TIMER_EXPIRED => "hold timer expired",
        code::FINITE_STATE_MACHINE => "finite state machine error",
        code::CEASE => "cease",
        code::ROUTE_REFRESH_MESSAGE => "route refresh message error",
        code::SEND_HOLD_TIMER_EXPIRED => "send hold timer expired",
        _ => return None,
    })
}

impl From<HeaderError> for Notification {
    fn from(error: HeaderError) -> Self {
        let (subcode, data) = match error {
            HeaderError::NotSynchronized => (message_header::CONNECTION_NOT_SYNCHRONIZED, Vec::new()),
            HeaderError::BadLength(len) => (message_header::BAD_MESSAGE_LENGTH, len.to_be_bytes().to_vec()),
            HeaderError::BadType(kind) => (message_header::BAD_MESSAGE_TYPE, vec![kind]),
        };
        Self {
            code: code::MESSAGE_HEADER,
            subcode,
            data,
        }
    }
}

impl From<OpenError> for Notification {
    fn from(error: OpenError) -> Self {
        let (subcode, data) = match error {
            OpenError::Malformed => (0, Vec::new()),
            // RFC 4271 §6.2: the largest version spoken here, two octets.
            OpenError::UnsupportedVersion(_) => (open_message::UNSUPPORTED_VERSION_NUMBER, vec![0, VERSION]),
            OpenError::BadPeerAs => (open_message::BAD_PEER_AS, Vec::new()),
            OpenError::BadBgpIdentifier(_) => (open_message::BAD_BGP_IDENTIFIER, Vec::new()),
            OpenError::UnsupportedParameter(_) => (open_message::UNSUPPORTED_OPTIONAL_PARAMETER, Vec::new()),
            OpenError::UnacceptableHoldTime(_) => (open_message::UNACCEPTABLE_HOLD_TIME, Vec::new()),
            OpenError::RoleMismatch => (open_message::ROLE_MISMATCH, Vec::new()),
        };
        Self {
            code: code::OPEN_MESSAGE,
            subcode,
            data,
        }
    }
}

impl From<RouteRefreshError> for Notification {
    fn from(error: RouteRefreshError) -> Self {
        match error {
            RouteRefreshError::BadLength(len) => HeaderError::BadLength(len).into(),
            RouteRefreshError::InvalidMessageLength(data) => Self {
                code: code::ROUTE_REFRESH_MESSAGE,
                subcode: route_refresh_message::INVALID_MESSAGE_LENGTH,
                data,
            },
        }
    }
}

impl From<UpdateError> for Notification {
    fn from(error: UpdateError) -> Self {
        Self {
            code: code::UPDATE_MESSAGE,
            subcode: error.subcode(),
            data: error.into_data(),
        }
    }
}

//! Attribute flags, RFC 4271 §4.3.
//!
//! ```
//! use bgp_codec::attribute::flag;
//! assert_eq!(flag::OPTIONAL | flag::TRANSITIVE, 0xc0);
//! ```

/// The attribute is not well-known.
pub const OPTIONAL: u8 = 0x80;
/// The attribute is passed on also by those who do not know it.
pub const TRANSITIVE: u8 = 0x40;
/// Someone on the way did not know it.
pub const PARTIAL: u8 = 0x20;
/// The length has two octets.
pub const EXTENDED_LENGTH: u8 = 0x10;

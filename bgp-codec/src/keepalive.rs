//! KEEPALIVE (RFC 4271 §4.4): a header and nothing else.

use crate::header::{self, MessageType};

/// Appends a KEEPALIVE.
///
/// ```
/// let mut out = Vec::new();
/// bgp_codec::keepalive::encode(&mut out);
/// assert_eq!(out.len(), 19);
/// ```
pub fn encode(out: &mut Vec<u8>) {
    let start = header::start(MessageType::Keepalive, out);
    header::finish(start, out);
}

//! AGGREGATOR (RFC 4271 §5.1.7).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use thiserror::Error;

use crate::asn::Asn;

/// AGGREGATOR: who formed an aggregate route.
///
/// ```
/// use bgp_codec::{Aggregator, Asn};
/// let aggregator = Aggregator { asn: Asn(64_512), address: [192, 0, 2, 1].into() };
/// assert_eq!(aggregator.to_string(), "64512 192.0.2.1");
/// assert_eq!("64512 192.0.2.1".parse(), Ok(aggregator));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Aggregator {
    /// Its AS.
    pub asn: Asn,
    /// Its BGP Identifier.
    pub address: Ipv4Addr,
}

impl fmt::Display for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.asn, self.address)
    }
}

/// The text is no aggregator.
///
/// ```
/// assert_eq!("64512".parse::<bgp_codec::Aggregator>(), Err(bgp_codec::ParseAggregatorError));
/// ```
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not an aggregator: expected an AS number and an IPv4 address")]
pub struct ParseAggregatorError;

impl FromStr for Aggregator {
    type Err = ParseAggregatorError;

    fn from_str(text: &str) -> Result<Self, ParseAggregatorError> {
        let (asn, address) = text.split_once(' ').ok_or(ParseAggregatorError)?;
        Ok(Self {
            asn: asn.parse().map_err(|_| ParseAggregatorError)?,
            address: address.parse().map_err(|_| ParseAggregatorError)?,
        })
    }
}

//! ROUTE-REFRESH (RFC 2918) with the subtypes of enhanced route refresh (RFC 7313).

use thiserror::Error;

use crate::family::{Afi, Family, Safi};
use crate::header::{self, HEADER_LEN, MessageType};

/// What a ROUTE-REFRESH says.
///
/// ```
/// use bgp_codec::{RouteRefresh, route_refresh::Subtype};
/// assert_eq!(RouteRefresh::decode(&[0, 1, 1, 1])?.map(|refresh| refresh.subtype), Some(Subtype::BeginOfRib));
/// # Ok::<(), bgp_codec::RouteRefreshError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Subtype {
    /// Send everything again.
    Request,
    /// What follows is everything, RFC 7313.
    BeginOfRib,
    /// That was everything, RFC 7313.
    EndOfRib,
}

/// A ROUTE-REFRESH message.
///
/// ```
/// use bgp_codec::{Family, RouteRefresh, route_refresh::Subtype};
/// let request = RouteRefresh { family: Family::IPV4_UNICAST, subtype: Subtype::Request };
/// let mut bytes = Vec::new();
/// request.encode(&mut bytes);
/// assert_eq!(RouteRefresh::decode(&bytes[19..]), Ok(Some(request)));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RouteRefresh {
    /// The family meant.
    pub family: Family,
    /// What is asked or said.
    pub subtype: Subtype,
}

/// What is wrong with a ROUTE-REFRESH.
///
/// ```
/// use bgp_codec::{RouteRefresh, RouteRefreshError};
/// assert_eq!(RouteRefresh::decode(&[0, 1, 0, 1, 9]), Err(RouteRefreshError::BadLength(24)));
/// ```
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum RouteRefreshError {
    /// A request of another length than 23 octets: 1/2.
    #[error("bad message length {0}")]
    BadLength(u16),
    /// BoRR or EoRR of another length (RFC 7313 §5): 7/1, data is the whole message.
    #[error("invalid message length")]
    InvalidMessageLength(Vec<u8>),
}

impl RouteRefresh {
    /// Reads the body of a ROUTE-REFRESH; `None` for a subtype that is not known and so ignored (RFC 7313 §5).
    ///
    /// ```
    /// use bgp_codec::{Family, RouteRefresh};
    /// assert_eq!(RouteRefresh::decode(&[0, 2, 0, 1])?.map(|refresh| refresh.family), Some(Family::IPV6_UNICAST));
    /// assert_eq!(RouteRefresh::decode(&[0, 2, 9, 1])?, None);
    /// # Ok::<(), bgp_codec::RouteRefreshError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RouteRefreshError`] for a wrong length.
    pub fn decode(body: &[u8]) -> Result<Option<Self>, RouteRefreshError> {
        let subtype = match body.get(2) {
            Some(0) | None => Subtype::Request,
            Some(1) => Subtype::BeginOfRib,
            Some(2) => Subtype::EndOfRib,
            Some(_) => return Ok(None),
        };
        let Ok([high, low, _, safi]) = <[u8; 4]>::try_from(body) else {
            let len = u16::try_from(body.len().saturating_add(HEADER_LEN)).unwrap_or(u16::MAX);
            return Err(match subtype {
                Subtype::Request => RouteRefreshError::BadLength(len),
                Subtype::BeginOfRib | Subtype::EndOfRib => {
                    let mut message = Vec::new();
                    let start = header::start(MessageType::RouteRefresh, &mut message);
                    message.extend_from_slice(body);
                    header::finish(start, &mut message);
                    RouteRefreshError::InvalidMessageLength(message)
                }
            });
        };
        let family = Family::new(Afi(u16::from_be_bytes([high, low])), Safi(safi));
        Ok(Some(Self { family, subtype }))
    }

    /// Appends the whole message.
    ///
    /// ```
    /// use bgp_codec::{Family, RouteRefresh, route_refresh::Subtype};
    /// let mut message = Vec::new();
    /// RouteRefresh { family: Family::IPV4_UNICAST, subtype: Subtype::EndOfRib }.encode(&mut message);
    /// assert_eq!(message[16..], [0, 23, 5, 0, 1, 2, 1]);
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        let subtype = match self.subtype {
            Subtype::Request => 0,
            Subtype::BeginOfRib => 1,
            Subtype::EndOfRib => 2,
        };
        let start = header::start(MessageType::RouteRefresh, out);
        out.extend_from_slice(&self.family.afi.0.to_be_bytes());
        out.extend_from_slice(&[subtype, self.family.safi.0]);
        header::finish(start, out);
    }
}

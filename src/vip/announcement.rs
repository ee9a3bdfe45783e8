//! What the RIB is told of a VIP.

use std::sync::Arc;

use bgp_codec::{Origin, PathAttributes};
use ipnet::IpNet;

use super::settings::Vip;
use crate::drain::Stage;
use crate::policy::Edits;

/// A difference: announce an address with these attributes, or withdraw it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Announcement {
    /// The VIP's name.
    pub name: Arc<str>,
    /// Its address.
    pub address: IpNet,
    /// Announce with these attributes (also: replace those of the same name and address); none: withdraw.
    pub attributes: Option<Arc<PathAttributes>>,
}

/// What an announced VIP carries. While it is drained it is everybody's last choice.
pub(super) fn attributes(vip: &Vip, drain: Option<Stage>) -> PathAttributes {
    let mut attributes = PathAttributes {
        // Written down by an operator of this AS, so interior to it: RFC 4271 §5.1.1.
        origin: Origin::Igp,
        med: vip.med,
        communities: vip.communities.clone(),
        large_communities: vip.large_communities.clone(),
        ..PathAttributes::default()
    };
    if drain.is_some() {
        Edits::last_resort().apply(&mut attributes, bgp_codec::Asn(0));
    }
    attributes
}

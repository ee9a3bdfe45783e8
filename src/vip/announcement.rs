//! What the RIB is told of a VIP.

use std::sync::Arc;

use bgp_codec::{Asn, ExtendedCommunity, Origin, PathAttributes};
use ipnet::IpNet;

use super::settings::{Carried, Vip};
use super::status::Verdict;
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

/// What the attributes of an announced VIP depend on, besides its configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) verdict: Verdict,
    pub(super) drain: Option<Stage>,
    /// Bits per second.
    pub(super) bandwidth: Option<u64>,
    /// Our AS.
    pub(super) asn: Asn,
}

/// What it carries: what its verdict says; and while it is drained it is everybody's last choice.
pub(super) fn attributes(vip: &Vip, moment: Moment) -> PathAttributes {
    let carried = match moment.verdict {
        Verdict::Degraded => vip.degraded.as_ref(),
        Verdict::Disabled => vip.disabled.as_ref(),
        Verdict::Unknown | Verdict::Down | Verdict::Up => None,
    };
    let Carried {
        communities,
        large_communities,
        med,
        local_pref,
        prepend,
    } = carried.unwrap_or(&vip.up);
    let bandwidth = moment.bandwidth.map(|bits| link_bandwidth(moment.asn, bits));
    let mut attributes = PathAttributes {
        // Written down by an operator of this AS, so interior to it: RFC 4271 §5.1.1.
        origin: Origin::Igp,
        med: *med,
        local_pref: *local_pref,
        communities: communities.clone(),
        large_communities: large_communities.clone(),
        extended_communities: bandwidth.into_iter().collect(),
        ..PathAttributes::default()
    };
    attributes.as_path.prepend(moment.asn, usize::from(*prepend));
    if moment.drain.is_some() {
        Edits::last_resort().apply(&mut attributes, moment.asn);
    }
    attributes
}

/// AS_TRANS stands for an AS number that does not fit two octets, RFC 6793 §9.
const AS_TRANS: u16 = 23_456;

/// The link bandwidth extended community of draft-ietf-idr-link-bandwidth: non-transitive, type 0x40, subtype 0x04, our AS,
/// and octets per second as an IEEE float.
fn link_bandwidth(asn: Asn, bits_per_second: u64) -> ExtendedCommunity {
    let [high, low] = u16::try_from(asn.0).unwrap_or(AS_TRANS).to_be_bytes();
    // A float has 24 bits of precision, which is what the community has room for.
    let [a, b, c, d] = ((bits_per_second / 8) as f32).to_be_bytes();
    ExtendedCommunity([0x40, 0x04, high, low, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use bgp_codec::Community;

    use super::*;

    const US: Asn = Asn(64_512);

    #[test]
    fn each_verdict_carries_what_it_is_given() {
        let mut vip = vip();
        vip.up.med = Some(10);
        vip.degraded = Some(Carried {
            med: Some(50),
            local_pref: Some(90),
            prepend: 2,
            ..Carried::default()
        });
        let up = attributes(&vip, moment(Verdict::Up));
        assert_eq!(
            (up.med, up.local_pref, up.as_path.is_empty()),
            (Some(10), None, true)
        );
        let degraded = attributes(&vip, moment(Verdict::Degraded));
        assert_eq!((degraded.med, degraded.local_pref), (Some(50), Some(90)));
        assert_eq!(degraded.as_path.to_string(), "64512 64512");
        vip.degraded = None;
        assert_eq!(attributes(&vip, moment(Verdict::Degraded)), up);
    }

    #[test]
    fn what_drains_is_the_last_choice() {
        let mut vip = vip();
        vip.up.communities = vec![Community::NO_EXPORT];
        let moment = Moment {
            drain: Some(Stage::Settling),
            ..moment(Verdict::Up)
        };
        let attributes = attributes(&vip, moment);
        assert_eq!((attributes.med, attributes.local_pref), (Some(u32::MAX), Some(0)));
        assert_eq!(
            attributes.communities,
            [Community::NO_EXPORT, Community::GRACEFUL_SHUTDOWN]
        );
    }

    #[test]
    fn link_bandwidth_is_octets_per_second_as_a_float() {
        // 1 Gbit/s is 125,000,000 octets/s, 0x4cee6b28 as a float.
        assert_eq!(
            link_bandwidth(US, 1_000_000_000),
            ExtendedCommunity([0x40, 4, 0xfc, 0, 0x4c, 0xee, 0x6b, 0x28])
        );
        assert_eq!(
            link_bandwidth(Asn(4_200_000_000), 8),
            ExtendedCommunity([0x40, 4, 0x5b, 0xa0, 0x3f, 0x80, 0, 0])
        );
    }

    fn vip() -> Vip {
        Vip::new("shop".into(), "192.0.2.1/32".parse().unwrap())
    }

    fn moment(verdict: Verdict) -> Moment {
        Moment {
            verdict,
            drain: None,
            bandwidth: None,
            asn: US,
        }
    }
}

//! Settings that known counterparts are best met with. What a peer or its group says goes before.

use toml::Spanned;

use crate::config::file::Keys as _;
use crate::config::file::peer::{PeerGroup, Profile, SharedKeys};
use crate::config::reader::{Reader, Section};

impl Profile {
    /// In the words of the file.
    pub(in crate::config) const fn text(self) -> &'static str {
        match self {
            // ZebOS: hold time 90 s, graceful restart 120 s, no Add-Path, no RFC 8654. It redistributes kernel routes, so a
            // full table from it is a mistake.
            Self::BigIp => {
                "hold_time = \"90s\"\ngraceful_restart = { restart_time = \"120s\" }\nadd_path = \"off\"\n\
                 extended_message = false\nmax_prefixes = 10000\n"
            }
            // `protocol bgp` of Calico's template: hold 240, graceful restart, add paths on, connect retry 5.
            Self::CalicoBird => {
                "hold_time = \"240s\"\ngraceful_restart = { restart_time = \"120s\" }\nadd_path = \"both\"\n\
                 connect_retry_time = \"5s\"\n"
            }
            // `timers bgp 60 180` are its defaults; restart time 120 s.
            Self::Frr => {
                "hold_time = \"180s\"\ngraceful_restart = { restart_time = \"120s\" }\nconnect_retry_time = \"5s\"\n"
            }
            // A top-of-rack router next to us: a dead link is found within 9 s, and who is not on the link is not heard.
            Self::Tor => "asn = \"external\"\nhold_time = \"9s\"\nttl_security = 1\nmax_prefixes = 10000\n",
        }
    }
}

/// What holds for a peer: its own keys, else its group's, else those of its profile or its group's.
pub(in crate::config) fn effective_keys(
    reader: &Reader<'_>,
    own: &SharedKeys,
    group: Option<&PeerGroup>,
) -> SharedKeys {
    let keys = match group {
        // A group's ranges are sessions of the group, not of each peer in it.
        Some(group) => own.clone().or(&SharedKeys {
            listen_range: None,
            ..group.shared.clone()
        }),
        None => own.clone(),
    };
    let Some(profile) = keys.profile.as_ref().map(Spanned::get_ref) else {
        return keys;
    };
    let name = format!("profile {profile}");
    let profile = reader.file(&name, profile.text(), |table| {
        let span = reader.shifted(table.span());
        Section::new(reader, table.get_ref(), span, "a profile").read_whole(SharedKeys::read)
    });
    // GTSM and multihop exclude each other: a profile's wish gives way.
    let ttl_security = profile.ttl_security.clone().filter(|_| keys.multihop.is_none());
    keys.or(&SharedKeys {
        ttl_security,
        ..profile
    })
}

//! Which differences between two settings of a peer are live and which need a new session.
//!
//! One place decides: a reload's plan prints what this function says, and the core of the peer does it.

use super::settings::PeerSettings;

/// What a change of settings means for the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Nothing differs.
    None,
    /// Taken over without touching the session.
    Live,
    /// Taken over without touching the session; this setting takes effect with the next one, because an OPEN tells it.
    NextSession(&'static str),
    /// The session is closed and opened again because of this setting.
    Reset(&'static str),
}

/// Decides what going from `old` to `new` means.
#[must_use]
pub fn settings_change(old: &PeerSettings, new: &PeerSettings) -> Change {
    if old == new {
        return Change::None;
    }
    if let Some(setting) = reset_reason(old, new) {
        return Change::Reset(setting);
    }
    told_in_open(old, new).map_or(Change::Live, Change::NextSession)
}

/// The first time that differs from what the OPEN of the session has told. A session is not worth ending for it.
fn told_in_open(old: &PeerSettings, new: &PeerSettings) -> Option<&'static str> {
    let times = |settings: &PeerSettings| {
        let graceful = settings.graceful_restart.as_ref();
        graceful.map(|graceful| (graceful.restart_time, graceful.long_lived))
    };
    if old.hold_time != new.hold_time {
        return Some("hold_time");
    }
    (times(old) != times(new)).then_some("graceful_restart")
}

/// The first setting that is part of the OPEN, of the connection or of what the RIB knows a session by.
fn reset_reason(old: &PeerSettings, new: &PeerSettings) -> Option<&'static str> {
    // Named one by one, so that a new setting has to be put somewhere.
    let PeerSettings {
        name,
        description: _,
        address,
        port: _,
        local_asn,
        remote_asn,
        passive: _,
        shutdown: _,
        password,
        hold_time: _,
        keepalive_time: _,
        delay_open: _,
        connect_retry_time: _,
        idle_hold_time: _,
        send_hold_time: _,
        families,
        add_path_receive,
        add_path_send,
        extended_message,
        extended_next_hop,
        role,
        announce,
        graceful_restart,
        multihop: _,
        ttl_security: _,
        source_address,
        interface,
        table,
        range_limit: _,
        policy: _,
    } = old;
    // Which capabilities there are; their times wait for the next session.
    let announced_restart = |settings: &Option<super::settings::GracefulRestart>| {
        settings.as_ref().map(|graceful| graceful.long_lived.is_some())
    };
    // A key is changed on the open socket; with a key on one side only no segment would pass.
    let has_password = |settings: &Option<super::settings::Password>| settings.is_some();
    [
        ("name", *name != new.name),
        ("address", *address != new.address),
        ("local_asn", *local_asn != new.local_asn),
        ("asn", !new.remote_asn.allows_all_of(remote_asn, *local_asn)),
        (
            "password_file",
            has_password(password) != has_password(&new.password),
        ),
        ("families", *families != new.families),
        ("add_path_receive", *add_path_receive != new.add_path_receive),
        ("add_path_send", *add_path_send != new.add_path_send),
        ("extended_message", *extended_message != new.extended_message),
        ("extended_next_hop", *extended_next_hop != new.extended_next_hop),
        ("role", *role != new.role),
        ("announce", *announce != new.announce),
        (
            "graceful_restart",
            announced_restart(graceful_restart) != announced_restart(&new.graceful_restart),
        ),
        ("source_address", *source_address != new.source_address),
        ("interface", *interface != new.interface),
        ("table", *table != new.table),
    ]
    .into_iter()
    .find_map(|(setting, differs)| differs.then_some(setting))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bgp_codec::Asn;

    use super::*;
    use crate::route::Secret;
    use crate::session::peer::tests::settings;
    use crate::session::settings::{GracefulRestart, OwnRole, Password, RemoteAsn, StaleTimes};

    fn check(edit: impl FnOnce(&mut PeerSettings), expected: Change) {
        let old = settings();
        let mut new = old.clone();
        edit(&mut new);
        assert_eq!(settings_change(&old, &new), expected);
    }

    fn password(key: &[u8]) -> Option<Password> {
        Some(Password {
            key: Secret::new(key.to_vec()),
            file: "/etc/stonechat/key".into(),
        })
    }

    #[test]
    fn equal_settings_change_nothing() {
        check(|_| {}, Change::None);
    }

    #[test]
    fn what_the_open_says_resets() {
        check(
            |settings| settings.extended_message = true,
            Change::Reset("extended_message"),
        );
        check(
            |settings| {
                settings.graceful_restart = Some(GracefulRestart {
                    restart_time: Duration::from_secs(120),
                    max_peer_restart_time: Duration::from_secs(120),
                    long_lived: None,
                });
            },
            Change::Reset("graceful_restart"),
        );
    }

    #[test]
    fn hop_limits_are_live_and_the_role_resets() {
        check(|settings| settings.ttl_security = Some(1), Change::Live);
        check(|settings| settings.multihop = Some(3), Change::Live);
        check(
            |settings| {
                settings.role = Some(OwnRole {
                    role: bgp_codec::Role::Customer,
                    strict: false,
                });
            },
            Change::Reset("role"),
        );
    }

    #[test]
    fn policy_timers_and_words_are_live() {
        check(|settings| settings.policy.rr_client = true, Change::Live);
        check(
            |settings| settings.policy.group = Some("nodes".into()),
            Change::Live,
        );
        check(
            |settings| settings.keepalive_time = Some(Duration::from_secs(1)),
            Change::Live,
        );
        check(|settings| settings.description = "rack 7".into(), Change::Live);
        check(
            |settings| settings.shutdown = Some("maintenance".into()),
            Change::Live,
        );
    }

    #[test]
    fn a_changed_key_is_live_and_a_new_one_resets() {
        check(
            |settings| settings.password = password(b"one"),
            Change::Reset("password_file"),
        );
        let mut old = settings();
        old.password = password(b"one");
        let mut new = old.clone();
        new.password = password(b"two");
        assert_eq!(settings_change(&old, &new), Change::Live);
    }

    #[test]
    fn times_of_the_open_wait_for_the_next_session() {
        check(
            |settings| settings.hold_time = Duration::from_secs(9),
            Change::NextSession("hold_time"),
        );
        let graceful = |restart_time, long_lived| {
            Some(GracefulRestart {
                restart_time: Duration::from_secs(restart_time),
                max_peer_restart_time: Duration::from_secs(120),
                long_lived,
            })
        };
        let mut old = settings();
        old.graceful_restart = graceful(120, None);
        let mut new = old.clone();
        new.graceful_restart = graceful(60, None);
        assert_eq!(
            settings_change(&old, &new),
            Change::NextSession("graceful_restart")
        );
        new.graceful_restart = graceful(60, Some(StaleTimes::all(Duration::from_secs(600))));
        assert_eq!(settings_change(&old, &new), Change::Reset("graceful_restart"));
    }

    #[test]
    fn the_same_as_in_other_words_or_with_others_beside_it_is_live() {
        let change = |from: RemoteAsn, to: RemoteAsn| {
            let mut old = settings();
            old.local_asn = Asn(64_512);
            old.remote_asn = from;
            let mut new = old.clone();
            new.remote_asn = to;
            settings_change(&old, &new)
        };
        let among = |asns: &[u32]| RemoteAsn::Among(asns.iter().map(|asn| Asn(*asn)).collect());
        let ours = || RemoteAsn::Is(Asn(64_512));
        assert_eq!(change(ours(), RemoteAsn::Internal), Change::Live);
        assert_eq!(change(RemoteAsn::Internal, ours()), Change::Live);
        assert_eq!(change(ours(), among(&[65_001, 64_512])), Change::Live);
        assert_eq!(
            change(RemoteAsn::Is(Asn(65_001)), RemoteAsn::External),
            Change::Live
        );
        assert_eq!(change(RemoteAsn::External, RemoteAsn::Any), Change::Live);
        let reset = Change::Reset("asn");
        assert_eq!(change(ours(), RemoteAsn::External), reset);
        assert_eq!(
            change(among(&[65_001, 65_002]), RemoteAsn::Is(Asn(65_001))),
            reset
        );
        assert_eq!(change(RemoteAsn::Any, RemoteAsn::External), reset);
    }
}

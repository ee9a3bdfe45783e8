//! Connection collision, RFC 4271 §6.8 and RFC 6286 §2.3: which of two connections to one peer stays.
//!
//! Both ends come to the same answer whatever each has seen so far, because the rule looks at nothing but the two
//! identities and who opened which connection. The one exception is a session that is Established: it stays, unless the
//! peer said that it restarts gracefully and now comes with a new OPEN (RFC 4724 §5).

use std::net::Ipv4Addr;

use bgp_codec::Asn;
use serde::Serialize;

/// Who opened a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Direction {
    /// We did.
    Outgoing,
    /// The peer did.
    Incoming,
}

/// What identifies one end of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct End {
    /// BGP Identifier.
    pub bgp_identifier: Ipv4Addr,
    /// AS number.
    pub asn: Asn,
}

/// The connection that was there before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Existing {
    /// Our OPEN went out, the peer's has not come.
    OpenSent(Direction),
    /// OPENs were exchanged.
    OpenConfirm(Direction),
    /// Routes flow.
    Established {
        /// The peer announced graceful restart on it.
        graceful: bool,
    },
}

/// What becomes of two connections when an OPEN has come on the newer one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The one that was there stays; the one with the OPEN is closed.
    KeepExisting,
    /// The one with the OPEN stays; the other is closed.
    KeepNew,
    /// The one with the OPEN takes over from a session that ended unseen: it is closed without a NOTIFICATION.
    TakeOver,
    /// Nothing is known of the other yet.
    KeepBoth,
}

/// Decides between `existing` and the connection, opened by `new`, on which an OPEN has come.
#[must_use]
pub fn decide(local: End, remote: End, existing: Existing, new: Direction) -> Verdict {
    let winner = winner(local, remote);
    match existing {
        // RFC 4724 §5: the peer restarted, and its new OPEN came before we saw the old connection end.
        Existing::Established { graceful: true } => Verdict::TakeOver,
        Existing::Established { graceful: false } => Verdict::KeepExisting,
        // The peer has one end of it only; a second one in the same direction says that it has given up the first.
        Existing::OpenConfirm(direction) if direction == new => Verdict::KeepNew,
        Existing::OpenConfirm(_) if new == winner => Verdict::KeepNew,
        Existing::OpenConfirm(_) => Verdict::KeepExisting,
        Existing::OpenSent(direction) if direction == new => Verdict::KeepBoth,
        // RFC 4271 §6.8 lets a speaker examine connections in OpenSent when it knows the peer's identifier, which the
        // OPEN on the other connection has told. The answer is the one that the second OPEN would bring.
        Existing::OpenSent(_) if new == winner => Verdict::KeepNew,
        Existing::OpenSent(Direction::Outgoing) => Verdict::KeepExisting,
        // It would win, but anybody at the peer's address can open a connection and stay silent: wait for its OPEN.
        Existing::OpenSent(Direction::Incoming) => Verdict::KeepBoth,
    }
}

/// The direction, as seen from here, of the connection that stays.
fn winner(local: End, remote: End) -> Direction {
    let key = |end: End| (u32::from(end.bgp_identifier), end.asn);
    // RFC 4271 §6.8: the connection of the speaker with the higher identifier stays; RFC 6286 §2.3: with equal
    // identifiers (external peers only) that of the higher AS number.
    if key(local) < key(remote) {
        Direction::Incoming
    } else {
        Direction::Outgoing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(last: u8, asn: u32) -> End {
        End {
            bgp_identifier: Ipv4Addr::new(192, 0, 2, last),
            asn: Asn(asn),
        }
    }

    const BOTH: [Direction; 2] = [Direction::Outgoing, Direction::Incoming];

    fn other(direction: Direction) -> Direction {
        match direction {
            Direction::Outgoing => Direction::Incoming,
            Direction::Incoming => Direction::Outgoing,
        }
    }

    /// Whether the connection opened by `a` stays, by the rule as each end applies it.
    fn a_survives_at(a: End, b: End) -> (bool, bool) {
        let mut answers = [false; 2];
        for (answer, (local, remote, ours)) in answers
            .iter_mut()
            .zip([(a, b, Direction::Outgoing), (b, a, Direction::Incoming)])
        {
            // The OPEN may come last on either connection; the survivor must be the same.
            let last_on_a = decide(local, remote, Existing::OpenConfirm(other(ours)), ours);
            let last_on_b = decide(local, remote, Existing::OpenConfirm(ours), other(ours));
            assert_eq!(last_on_a == Verdict::KeepNew, last_on_b == Verdict::KeepExisting);
            *answer = last_on_a == Verdict::KeepNew;
        }
        (answers[0], answers[1])
    }

    #[test]
    fn the_higher_identifier_keeps_its_connection_at_both_ends() {
        assert_eq!(a_survives_at(end(1, 64_512), end(2, 64_512)), (false, false));
        assert_eq!(a_survives_at(end(2, 64_512), end(1, 64_512)), (true, true));
        // Compared as unsigned integers.
        assert_eq!(a_survives_at(end(200, 64_512), end(9, 64_512)), (true, true));
    }

    #[test]
    fn equal_identifiers_keep_the_connection_of_the_higher_asn() {
        assert_eq!(a_survives_at(end(7, 64_513), end(7, 64_512)), (true, true));
        assert_eq!(
            a_survives_at(end(7, 64_512), end(7, 4_200_000_000)),
            (false, false)
        );
    }

    #[test]
    fn an_established_session_stays_unless_the_peer_restarts_gracefully() {
        for new in BOTH {
            let local = end(1, 64_512);
            let remote = end(2, 64_512);
            assert_eq!(
                decide(local, remote, Existing::Established { graceful: false }, new),
                Verdict::KeepExisting
            );
            assert_eq!(
                decide(local, remote, Existing::Established { graceful: true }, new),
                Verdict::TakeOver
            );
        }
    }

    #[test]
    fn a_silent_incoming_connection_never_displaces_an_answered_one() {
        for (local, remote) in [(end(1, 1), end(2, 1)), (end(2, 1), end(1, 1))] {
            let verdict = decide(
                local,
                remote,
                Existing::OpenSent(Direction::Incoming),
                Direction::Outgoing,
            );
            assert_ne!(verdict, Verdict::KeepExisting);
        }
    }

    #[test]
    fn our_own_attempt_is_settled_by_the_first_open() {
        let open_sent = Existing::OpenSent(Direction::Outgoing);
        assert_eq!(
            decide(end(1, 1), end(2, 1), open_sent, Direction::Incoming),
            Verdict::KeepNew
        );
        assert_eq!(
            decide(end(2, 1), end(1, 1), open_sent, Direction::Incoming),
            Verdict::KeepExisting
        );
    }

    #[test]
    fn of_two_in_one_direction_the_newer_stays() {
        for direction in BOTH {
            assert_eq!(
                decide(end(1, 1), end(2, 1), Existing::OpenConfirm(direction), direction),
                Verdict::KeepNew
            );
        }
    }
}

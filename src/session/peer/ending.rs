//! How a connection ends, and what follows for the peer's routes (RFC 4724 §4.2, RFC 8538 §4).

use std::fmt;

use bgp_codec::Notification;
use bgp_codec::notification::{cease, code};

use crate::rib::interface::DownRoutes;
use crate::session::negotiate::Agreement;

/// What ended a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// We closed it with this NOTIFICATION.
    Told(Notification),
    /// The peer closed it with this one.
    Heard(Notification),
    /// TCP ended without one.
    Lost(String),
    /// We closed it without one because we restart.
    Restarting,
    /// We closed it without one because of new settings.
    Reconfigured,
    /// The peer came back on another connection (RFC 4724 §5).
    TakenOver,
}

impl Ending {
    /// Yields what becomes of the routes of a session with this agreement.
    pub(super) fn routes(&self, agreement: &Agreement) -> DownRoutes {
        let Some(graceful) = &agreement.graceful_restart else {
            return DownRoutes::Flush;
        };
        let keep = match self {
            Self::Lost(_) | Self::Restarting | Self::Reconfigured | Self::TakenOver => true,
            // RFC 4724 §4: a NOTIFICATION ends the peer's routes, unless RFC 8538 is in force and it is no Hard Reset.
            Self::Told(notification) | Self::Heard(notification) => {
                graceful.notification && !notification.is_hard_reset()
            }
        };
        let kept = graceful.families.union(graceful.long_lived.families());
        if keep && !kept.is_empty() {
            DownRoutes::Retain {
                families: graceful.families,
                restart_time: graceful.restart_time,
                long_lived: graceful.long_lived.clone(),
            }
        } else {
            DownRoutes::Flush
        }
    }
}

impl Ending {
    /// The peer takes no connection at present: it rests after failures of its own, or does not run yet.
    pub(super) fn is_not_yet(&self) -> bool {
        matches!(self, Self::Heard(notification) if *notification == Notification::cease(cease::CONNECTION_REJECTED))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(notification) => write!(f, "sent {notification}"),
            Self::Heard(notification) => write!(f, "received {notification}"),
            Self::Lost(error) => f.write_str(error),
            Self::Restarting => f.write_str("we restart"),
            Self::Reconfigured => f.write_str("reset because of new settings"),
            Self::TakenOver => f.write_str("the peer restarted and opened a new connection"),
        }
    }
}

/// Makes the NOTIFICATION a Hard Reset where the peer would otherwise keep our routes for a restart (RFC 8538 §5).
pub(super) fn for_good(notification: Notification, agreement: Option<&Agreement>) -> Notification {
    let graceful = agreement.and_then(|agreement| agreement.graceful_restart.as_ref());
    if graceful.is_some_and(|graceful| graceful.notification) {
        Notification::hard_reset(&notification)
    } else {
        notification
    }
}

/// Whether a Cease that the RIB asks for is meant for good, RFC 8538 §5: of those, max-prefix is.
pub(super) fn is_for_good(notification: &Notification) -> bool {
    notification.code == code::CEASE && notification.subcode == cease::MAXIMUM_PREFIXES_REACHED
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bgp_codec::FamilySet;

    use super::*;
    use crate::rib::interface::LongLived;
    use crate::session::negotiate::Graceful;
    use crate::session::peer::tests::agreement;

    const TIME: Duration = Duration::from_secs(120);

    fn graceful(notification: bool) -> Agreement {
        let graceful = Graceful {
            families: FamilySet::IPV4_UNICAST,
            restart_time: TIME,
            long_lived: LongLived::NONE,
            notification,
        };
        Agreement {
            graceful_restart: Some(graceful),
            ..agreement()
        }
    }

    fn check(ending: &Ending, agreement: &Agreement, kept: bool) {
        let expected = if kept {
            DownRoutes::Retain {
                families: FamilySet::IPV4_UNICAST,
                restart_time: TIME,
                long_lived: LongLived::NONE,
            }
        } else {
            DownRoutes::Flush
        };
        assert_eq!(ending.routes(agreement), expected, "{ending}");
    }

    #[test]
    fn routes_outlive_a_lost_connection_only_with_graceful_restart() {
        for ending in [Ending::Lost("reset".into()), Ending::TakenOver] {
            check(&ending, &agreement(), false);
            check(&ending, &graceful(false), true);
        }
    }

    #[test]
    fn a_notification_ends_them_unless_both_set_the_n_bit() {
        let hold = Notification::hold_timer_expired();
        for ending in [Ending::Told(hold.clone()), Ending::Heard(hold)] {
            check(&ending, &agreement(), false);
            check(&ending, &graceful(false), false);
            check(&ending, &graceful(true), true);
        }
    }

    #[test]
    fn a_hard_reset_always_ends_them() {
        let hard = Notification::hard_reset(&Notification::administrative_reset("now"));
        for ending in [Ending::Told(hard.clone()), Ending::Heard(hard)] {
            check(&ending, &graceful(true), false);
        }
    }

    #[test]
    fn only_a_peer_that_would_keep_routes_is_sent_a_hard_reset() {
        let shutdown = Notification::administrative_shutdown("bye");
        assert_eq!(for_good(shutdown.clone(), Some(&graceful(false))), shutdown);
        assert_eq!(for_good(shutdown.clone(), None), shutdown);
        assert_eq!(
            for_good(shutdown.clone(), Some(&graceful(true))).hard_reset_reason(),
            Some(shutdown)
        );
    }
}

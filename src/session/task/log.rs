//! What operators read of a session.

use crate::session::peer::LogEvent;
use crate::session::status::State;

pub(super) fn log(event: &LogEvent) {
    match event {
        LogEvent::State {
            from,
            to: State::Established,
        } => {
            tracing::info!(?from, to = ?State::Established, "session established");
        }
        LogEvent::State {
            from: State::Established,
            to,
        } => {
            tracing::warn!(from = ?State::Established, ?to, "session ended");
        }
        LogEvent::State { from, to } => tracing::debug!(?from, ?to, "state changed"),
        LogEvent::Sent(notification) => {
            let (code, subcode) = (notification.code, notification.subcode);
            tracing::warn!(code, subcode, %notification, "notification sent");
        }
        LogEvent::Heard(notification) => {
            let (code, subcode) = (notification.code, notification.subcode);
            tracing::warn!(code, subcode, %notification, "notification received");
        }
        LogEvent::Lost { error } => tracing::info!(error, "connection lost"),
        LogEvent::ConnectFailed { error } => tracing::debug!(error, "cannot connect"),
        LogEvent::Refused(refusal) => tracing::debug!(%refusal, "connection refused"),
        LogEvent::TakenOver => tracing::info!("peer restarted and opened a new connection"),
        LogEvent::Fault { error } => tracing::warn!(error, "bad message"),
    }
}

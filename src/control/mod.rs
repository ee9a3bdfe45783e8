//! How the outside asks the daemon: a Unix socket for its own command line, HTTP for monitoring.
//!
//! The servers here decide nothing and hold no state. Each question goes over one bounded channel to the speaker,
//! which answers it through the `oneshot` in it; a question whose sender is dropped is answered "the daemon did not
//! answer". So the speaker's side is one loop:
//!
//! ```ignore
//! let (sender, mut questions) = mpsc::channel(control::QUESTIONS);
//! let socket = ControlSocket::bind(&path)?;               // clear errors: another daemon lives there, no permission
//! tokio::spawn(control::serve(socket, sender.clone()));
//! tokio::spawn(control::serve_http(address, sender));     // retried while the address is taken
//! while let Some(question) = questions.recv().await {
//!     match question {
//!         Question::Control { request, reply } => reply.send(answer(request)),   // protocol.rs
//!         Question::Takeover { reply } => reply.send(sockets),                    // stop as for a restart, then end
//!         Question::Metrics { reply } => reply.send(scrape::snapshot(sources)),  // scrape.rs
//!         Question::Readiness { reply } => reply.send(readiness),                // show.rs; must not wait for a shard
//!     }
//! }
//! ```
//!
//! The control server is to be ended last: `stonechat stop` returns when its connection closes.
//!
//! A listing is asked for page by page, so an answer is bounded and the speaker keeps nothing between two pages;
//! [`protocol::RoutesRequest::query`] makes the shard's query of a page.

#![cfg_attr(
    not(test),
    warn(
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod announcers;
pub mod http;
pub mod protocol;
pub mod scrape;
pub mod server;
pub mod show;

use tokio::sync::oneshot;

pub use self::http::serve_http;
pub use self::protocol::{Failure, Request, Response};
pub use self::server::{ControlSocket, ends_within, is_live, serve};
pub use self::show::{Part, Readiness};
use crate::metrics;
use crate::session::handover::Handed;

/// Room in the channel of questions; whoever asks beyond it waits.
pub const QUESTIONS: usize = 64;

/// Where the daemon listens and its command line asks, unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/stonechat/control.sock";

/// Something that the speaker is asked.
#[derive(Debug)]
pub enum Question {
    /// From the command line.
    Control {
        /// What.
        request: Request,
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// A successor: the daemon ends, and leaves it these.
    Takeover {
        /// Where they go, when all that a restart takes has been done.
        reply: oneshot::Sender<Vec<Handed>>,
    },
    /// `/metrics`.
    Metrics {
        /// Where the answer goes.
        reply: oneshot::Sender<metrics::Snapshot>,
    },
    /// `/readyz`: to be answered without waiting for a shard.
    Readiness {
        /// Where the answer goes.
        reply: oneshot::Sender<Readiness>,
    },
}

//! Load-balancer addresses: announced while their checks pass, withdrawn the moment they do not.
//!
//! | file | what it owns |
//! |---|---|
//! | `state.rs` | rise and fall: one check's verdict (pure) |
//! | `judge.rs` | several checks' verdicts to the VIP's (pure) |
//! | `damping.rs` | how often is too often (pure) |
//! | `binding.rs` | addresses that we add and remove (pure) |
//! | `entry.rs`, `set.rs`, `set/` | all VIPs: reloads, what holds each back, what to announce (pure) |
//! | `announcement.rs` | what a route carries (pure) |
//! | `health.rs`, `http.rs`, `tls.rs`, `dns.rs`, `command.rs` | one probe |
//! | `files.rs` | looking at files, none of which may hold up another |
//! | `links.rs` | the machine's links and addresses |
//! | `hook.rs` | commands at a change of verdict |
//! | `task.rs` | a prober for each check, and the handle |

mod announcement;
pub mod binding;
mod command;
mod damping;
mod dns;
mod entry;
mod files;
mod health;
mod hook;
mod http;
mod judge;
mod links;
pub mod set;
pub mod settings;
pub mod state;
pub mod status;
pub mod task;
mod tls;

pub use self::announcement::Announcement;
pub(crate) use self::entry::describe;
pub use self::links::{LeftAddresses, remove_left_addresses};
pub use self::set::{Legacy, Outside, SavedVerdict};
pub use self::status::{CheckStatus, Status, Verdict};
pub use self::task::{Handle, Start, Wishes, spawn};

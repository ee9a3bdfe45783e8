//! Load-balancer addresses: announced while their checks pass, withdrawn the moment they do not.
//!
//! Pure: `state.rs` counts rise and fall for one VIP, `set.rs` holds all of them and says what a reload changes.
//! Edges: `health.rs` runs one probe, `command.rs` the commands among them, `task.rs` gives each VIP a prober of its
//! own and owns the set.

mod announcement;
mod command;
mod health;
pub mod set;
pub mod settings;
pub mod state;
pub mod status;
pub mod task;

pub use self::announcement::Announcement;
pub use self::set::SavedVerdict;
pub use self::status::{Status, Verdict};
pub use self::task::{Handle, Start, spawn};

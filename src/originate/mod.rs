//! What this node announces: full sets from each source, and the difference to what was announced before.
//!
//! Pure: sources hand in what they have, `poll_output` yields the changes for the RIB.

pub mod settings;

//! Where in a configuration something stands.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;

/// Where in a configuration file something stands.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct Location {
    /// The file as named on the command line.
    pub file: Arc<str>,
    /// 1-based.
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The [`Location`] of something that stays in use while the file around it changes.
///
/// A filter whose content is the same after a reload is left where it is, in every session and table; only its lines may
/// have moved, and all who hold it are to name the new ones. So this one value is shared and may be set.
#[derive(Clone, Debug)]
pub struct Place(Arc<RwLock<Location>>);

impl Place {
    /// Where it stands according to the file read last.
    #[must_use]
    pub fn location(&self) -> Location {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn move_to(&self, other: &Self) {
        let location = other.location();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = location;
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self(Arc::new(RwLock::new(location)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location().fmt(f)
    }
}

//! Filters: named lists of rules.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Condition, Edits, Place};

/// A `[[filter]]`.
///
/// Equality and hash are by content: where it stands in a file does not count, so a comment added above a filter
/// changes nothing for any peer.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Unique.
    pub name: Arc<str>,
    /// Tried in order.
    pub rules: Vec<Rule>,
    /// What becomes of a route that no rule decided.
    pub default: Fallthrough,
    /// Where it begins.
    pub location: Place,
}

/// What becomes of a route that no rule of a [`Filter`] decided.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Fallthrough {
    /// It passes.
    Accept,
    /// It does not.
    Reject,
    /// The next filter of the chain decides; behind the last one it is rejected.
    #[default]
    Next,
}

/// One rule of a [`Filter`]. Equality and hash are by content, without the location.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it stands.
    pub location: Place,
    /// Which routes it applies to.
    pub condition: Condition,
    /// What it decides for them.
    pub action: Action,
    /// What it changes in them; with [`Action::Reject`] without effect.
    pub edits: Edits,
}

/// What a [`Rule`] decides.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// The route passes, with all edits so far.
    Accept,
    /// The route does not pass.
    Reject,
    /// Take the edits and go on with the next rule.
    Continue,
}

impl Filter {
    /// Whether no rule changes anything: such a filter never alters the bytes that a peer is sent.
    #[must_use]
    pub fn is_drop_only(&self) -> bool {
        self.rules.iter().all(|rule| rule.edits.is_empty())
    }

    /// Whether some rule looks at what may change while a route stays as it is.
    #[must_use]
    pub fn reads_surroundings(&self) -> bool {
        self.rules.iter().any(|rule| rule.condition.reads_surroundings())
    }

    /// Stands where an equal filter stands, for all who hold it.
    pub fn move_to(&self, equal: &Self) {
        self.location.move_to(&equal.location);
        for (rule, equal) in self.rules.iter().zip(&equal.rules) {
            rule.location.move_to(&equal.location);
        }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.default == other.default && self.rules == other.rules
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.default.hash(state);
        self.rules.hash(state);
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.action == other.action && self.condition == other.condition && self.edits == other.edits
    }
}

impl Eq for Rule {}

impl Hash for Rule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.action.hash(state);
        self.condition.hash(state);
        self.edits.hash(state);
    }
}

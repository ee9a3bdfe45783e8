//! What decided, in a form that an operator can act on.

use std::fmt;
use std::sync::Arc;

use super::Filter;

/// What decided a [`Verdict`](super::Verdict); its `Display` is what `stonechat why` prints.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// A rule.
    Rule {
        /// Of this filter.
        filter: Arc<Filter>,
        /// Index in its rules.
        rule: usize,
    },
    /// No rule of this filter decided, and its `default` did.
    Default {
        /// Whose.
        filter: Arc<Filter>,
    },
    /// Every filter passed the route on, and the end of the list rejects.
    EndOfFilters,
    /// An external peer without filters carries nothing, RFC 8212.
    NoPolicy,
    /// An internal peer without filters carries everything.
    NoFilterNeeded,
    /// The prefix can belong to nobody (loopback, link-local, multicast, unspecified).
    Martian,
    /// A default route from a peer that is not trusted with one.
    DefaultRoute,
    /// The peer is drained, RFC 8326.
    Drained,
}

impl Reason {
    pub(super) fn rule(filter: &Arc<Filter>, rule: usize) -> Self {
        Self::Rule {
            filter: Arc::clone(filter),
            rule,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { filter, rule } => {
                write!(f, "rule {} of filter {}", rule + 1, filter.name)?;
                match filter.rules.get(*rule) {
                    Some(rule) => write!(f, " ({})", rule.location),
                    None => Ok(()),
                }
            }
            Self::Default { filter } => write!(f, "default of filter {} ({})", filter.name, filter.location),
            Self::EndOfFilters => f.write_str("end of filters: none accepted"),
            Self::NoPolicy => f.write_str("no filters: RFC 8212"),
            Self::NoFilterNeeded => f.write_str("no filter needed (iBGP)"),
            Self::Martian => f.write_str("martian prefix: never accepted from a peer"),
            Self::Drained => f.write_str("drained: the peer is told nothing until `stonechat undrain`"),
            Self::DefaultRoute => f.write_str("default route: accepted only with `accept_default_route`"),
        }
    }
}

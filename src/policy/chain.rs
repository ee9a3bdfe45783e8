//! Chains: the filters of one peer in one direction, evaluated.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Action, Edits, Fallthrough, Filter, Reason, RouteView, Verdict, martian};

/// What decides for one peer in one direction. Cheap to clone; equality and hash are by content.
#[derive(Clone, Debug)]
pub struct Chain(Arc<Inner>);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Inner {
    rest: Rest,
    guard: Option<ImportGuard>,
    /// Carried out on whatever passes, behind the filters' own.
    last: Edits,
    drop_only: bool,
}

/// What decides for routes that the guard lets through.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Rest {
    Filters(Vec<Arc<Filter>>),
    AcceptAll,
    NoPolicy,
    Drained,
}

/// What no peer may send, whatever the filters say.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ImportGuard {
    /// `0.0.0.0/0` and `::/0` reach the filters.
    pub accept_default_route: bool,
}

impl Chain {
    /// Filters in order: the first accept or reject ends, the end of the list rejects.
    #[must_use]
    pub fn new(filters: Vec<Arc<Filter>>) -> Self {
        let drop_only = filters.iter().all(|filter| filter.is_drop_only());
        Self(Arc::new(Inner {
            rest: Rest::Filters(filters),
            guard: None,
            last: Edits::NONE,
            drop_only,
        }))
    }

    /// Accepts everything: an internal peer without filters.
    #[must_use]
    pub fn accept_all() -> Self {
        Self(Arc::new(Inner {
            rest: Rest::AcceptAll,
            guard: None,
            last: Edits::NONE,
            drop_only: true,
        }))
    }

    /// Rejects everything: an external peer without filters, RFC 8212.
    #[must_use]
    pub fn no_policy() -> Self {
        Self(Arc::new(Inner {
            rest: Rest::NoPolicy,
            guard: None,
            last: Edits::NONE,
            drop_only: true,
        }))
    }

    /// The same chain behind checks on what a peer sends: martians and the default route.
    #[must_use]
    pub fn guarded(self, guard: ImportGuard) -> Self {
        Self(Arc::new(Inner {
            guard: Some(guard),
            ..Inner::clone(&self.0)
        }))
    }

    /// The same chain, with these changes to whatever passes, behind those of the filters.
    #[must_use]
    pub fn ending_with(&self, last: &Edits) -> Self {
        let last = self.0.last.then(last);
        Self(Arc::new(Inner {
            drop_only: self.0.drop_only && last.is_empty(),
            last,
            ..Inner::clone(&self.0)
        }))
    }

    /// Rejects everything: a peer that has been drained.
    #[must_use]
    pub fn drained() -> Self {
        Self(Arc::new(Inner {
            rest: Rest::Drained,
            guard: None,
            last: Edits::NONE,
            drop_only: true,
        }))
    }

    /// Whether no rule of any filter changes anything.
    #[must_use]
    pub fn is_drop_only(&self) -> bool {
        self.0.drop_only
    }

    /// Whether this is [`Chain::no_policy`], which operators are told about.
    #[must_use]
    pub fn is_no_policy(&self) -> bool {
        self.0.rest == Rest::NoPolicy
    }

    /// Whether a default route reaches the filters.
    #[must_use]
    pub fn accepts_default_route(&self) -> bool {
        self.0.guard.is_none_or(|guard| guard.accept_default_route)
    }

    /// The filters, in order; none for the two built-in chains.
    #[must_use]
    pub fn filters(&self) -> &[Arc<Filter>] {
        match &self.0.rest {
            Rest::Filters(filters) => filters,
            Rest::AcceptAll | Rest::NoPolicy | Rest::Drained => &[],
        }
    }

    /// Decides for one route. Conditions see the route as it came in, before any edit.
    #[must_use]
    pub fn evaluate(&self, route: &RouteView<'_>) -> Verdict {
        if let Some(reason) = self.0.guard.and_then(|guard| guard.refuses(route)) {
            return Verdict::reject(reason);
        }
        let verdict = match &self.0.rest {
            Rest::Filters(filters) => evaluate_filters(filters, route),
            Rest::AcceptAll => Verdict {
                accept: true,
                edits: Edits::NONE,
                reason: Reason::NoFilterNeeded,
            },
            Rest::NoPolicy => Verdict::reject(Reason::NoPolicy),
            Rest::Drained => Verdict::reject(Reason::Drained),
        };
        if self.0.last.is_empty() || !verdict.accept {
            return verdict;
        }
        Verdict {
            edits: verdict.edits.then(&self.0.last),
            ..verdict
        }
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Chain {}

impl Hash for Chain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl ImportGuard {
    fn refuses(self, route: &RouteView<'_>) -> Option<Reason> {
        if route.prefix.prefix_len() == 0 {
            (!self.accept_default_route).then_some(Reason::DefaultRoute)
        } else {
            martian::is_martian(&route.prefix).then_some(Reason::Martian)
        }
    }
}

fn evaluate_filters(filters: &[Arc<Filter>], route: &RouteView<'_>) -> Verdict {
    let mut edits = Edits::NONE;
    for filter in filters {
        for (index, rule) in filter.rules.iter().enumerate() {
            if !rule.condition.matches(route) {
                continue;
            }
            match rule.action {
                Action::Continue => edits = edits.then(&rule.edits),
                Action::Accept => {
                    let edits = edits.then(&rule.edits);
                    return Verdict {
                        accept: true,
                        edits,
                        reason: Reason::rule(filter, index),
                    };
                }
                Action::Reject => return Verdict::reject(Reason::rule(filter, index)),
            }
        }
        match filter.default {
            Fallthrough::Accept => {
                return Verdict {
                    accept: true,
                    edits,
                    reason: Reason::Default {
                        filter: Arc::clone(filter),
                    },
                };
            }
            Fallthrough::Reject => {
                return Verdict::reject(Reason::Default {
                    filter: Arc::clone(filter),
                });
            }
            Fallthrough::Next => {}
        }
    }
    Verdict::reject(Reason::EndOfFilters)
}

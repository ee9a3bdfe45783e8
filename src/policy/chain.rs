//! Chains: the filters of one peer in one direction, evaluated.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bgp_codec::{NextHop, PathAttributes};
use ipnet::IpNet;

use super::{
    Action, CanonicalBlock, Condition, Edits, Fallthrough, Filter, NextHopEdit, Reason, RouteView, Verdict,
    martian,
};
use crate::route::Prefix;

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
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ImportGuard {
    /// `0.0.0.0/0` and `::/0` reach the filters.
    pub accept_default_route: bool,
    /// What lies in these networks reaches the filters, martian or not.
    pub accept_martians: Vec<IpNet>,
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

    /// Whether some rule looks at what may change while a route stays as it is.
    #[must_use]
    pub fn reads_surroundings(&self) -> bool {
        self.filters().iter().any(|filter| filter.reads_surroundings())
    }

    /// Whether this is [`Chain::no_policy`], which operators are told about.
    #[must_use]
    pub fn is_no_policy(&self) -> bool {
        self.0.rest == Rest::NoPolicy
    }

    /// Whether every route passes as it is.
    #[must_use]
    pub fn accepts_all(&self) -> bool {
        self.0.guard.is_none() && self.is_open()
    }

    /// Whether every route that the guard lets through passes as it is: nothing but its prefix is looked at.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.last.is_empty()
            && match &self.0.rest {
                Rest::AcceptAll => true,
                Rest::Filters(filters) => {
                    let idle = |filter: &&Arc<Filter>| {
                        filter.rules.is_empty() && filter.default == Fallthrough::Next
                    };
                    let decides = filters.iter().find(|filter| !idle(filter));
                    decides.is_some_and(|filter| {
                        filter.rules.is_empty() && filter.default == Fallthrough::Accept
                    })
                }
                Rest::NoPolicy | Rest::Drained => false,
            }
    }

    /// Whether the guard, if there is one, lets routes of this prefix through to the filters.
    #[must_use]
    pub fn admits(&self, prefix: Prefix) -> bool {
        self.0
            .guard
            .as_ref()
            .is_none_or(|guard| guard.refuses(prefix).is_none())
    }

    /// Whether a route passes, for a chain that [only drops](Self::is_drop_only): the verdict without its reason.
    #[must_use]
    pub fn passes(&self, route: &RouteView<'_>) -> bool {
        if !self.admits(route.prefix) {
            return false;
        }
        match &self.0.rest {
            Rest::AcceptAll => true,
            Rest::NoPolicy | Rest::Drained => false,
            Rest::Filters(filters) => filters.iter().find_map(|filter| drops(filter, route)) == Some(true),
        }
    }

    /// Whether a default route reaches the filters.
    #[must_use]
    pub fn accepts_default_route(&self) -> bool {
        self.0
            .guard
            .as_ref()
            .is_none_or(|guard| guard.accept_default_route)
    }

    /// Networks in which martian prefixes reach the filters.
    #[must_use]
    pub fn accepted_martians(&self) -> &[IpNet] {
        self.0.guard.as_ref().map_or(&[], |guard| &guard.accept_martians)
    }

    /// The filters, in order; none for the two built-in chains.
    #[must_use]
    pub fn filters(&self) -> &[Arc<Filter>] {
        match &self.0.rest {
            Rest::Filters(filters) => filters,
            Rest::AcceptAll | Rest::NoPolicy | Rest::Drained => &[],
        }
    }

    /// The same chain with each of these filters in place of one that is equal to it.
    pub fn share(&mut self, filters: &[Arc<Filter>]) {
        let Rest::Filters(own) = &self.0.rest else {
            return;
        };
        let shared = |filter: &Arc<Filter>| {
            filters
                .iter()
                .find(|other| *other == filter)
                .unwrap_or(filter)
                .clone()
        };
        let rest = Rest::Filters(own.iter().map(shared).collect());
        self.0 = Arc::new(Inner {
            rest,
            ..Inner::clone(&self.0)
        });
    }

    /// Decides for one route. A condition sees what `continue` rules before it have set, as in other daemons: a filter
    /// reads as a program does, and a rule can mark a route for rules and filters behind it.
    #[must_use]
    pub fn evaluate(&self, route: &RouteView<'_>) -> Verdict {
        if let Some(reason) = self
            .0
            .guard
            .as_ref()
            .and_then(|guard| guard.refuses(route.prefix))
        {
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
    fn refuses(&self, prefix: Prefix) -> Option<Reason> {
        if prefix.prefix_len() == 0 {
            (!self.accept_default_route).then_some(Reason::DefaultRoute)
        } else {
            let refused = martian::is_martian(&prefix) && !self.accepts(&prefix);
            refused.then_some(Reason::Martian)
        }
    }

    fn accepts(&self, prefix: &Prefix) -> bool {
        let holds =
            |network: &IpNet| network.prefix_len() <= prefix.prefix_len() && network.contains(&prefix.addr());
        self.accept_martians.iter().any(holds)
    }
}

/// What a filter without edits says of a route: it passes or not; `None`: the next filter decides.
fn drops(filter: &Filter, route: &RouteView<'_>) -> Option<bool> {
    let decided = filter
        .rules
        .iter()
        .find(|rule| rule.action != Action::Continue && rule.condition.matches(route));
    match (decided.map(|rule| rule.action), filter.default) {
        (Some(Action::Accept), _) | (None, Fallthrough::Accept) => Some(true),
        (Some(Action::Reject), _) | (None, Fallthrough::Reject) => Some(false),
        (Some(Action::Continue) | None, _) => None,
    }
}

fn evaluate_filters(filters: &[Arc<Filter>], route: &RouteView<'_>) -> Verdict {
    let mut progress = Progress {
        route,
        edits: Edits::NONE,
        edited: None,
    };
    for filter in filters {
        match progress.filter(filter) {
            Outcome::Accept(reason) => {
                return Verdict {
                    accept: true,
                    edits: progress.edits,
                    reason,
                };
            }
            Outcome::Reject(reason) => return Verdict::reject(reason),
            Outcome::Next => {}
        }
    }
    Verdict::reject(Reason::EndOfFilters)
}

/// Whether a filter alone accepts the route; what it would set is not set.
pub(super) fn accepts(filter: &Arc<Filter>, route: &RouteView<'_>) -> bool {
    let mut progress = Progress {
        route,
        edits: Edits::NONE,
        edited: None,
    };
    matches!(progress.filter(filter), Outcome::Accept(_))
}

/// A route on its way through filters, with what `continue` rules have set so far.
struct Progress<'r, 'a> {
    route: &'r RouteView<'a>,
    edits: Edits,
    /// The route with the edits carried out; made when the first condition asks for it.
    edited: Option<Edited>,
}

struct Edited {
    canonical: Vec<u8>,
    next_hop: Option<NextHop>,
}

enum Outcome {
    Accept(Reason),
    Reject(Reason),
    Next,
}

impl Progress<'_, '_> {
    fn filter(&mut self, filter: &Arc<Filter>) -> Outcome {
        for (index, rule) in filter.rules.iter().enumerate() {
            if !self.meets(&rule.condition) {
                continue;
            }
            match rule.action {
                Action::Continue => self.edit(&rule.edits),
                Action::Accept => {
                    self.edit(&rule.edits);
                    return Outcome::Accept(Reason::rule(filter, index));
                }
                Action::Reject => return Outcome::Reject(Reason::rule(filter, index)),
            }
        }
        let reason = || Reason::Default {
            filter: Arc::clone(filter),
        };
        match filter.default {
            Fallthrough::Accept => Outcome::Accept(reason()),
            Fallthrough::Reject => Outcome::Reject(reason()),
            Fallthrough::Next => Outcome::Next,
        }
    }

    fn edit(&mut self, edits: &Edits) {
        if !edits.is_empty() {
            self.edits = self.edits.then(&edits.for_route(self.route));
            self.edited = None;
        }
    }

    /// Whether the route, with all edits so far, meets the condition.
    fn meets(&mut self, condition: &Condition) -> bool {
        if self.edits.is_empty() || !condition.reads_attributes() {
            return condition.matches(self.route);
        }
        let (route, edits) = (self.route, &self.edits);
        let edited = self.edited.get_or_insert_with(|| {
            let mut attributes = PathAttributes::from(&**route.attributes);
            edits.apply(&mut attributes, route.local_asn);
            let mut canonical = Vec::new();
            attributes.encode_canonical(&mut canonical);
            let next_hop = match edits.next_hop() {
                Some(NextHopEdit::Address(address)) => Some(address.into()),
                Some(NextHopEdit::Own | NextHopEdit::Unchanged) | None => route.next_hop,
            };
            Edited { canonical, next_hop }
        });
        condition.matches(&RouteView {
            attributes: &CanonicalBlock::new(&edited.canonical),
            next_hop: edited.next_hop,
            marks: edits.marks(route.marks),
            ..*route
        })
    }
}

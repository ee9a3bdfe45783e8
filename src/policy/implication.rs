//! Whether one condition holds wherever another does, as far as that can be told from how they are written.

use super::{Condition, PrefixPattern, PrefixSet};

/// Patterns of a set that is looked at; longer lists would make checking a file slow, and are seldom slips.
const MOST_PATTERNS: usize = 256;

impl Condition {
    /// Whether every route that meets this condition meets the other; `false` where that is not plain.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            _ if self == other => true,
            (_, Self::All(others)) => others.iter().all(|other| self.implies(other)),
            (Self::Any(own), _) if !own.is_empty() => own.iter().all(|one| one.implies(other)),
            (Self::All(own), _) if own.iter().any(|one| one.implies(other)) => true,
            (_, Self::Any(others)) if others.iter().any(|other| self.implies(other)) => true,
            (Self::Prefix(own), Self::Prefix(others)) => is_inside(own, others),
            (Self::Source(own), Self::Source(others)) => own.iter().all(|one| others.contains(one)),
            (Self::Peer(own), Self::Peer(others)) | (Self::Group(own), Self::Group(others)) => {
                own.iter().all(|one| others.contains(one))
            }
            (Self::Community(own), Self::Community(others)) => own.iter().all(|one| others.contains(one)),
            (Self::LargeCommunity(own), Self::LargeCommunity(others)) => {
                own.iter().all(|one| others.contains(one))
            }
            (Self::AsPath(own), Self::AsPath(others)) => own.iter().all(|one| others.contains(one)),
            (Self::Tag(own), Self::Tag(others)) => own.iter().all(|one| others.contains(one)),
            _ => false,
        }
    }
}

fn is_inside(inner: &PrefixSet, outer: &PrefixSet) -> bool {
    let (inner, outer) = (inner.patterns(), outer.patterns());
    let covers = |outer: &PrefixPattern, inner: &PrefixPattern| {
        outer.base.contains(&inner.base) && outer.min_len <= inner.min_len && inner.max_len <= outer.max_len
    };
    inner.len() <= MOST_PATTERNS
        && outer.len() <= MOST_PATTERNS
        && inner
            .iter()
            .all(|inner| outer.iter().any(|outer| covers(outer, inner)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_implies_what_is_around_it() {
        let (wide, narrow) = (prefixes("10.0.0.0/8 le 24"), prefixes("10.1.0.0/16 ge 20 le 22"));
        assert!(narrow.implies(&wide) && !wide.implies(&narrow));
        assert!(!prefixes("10.1.0.0/16 ge 25").implies(&wide));
        let peer = |name: &str| Condition::Peer(vec![name.into()]);
        let both = Condition::All(vec![narrow.clone(), peer("a")]);
        assert!(both.implies(&wide) && both.implies(&peer("a")) && !both.implies(&peer("b")));
        assert!(!narrow.implies(&both));
        assert!(narrow.implies(&Condition::always()) && !Condition::always().implies(&narrow));
        let either = Condition::Any(vec![narrow, peer("a")]);
        assert!(!either.implies(&wide) && peer("a").implies(&either));
        assert!(!Condition::Any(vec![]).implies(&wide));
    }

    fn prefixes(text: &str) -> Condition {
        Condition::Prefix(std::iter::once(text.parse::<PrefixPattern>().unwrap()).collect())
    }
}

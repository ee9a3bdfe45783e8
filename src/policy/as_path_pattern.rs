//! AS path patterns in the idiom of operators' regular expressions, matched over AS numbers instead of characters.
//!
//! | written | matches |
//! |---|---|
//! | `65001` or `_65001_` | a path through AS 65001 |
//! | `^65001` or `^65001_` | a path whose first AS, the neighbour, is 65001 |
//! | `65001$` or `_65001$` | a path that AS 65001 originated |
//! | `^$` | the empty path: a route of our own AS |
//! | `65001_65002` | the two, one behind the other |
//! | `^65001_.*_65002$` | from 65002, through 65001 first, any or no AS between |
//! | `^[0-9]+$` | exactly one AS, whichever |
//! | `.*` | every path |
//!
//! A number always stands for a whole AS: `6500` never matches 65001. `_` or a space separates; there is no
//! alternation, because a condition takes a list of patterns. An AS_SET is one place in the path, matched by any of
//! its members.

use std::fmt;
use std::str::FromStr;

use bgp_codec::Asn;
use smallvec::SmallVec;

/// One place in an AS path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Hop {
    /// An AS of a sequence.
    One(Asn),
    /// The members of an AS_SET, in any order.
    Set(SmallVec<[Asn; 4]>),
}

/// A compiled pattern; equal when written alike.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct AsPathPattern {
    text: Box<str>,
    tokens: Box<[Token]>,
}

/// Why a text is not an [`AsPathPattern`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AsPathPatternError {
    /// A number beyond 4,294,967,295.
    #[error("`{0}` is not an AS number")]
    Number(String),
    /// `^` not first or `$` not last.
    #[error("`{0}` may stand only at the {1} of a pattern")]
    Anchor(char, &'static str),
    /// A `|` or a parenthesis.
    #[error("`{0}`: there is no alternation; write a list of patterns")]
    Alternation(char),
    /// Anything else.
    #[error("`{0}` is not part of a pattern: use AS numbers, `_`, `^`, `$`, `.*` and `[0-9]+`")]
    Unknown(char),
    /// Nothing to match.
    #[error("an empty pattern; the empty path is `^$` and every path is `.*`")]
    Empty,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Token {
    /// This AS.
    Is(Asn),
    /// Any one AS.
    AnyOne,
    /// Any number of ASes, none included.
    AnyRun,
}

impl AsPathPattern {
    /// Whether the path matches.
    ///
    /// A glob match: on a mismatch only the latest run grows, so the work is at most pattern times path.
    pub(crate) fn matches(&self, path: &[Hop]) -> bool {
        let (mut token, mut hop) = (0, 0);
        // Where to take up again: the token behind the latest run, and the hop at which that run ends.
        let mut retry: Option<(usize, usize)> = None;
        while hop < path.len() || token < self.tokens.len() {
            match (self.tokens.get(token), path.get(hop)) {
                (Some(Token::AnyRun), _) => {
                    token += 1;
                    retry = Some((token, hop));
                }
                (Some(one), Some(at)) if one.matches(at) => {
                    token += 1;
                    hop += 1;
                }
                _ => match retry {
                    Some((behind, end)) if end < path.len() => {
                        retry = Some((behind, end + 1));
                        (token, hop) = (behind, end + 1);
                    }
                    _ => return false,
                },
            }
        }
        true
    }
}

impl Token {
    fn matches(self, hop: &Hop) -> bool {
        match (self, hop) {
            (Self::Is(asn), Hop::One(at)) => asn == *at,
            (Self::Is(asn), Hop::Set(members)) => members.contains(&asn),
            (Self::AnyOne | Self::AnyRun, _) => true,
        }
    }
}

impl FromStr for AsPathPattern {
    type Err = AsPathPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err(AsPathPatternError::Empty);
        }
        let inner = text.strip_prefix('^');
        let anchored_start = inner.is_some();
        let inner = inner.unwrap_or(text);
        let stripped = inner.strip_suffix('$');
        let anchored_end = stripped.is_some();
        let mut tokens = if anchored_start {
            Vec::new()
        } else {
            vec![Token::AnyRun]
        };
        let mut rest = stripped.unwrap_or(inner);
        while let Some(first) = rest.chars().next() {
            if let Some(behind) = rest.strip_prefix(['_', ' ']) {
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix(".*") {
                tokens.push(Token::AnyRun);
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix("[0-9]+") {
                tokens.push(Token::AnyOne);
                rest = behind;
            } else if first.is_ascii_digit() {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let (number, behind) = rest.split_at(end);
                let asn = number
                    .parse()
                    .map_err(|_| AsPathPatternError::Number(number.to_owned()))?;
                tokens.push(Token::Is(Asn(asn)));
                rest = behind;
            } else {
                return Err(match first {
                    '^' => AsPathPatternError::Anchor(first, "start"),
                    '$' => AsPathPatternError::Anchor(first, "end"),
                    '|' | '(' | ')' => AsPathPatternError::Alternation(first),
                    other => AsPathPatternError::Unknown(other),
                });
            }
        }
        if !anchored_end {
            tokens.push(Token::AnyRun);
        }
        tokens.dedup_by(|a, b| *a == Token::AnyRun && *b == Token::AnyRun);
        Ok(Self {
            text: text.into(),
            tokens: tokens.into(),
        })
    }
}

impl fmt::Display for AsPathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_alone_or_between_separators_is_found_anywhere() {
        for pattern in ["65001", "_65001_", "_65001", " 65001 "] {
            check(
                pattern,
                &["65001", "1 65001 2", "65001 2", "1 65001"],
                &["", "1 2", "165001", "650011"],
            );
        }
    }

    #[test]
    fn anchors_hold_the_ends() {
        check("^65001", &["65001", "65001 2"], &["1 65001", ""]);
        check("_65001$", &["65001", "1 65001"], &["65001 1", ""]);
        check("^65001$", &["65001"], &["65001 65001", "1 65001"]);
    }

    #[test]
    fn empty_path_matches_only_what_needs_nothing() {
        check("^$", &[""], &["1"]);
        check(".*", &["", "1", "1 2"], &[]);
        check("^.*$", &["", "1", "1 2"], &[]);
    }

    #[test]
    fn neighbours_in_a_pattern_are_adjacent() {
        check("1_2", &["1 2", "9 1 2 9"], &["1 3 2", "2 1", "12"]);
        check(
            "^1_.*_2$",
            &["1 2", "1 3 2", "1 3 4 2"],
            &["1", "2", "1 2 3", "0 1 2"],
        );
    }

    #[test]
    fn a_run_is_retried_until_it_fits() {
        check("1_2$", &["1 2 1 2", "1 1 2"], &["1 2 1"]);
        check("^1.*2.*3$", &["1 2 2 3 3", "1 3 2 3"], &["1 3 2"]);
    }

    #[test]
    fn any_one_as_counts_exactly() {
        check("^[0-9]+$", &["1", "4200000000"], &["", "1 2"]);
        check("^1_[0-9]+_3$", &["1 2 3"], &["1 3", "1 2 2 3"]);
    }

    #[test]
    fn as_set_is_one_place() {
        check("_3_", &["1 {2,3}"], &["1 {2,4}"]);
        check("^1_[0-9]+$", &["1 {2,3}"], &["1 {2,3} 4"]);
    }

    #[test]
    fn errors_name_the_character() {
        for (text, error) in [
            ("", AsPathPatternError::Empty),
            ("1^2", AsPathPatternError::Anchor('^', "start")),
            ("1$2", AsPathPatternError::Anchor('$', "end")),
            ("(1|2)", AsPathPatternError::Alternation('(')),
            ("1|2", AsPathPatternError::Alternation('|')),
            ("1.2", AsPathPatternError::Unknown('.')),
            ("6500[12]", AsPathPatternError::Unknown('[')),
            ("4294967296", AsPathPatternError::Number("4294967296".to_owned())),
        ] {
            assert_eq!(text.parse::<AsPathPattern>(), Err(error), "{text}");
        }
    }

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let compiled: AsPathPattern = pattern.parse().unwrap();
        for path in matching {
            assert!(compiled.matches(&hops(path)), "{pattern} should match `{path}`");
        }
        for path in others {
            assert!(
                !compiled.matches(&hops(path)),
                "{pattern} should not match `{path}`"
            );
        }
    }

    /// `1 2 {3,4}`.
    fn hops(text: &str) -> Vec<Hop> {
        let asn = |word: &str| Asn(word.parse().unwrap());
        text.split_ascii_whitespace()
            .map(|word| match word.strip_prefix('{') {
                Some(members) => Hop::Set(members.trim_end_matches('}').split(',').map(asn).collect()),
                None => Hop::One(asn(word)),
            })
            .collect()
    }
}

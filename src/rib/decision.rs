//! The decision process, RFC 4271 §9.1.2 with the steps of RFC 4456 §9: a pure function of a prefix's candidates.
//!
//! It chooses from the whole set: MULTI_EXIT_DISC compares only within one neighbouring AS, so a pairwise order of routes
//! does not exist. Each step keeps the candidates that are best by it, and whoever it drops is told by which step, and against
//! whom; `why` prints those values.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;
use smallvec::SmallVec;

use super::interface::DecisionOptions;

/// What the decision compares of one usable path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// A route of our own.
    pub(crate) local: bool,
    /// It carries LLGR_STALE.
    pub(crate) llgr_stale: bool,
    /// What import policy gave it for this speaker alone; the higher wins.
    pub(crate) weight: u32,
    /// Degree of preference, RFC 4271 §9.1.1.
    pub(crate) local_pref: u32,
    /// AS_PATH length as RFC 4271 §9.1.2.2(a) counts it.
    pub(crate) as_path_length: u32,
    /// ORIGIN code.
    pub(crate) origin: u8,
    /// MULTI_EXIT_DISC; 0 when absent.
    pub(crate) med: u32,
    /// The AS that MULTI_EXIT_DISC compares within; 0 for an empty AS_PATH.
    pub(crate) neighbour_as: u32,
    /// Learned from an external peer.
    pub(crate) external: bool,
    /// Interior cost to the next hop.
    pub(crate) metric: u32,
    /// Seconds between the shard's start and the path's last change.
    pub(crate) changed_s: u32,
    /// ORIGINATOR_ID, else the peer's BGP Identifier.
    pub(crate) router_id: u32,
    /// Length of CLUSTER_LIST.
    pub(crate) cluster_list_length: u32,
    /// The peer's address; none for routes of our own.
    pub(crate) peer_address: Option<IpAddr>,
    /// Path id as received: tells apart the paths of one Add-Path peer.
    pub(crate) path_id: u32,
}

/// A step of the decision, in order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Step {
    /// Our own routes before all others.
    Local,
    /// RFC 9494 §4.3.
    LongStale,
    /// Deviates from RFC 4271 §9.1.2: a preference of this speaker alone, before the AS's own.
    Weight,
    /// RFC 4271 §9.1.2.1.
    LocalPref,
    /// RFC 4271 §9.1.2.2(a).
    AsPathLength,
    /// RFC 4271 §9.1.2.2(b).
    Origin,
    /// RFC 4271 §9.1.2.2(c).
    Med,
    /// RFC 4271 §9.1.2.2(d).
    External,
    /// RFC 4271 §9.1.2.2(e).
    Metric,
    /// RFC 5004 §3, where that is wanted.
    Oldest,
    /// RFC 4271 §9.1.2.2(f) with RFC 4456 §9.
    RouterId,
    /// RFC 4456 §9.
    ClusterListLength,
    /// RFC 4271 §9.1.2.2(g).
    PeerAddress,
    /// RFC 7911 leaves it open which of one peer's equal paths wins: the lowest path id.
    PathId,
}

/// Why one candidate is not the best.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Loss {
    /// The candidate that lost.
    pub(crate) loser: usize,
    /// The step that dropped it.
    pub(crate) step: Step,
    /// A candidate that it lost against.
    pub(crate) against: usize,
}

/// What was chosen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Choice {
    /// The best candidate.
    pub(crate) best: Option<usize>,
    /// All that are equal up to the interior cost, the best one first.
    pub(crate) multipath: SmallVec<[usize; 4]>,
}

/// Options of the decision.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// MULTI_EXIT_DISC compares between neighbouring ASes too.
    pub(crate) always_compare_med: bool,
    /// Steps that are left out or added; what a missing MED counts as is in the candidates.
    pub(crate) options: DecisionOptions,
}

/// Chooses from all usable candidates and reports each loser once.
pub(crate) fn decide(candidates: &[Candidate], rules: Rules, lost: impl FnMut(Loss)) -> Choice {
    let mut contest = Contest {
        candidates,
        left: (0..candidates.len()).collect(),
        lost,
    };
    contest.keep_lowest(Step::Local, |at| u128::from(!at.local));
    contest.keep_lowest(Step::LongStale, |at| u128::from(at.llgr_stale));
    contest.keep_lowest(Step::Weight, |at| u128::from(u32::MAX - at.weight));
    contest.keep_lowest(Step::LocalPref, |at| u128::from(u32::MAX - at.local_pref));
    if !rules.options.ignore_as_path_length {
        contest.keep_lowest(Step::AsPathLength, |at| u128::from(at.as_path_length));
    }
    contest.keep_lowest(Step::Origin, |at| u128::from(at.origin));
    if rules.always_compare_med {
        contest.keep_lowest(Step::Med, |at| u128::from(at.med));
    } else {
        contest.keep_lowest_med_of_each_neighbour();
    }
    contest.keep_lowest(Step::External, |at| u128::from(!at.external));
    if !rules.options.ignore_next_hop_metric {
        contest.keep_lowest(Step::Metric, |at| u128::from(at.metric));
    }
    let equal = contest.left.clone();
    // RFC 5004 §2: between internal paths the order must be the same on every speaker of the AS.
    if rules.options.prefer_oldest && contest.left.iter().all(|at| candidates[*at].external) {
        contest.keep_lowest(Step::Oldest, |at| u128::from(at.changed_s));
    }
    contest.keep_lowest(Step::RouterId, |at| u128::from(at.router_id));
    contest.keep_lowest(Step::ClusterListLength, |at| u128::from(at.cluster_list_length));
    contest.keep_lowest(Step::PeerAddress, address_rank);
    contest.keep_lowest(Step::PathId, |at| u128::from(at.path_id));
    let best = contest.left.first().copied();
    let others = equal.into_iter().filter(|at| Some(*at) != best);
    Choice {
        best,
        multipath: best.into_iter().chain(others).collect(),
    }
}

struct Contest<'a, F> {
    candidates: &'a [Candidate],
    left: SmallVec<[usize; 16]>,
    lost: F,
}

impl<F: FnMut(Loss)> Contest<'_, F> {
    /// Drops every candidate that does not share the lowest rank.
    #[inline]
    fn keep_lowest(&mut self, step: Step, rank: impl Fn(&Candidate) -> u128) {
        if self.left.len() < 2 {
            return;
        }
        let Self {
            candidates,
            left,
            lost,
        } = self;
        let Some(against) = left.iter().copied().min_by_key(|at| rank(&candidates[*at])) else {
            return;
        };
        let lowest = rank(&candidates[against]);
        left.retain(|loser| {
            let keep = rank(&candidates[*loser]) == lowest;
            if !keep {
                lost(Loss {
                    loser: *loser,
                    step,
                    against,
                });
            }
            keep
        });
    }

    /// RFC 4271 §9.1.2.2(c): drops a candidate if another of the same neighbouring AS has a lower MULTI_EXIT_DISC.
    ///
    /// A VIP of a large cluster has a path from every node, so this must not look at all pairs.
    fn keep_lowest_med_of_each_neighbour(&mut self) {
        let Self {
            candidates,
            left,
            lost,
        } = self;
        let med = |at: &usize| candidates[*at].med;
        let Some(first) = left.first().map(med) else {
            return;
        };
        if left.iter().all(|at| med(at) == first) {
            return;
        }
        let neighbour = |at: &usize| candidates[*at].neighbour_as;
        let mut by_neighbour = left.clone();
        // Of one neighbour the lowest stands first; among equal ones the first candidate, as in the other steps.
        by_neighbour.sort_by_key(|at| (neighbour(at), med(at)));
        by_neighbour.dedup_by_key(|at| neighbour(at));
        left.retain(|loser| {
            let lowest = by_neighbour.binary_search_by_key(&neighbour(loser), neighbour);
            let lowest = lowest.ok().map(|at| by_neighbour[at]);
            let against = lowest.filter(|lowest| med(lowest) < med(loser));
            if let Some(against) = against {
                lost(Loss {
                    loser: *loser,
                    step: Step::Med,
                    against,
                });
            }
            against.is_none()
        });
    }
}

/// RFC 4271 §9.1.2.2(g); any IPv4 address before any IPv6 address.
fn address_rank(candidate: &Candidate) -> u128 {
    match candidate.peer_address {
        None => 0,
        Some(IpAddr::V4(address)) => u128::from(address.to_bits()),
        Some(IpAddr::V6(address)) => address.to_bits(),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "originated here",
            Self::LongStale => "not stale for long",
            Self::Weight => "higher weight",
            Self::LocalPref => "higher LOCAL_PREF",
            Self::AsPathLength => "shorter AS_PATH",
            Self::Origin => "lower ORIGIN",
            Self::Med => "lower MED",
            Self::External => "external before internal",
            Self::Metric => "nearer next hop",
            Self::Oldest => "there for longer",
            Self::RouterId => "lower router id",
            Self::ClusterListLength => "shorter CLUSTER_LIST",
            Self::PeerAddress => "lower peer address",
            Self::PathId => "lower path id",
        })
    }
}

impl Step {
    /// The two values that the step compared, the winner's first.
    pub(crate) fn values(self, winner: &Candidate, loser: &Candidate) -> Option<String> {
        let pair = |sign: &str, ours: u32, theirs: u32| Some(format!("{ours} {sign} {theirs}"));
        let id = std::net::Ipv4Addr::from_bits;
        match self {
            Self::Local | Self::LongStale | Self::External => None,
            Self::Oldest => Some(format!(
                "by {} s",
                loser.changed_s.saturating_sub(winner.changed_s)
            )),
            Self::Weight => pair(">", winner.weight, loser.weight),
            Self::LocalPref => pair(">", winner.local_pref, loser.local_pref),
            Self::AsPathLength => pair("<", winner.as_path_length, loser.as_path_length),
            Self::Origin => pair("<", winner.origin.into(), loser.origin.into()),
            Self::Med => pair("<", winner.med, loser.med),
            Self::Metric => pair("<", winner.metric, loser.metric),
            Self::RouterId => Some(format!("{} < {}", id(winner.router_id), id(loser.router_id))),
            Self::ClusterListLength => pair("<", winner.cluster_list_length, loser.cluster_list_length),
            Self::PeerAddress => match (winner.peer_address, loser.peer_address) {
                (Some(ours), Some(theirs)) => Some(format!("{ours} < {theirs}")),
                _ => None,
            },
            Self::PathId => pair("<", winner.path_id, loser.path_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u32) -> Candidate {
        Candidate {
            local: false,
            llgr_stale: false,
            weight: 1,
            local_pref: 100,
            as_path_length: 2,
            origin: 0,
            med: 0,
            neighbour_as: 65_001,
            external: true,
            metric: 10,
            changed_s: 5,
            router_id: id,
            cluster_list_length: 0,
            peer_address: Some(IpAddr::from([10, 0, 0, id as u8])),
            path_id: 0,
        }
    }

    fn check(step: Step, make_worse: impl Fn(&mut Candidate)) {
        // The loser would win by every later step.
        let (winner, mut loser) = (candidate(9), candidate(1));
        make_worse(&mut loser);
        for (candidates, best) in [([winner, loser], 0), ([loser, winner], 1)] {
            let mut losses = Vec::new();
            let choice = decide(&candidates, Rules::default(), |loss| losses.push(loss));
            assert_eq!(choice.best, Some(best), "{step:?}");
            assert_eq!(
                losses,
                [Loss {
                    loser: 1 - best,
                    step,
                    against: best
                }]
            );
            assert_eq!(choice.multipath.len(), if step > Step::Metric { 2 } else { 1 });
        }
    }

    #[test]
    fn each_step_decides_in_its_turn() {
        check(Step::LongStale, |at| at.llgr_stale = true);
        check(Step::Weight, |at| (at.weight, at.local_pref) = (0, 200));
        check(Step::LocalPref, |at| at.local_pref = 99);
        check(Step::AsPathLength, |at| at.as_path_length = 3);
        check(Step::Origin, |at| at.origin = 2);
        check(Step::Med, |at| at.med = 1);
        check(Step::External, |at| at.external = false);
        check(Step::Metric, |at| at.metric = 11);
        check(Step::RouterId, |at| at.router_id = 10);
        check(Step::ClusterListLength, |at| {
            (at.router_id, at.cluster_list_length) = (9, 1)
        });
        check(Step::PeerAddress, |at| {
            (at.router_id, at.peer_address) = (9, Some([10, 0, 0, 10].into()))
        });
        check(Step::PathId, |at| {
            (at.router_id, at.peer_address, at.path_id) = (9, Some([10, 0, 0, 9].into()), 1)
        });
    }

    #[test]
    fn options_leave_steps_out_and_add_the_oldest_path() {
        let choose = |options, first: Candidate, second: Candidate| {
            let rules = Rules {
                options,
                ..Rules::default()
            };
            let mut steps = Vec::new();
            let choice = decide(&[first, second], rules, |loss| steps.push(loss.step));
            (choice.best, steps)
        };
        let none = DecisionOptions::default();
        let longer = Candidate {
            as_path_length: 9,
            ..candidate(1)
        };
        let ignored = DecisionOptions {
            ignore_as_path_length: true,
            ..none
        };
        assert_eq!(
            choose(none, longer, candidate(2)),
            (Some(1), vec![Step::AsPathLength])
        );
        assert_eq!(
            choose(ignored, longer, candidate(2)),
            (Some(0), vec![Step::RouterId])
        );
        let farther = Candidate {
            metric: 99,
            ..candidate(1)
        };
        let ignored = DecisionOptions {
            ignore_next_hop_metric: true,
            ..none
        };
        assert_eq!(choose(none, farther, candidate(2)), (Some(1), vec![Step::Metric]));
        assert_eq!(
            choose(ignored, farther, candidate(2)),
            (Some(0), vec![Step::RouterId])
        );
        let younger = Candidate {
            changed_s: 7,
            ..candidate(1)
        };
        let oldest = DecisionOptions {
            prefer_oldest: true,
            ..none
        };
        assert_eq!(
            choose(none, younger, candidate(2)),
            (Some(0), vec![Step::RouterId])
        );
        assert_eq!(
            choose(oldest, younger, candidate(2)),
            (Some(1), vec![Step::Oldest])
        );
        // RFC 5004 §2: not between internal paths.
        let internal = |at: Candidate| Candidate {
            external: false,
            ..at
        };
        let chosen = choose(oldest, internal(younger), internal(candidate(2)));
        assert_eq!(chosen, (Some(0), vec![Step::RouterId]));
    }

    #[test]
    fn our_own_route_wins_over_any_preference() {
        let local = Candidate {
            local: true,
            peer_address: None,
            ..candidate(0)
        };
        let learned = Candidate {
            local_pref: u32::MAX,
            ..candidate(1)
        };
        assert_eq!(decide(&[learned, local], Rules::default(), |_| ()).best, Some(1));
    }

    #[test]
    fn nothing_to_choose_from_is_no_choice() {
        assert_eq!(decide(&[], Rules::default(), |_| ()), Choice::default());
    }

    /// Three routes that a pairwise comparison orders in a circle: A beats B by router id, B beats C by router id, C beats
    /// A by MED within one AS.
    #[test]
    fn the_med_trap_has_one_winner_in_all_arrival_orders() {
        let a = Candidate {
            neighbour_as: 1,
            med: 20,
            router_id: 1,
            ..candidate(1)
        };
        let b = Candidate {
            neighbour_as: 2,
            med: 5,
            router_id: 2,
            ..candidate(2)
        };
        let c = Candidate {
            neighbour_as: 1,
            med: 10,
            router_id: 3,
            ..candidate(3)
        };
        for order in [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
            let best = decide(&order, Rules::default(), |_| ()).best.unwrap();
            assert_eq!(order[best].router_id, 2);
        }
    }

    #[test]
    fn med_of_different_neighbours_compares_only_when_asked() {
        let near = Candidate {
            neighbour_as: 1,
            med: 20,
            router_id: 1,
            ..candidate(1)
        };
        let far = Candidate {
            neighbour_as: 2,
            med: 5,
            router_id: 2,
            ..candidate(2)
        };
        assert_eq!(decide(&[near, far], Rules::default(), |_| ()).best, Some(0));
        assert_eq!(
            decide(
                &[near, far],
                Rules {
                    always_compare_med: true,
                    ..Rules::default()
                },
                |_| ()
            )
            .best,
            Some(1)
        );
    }
}

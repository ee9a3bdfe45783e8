//! The plan of a reload: what differs between the configuration that runs and the one that is wanted, and what each
//! difference takes.
//!
//! Pure: the plan is printed, refused or applied by others. Which setting of a peer resets its session is
//! [`settings_change`]'s decision; what only a restart can change is decided
//! here.

mod describe;
#[cfg(test)]
mod tests;
mod vips;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use self::describe::Differences;
use super::{Config, Speaker};
use crate::kernel;
use crate::policy::Filter;
use crate::session::change::{Change as SessionChange, settings_change};
use crate::session::settings::PeerSettings;

/// What a reload would do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Each difference as operators read it; empty when nothing differs.
    pub changes: Vec<Change>,
    /// Peers that come, go or change.
    pub peers: PeerChanges,
    /// `[[originate]]` differs.
    pub originate: bool,
    /// `[[aggregate]]` differs.
    pub aggregates: bool,
    /// `[[vip]]` differs.
    pub vips: bool,
    /// `[kernel]` differs in something that is live.
    pub kernel: bool,
    /// The log level differs.
    pub log_level: bool,
    /// What runs once the plan is applied: the wanted configuration, less what needs a restart.
    pub result: Config,
    /// Filters in use, each with an equal one that shows where it stands in the file that was read.
    moved: Vec<(Arc<Filter>, Arc<Filter>)>,
}

/// Peers that come, go or change, in the order of the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerChanges {
    /// By name; they go first, so that an address may pass from one peer to another.
    pub removed: Vec<Arc<str>>,
    /// New settings of peers that stay.
    pub changed: Vec<PeerSettings>,
    /// New peers.
    pub added: Vec<PeerSettings>,
}

/// One difference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What differs, in the words of the file: `peer f5-a: max_prefixes 100 -> 200`.
    pub what: String,
    /// What it takes.
    pub effect: Effect,
}

/// What a [`Change`] takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Nothing else notices.
    Live,
    /// Nothing else notices, but what an OPEN tells waits for the peer's next session.
    NextSession {
        /// The setting.
        because: &'static str,
    },
    /// One session is closed and comes up again.
    ResetsSession {
        /// Whose.
        peer: Arc<str>,
        /// The setting that cannot change under a session.
        because: &'static str,
    },
    /// It is left as it is until the daemon starts again.
    NeedsRestart,
}

impl Plan {
    /// Compares the configuration that runs with the one that is wanted.
    #[must_use]
    pub fn new(running: &Config, wanted: Config) -> Self {
        if running.speaker.asn != wanted.speaker.asn {
            return Self::restart_first(running, &wanted);
        }
        let mut changes = Vec::new();
        let mut result = wanted;
        let moved = share_filters(running, &mut result);
        let log_level = running.speaker.log_level != result.speaker.log_level;
        result.speaker = speaker_changes(&running.speaker, &result.speaker, &mut changes);
        let (kernel, live_kernel) =
            kernel_changes(running.kernel.as_ref(), result.kernel.as_ref(), &mut changes);
        result.kernel = kernel;
        let originate = section_changes(
            "originate",
            running.originate.iter().map(|source| (&source.name, source)),
            result.originate.iter().map(|source| (&source.name, source)),
            describe::originate,
            &mut changes,
        );
        let aggregates = section_changes(
            "aggregate",
            running.aggregates.iter().map(|at| (&at.rule.name, at)),
            result.aggregates.iter().map(|at| (&at.rule.name, at)),
            describe::aggregate,
            &mut changes,
        );
        let vips_differ = section_changes(
            "vip",
            running.vips.iter().map(|vip| (&vip.name, vip)),
            result.vips.iter().map(|vip| (&vip.name, vip)),
            vips::vip,
            &mut changes,
        );
        filter_changes(&running.filters, &result.filters, &mut changes);
        let peers = peer_changes(&running.peers, &result.peers, &mut changes);
        Self {
            changes,
            peers,
            originate,
            aggregates,
            vips: vips_differ,
            kernel: live_kernel,
            log_level,
            result,
            moved,
        }
    }

    /// Lets filters that stay in use name the lines where they stand in the file that was read. To be called when the plan
    /// is carried out, also when there is nothing to do.
    pub fn settle_places(&self) {
        for (filter, equal) in &self.moved {
            filter.move_to(equal);
        }
    }

    /// Whether there is nothing to do and nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.peers == PeerChanges::default()
    }

    /// Sessions that would be reset, by peer name.
    pub fn resets(&self) -> impl Iterator<Item = &Arc<str>> {
        self.changes.iter().filter_map(|change| match &change.effect {
            Effect::ResetsSession { peer, .. } => Some(peer),
            Effect::Live | Effect::NextSession { .. } | Effect::NeedsRestart => None,
        })
    }

    /// Our AS decides which peers are internal, what they carry and what every OPEN says.
    fn restart_first(running: &Config, wanted: &Config) -> Self {
        let what = format!(
            "speaker: asn {} -> {}; everything depends on it, so nothing else is taken over either",
            running.speaker.asn, wanted.speaker.asn
        );
        Self {
            changes: vec![Change {
                what,
                effect: Effect::NeedsRestart,
            }],
            peers: PeerChanges::default(),
            originate: false,
            aggregates: false,
            vips: false,
            kernel: false,
            log_level: false,
            result: running.clone(),
            moved: Vec::new(),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return f.write_str("nothing changes\n");
        }
        self.changes.iter().try_for_each(|change| writeln!(f, "{change}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.effect)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::NextSession { because } => write!(f, "live ({because} at the next session)"),
            Self::ResetsSession { peer, because } => {
                write!(f, "resets session {peer} (because of {because})")
            }
            Self::NeedsRestart => f.write_str("needs restart"),
        }
    }
}

/// Reports differences of `[speaker]`; yields what runs afterwards.
fn speaker_changes(running: &Speaker, wanted: &Speaker, changes: &mut Vec<Change>) -> Speaker {
    let (live, restart) = describe::speaker(running, wanted);
    report("speaker", &live, Effect::Live, changes);
    report("speaker", &restart, Effect::NeedsRestart, changes);
    Speaker {
        deferral_time: wanted.deferral_time,
        log_level: wanted.log_level.clone(),
        log_format: wanted.log_format,
        always_compare_med: wanted.always_compare_med,
        decision: wanted.decision,
        http: wanted.http,
        ..running.clone()
    }
}

/// Reports differences of `[kernel]`; yields what runs afterwards, and whether that differs from what runs.
fn kernel_changes(
    running: Option<&kernel::settings::Settings>,
    wanted: Option<&kernel::settings::Settings>,
    changes: &mut Vec<Change>,
) -> (Option<kernel::settings::Settings>, bool) {
    let (Some(running), Some(wanted)) = (running, wanted) else {
        match (running, wanted) {
            (None, Some(_)) => changes.push(Change {
                what: "kernel: added".to_owned(),
                effect: Effect::NeedsRestart,
            }),
            (Some(_), None) => changes.push(Change {
                what: "kernel: removed".to_owned(),
                effect: Effect::NeedsRestart,
            }),
            _ => {}
        }
        return (running.cloned(), false);
    };
    let live = describe::kernel(running, wanted);
    report("kernel", &live, Effect::Live, changes);
    (Some(wanted.clone()), !live.is_empty())
}

/// Puts the filters that run in place of equal ones, so that all who hold one hold the same, before a reload and after it.
fn share_filters(running: &Config, wanted: &mut Config) -> Vec<(Arc<Filter>, Arc<Filter>)> {
    let mut moved = Vec::new();
    for filter in &mut wanted.filters {
        if let Some(same) = running.filters.iter().find(|other| *other == filter) {
            moved.push((Arc::clone(same), std::mem::replace(filter, Arc::clone(same))));
        }
    }
    let chains = wanted
        .aggregates
        .iter_mut()
        .filter_map(|at| at.rule.contributing.as_mut());
    chains.for_each(|chain| chain.share(&wanted.filters));
    for peer in &mut wanted.peers {
        peer.policy.import.share(&wanted.filters);
        peer.policy.export.share(&wanted.filters);
    }
    moved
}

fn report(section: &str, differences: &Differences, effect: Effect, changes: &mut Vec<Change>) {
    if !differences.is_empty() {
        changes.push(Change {
            what: format!("{section}: {differences}"),
            effect,
        });
    }
}

/// Reports what was added, removed and changed in a list of named things; all of it is live.
fn section_changes<'a, T: PartialEq + 'a>(
    section: &str,
    running: impl Iterator<Item = (&'a Arc<str>, &'a T)>,
    wanted: impl Iterator<Item = (&'a Arc<str>, &'a T)>,
    describe: impl Fn(&T, &T) -> Differences,
    changes: &mut Vec<Change>,
) -> bool {
    let before = changes.len();
    let mut live = |name: &str, what: &str| {
        changes.push(Change {
            what: format!("{section} {name}: {what}"),
            effect: Effect::Live,
        });
    };
    let mut running: BTreeMap<&Arc<str>, &T> = running.collect();
    for (name, new) in wanted {
        match running.remove(name) {
            None => live(name, "added"),
            Some(old) if old != new => live(name, &describe(old, new).to_string()),
            Some(_) => {}
        }
    }
    for name in running.keys() {
        live(name, "removed");
    }
    changes.len() > before
}

/// Reports filters whose content differs. That a peer uses a filter is reported with the peer.
fn filter_changes(running: &[Arc<Filter>], wanted: &[Arc<Filter>], changes: &mut Vec<Change>) {
    section_changes(
        "filter",
        running.iter().map(|filter| (&filter.name, filter)),
        wanted.iter().map(|filter| (&filter.name, filter)),
        describe::filter,
        changes,
    );
}

fn peer_changes(running: &[PeerSettings], wanted: &[PeerSettings], changes: &mut Vec<Change>) -> PeerChanges {
    let mut result = PeerChanges::default();
    let mut known: BTreeMap<&str, &PeerSettings> = running.iter().map(|peer| (&*peer.name, peer)).collect();
    for new in wanted {
        let Some(old) = known.remove(&*new.name) else {
            changes.push(Change {
                what: format!("peer {}: added", new.name),
                effect: Effect::Live,
            });
            result.added.push(new.clone());
            continue;
        };
        let effect = match settings_change(old, new) {
            SessionChange::None => continue,
            SessionChange::Live => Effect::Live,
            SessionChange::NextSession(because) => Effect::NextSession { because },
            SessionChange::Reset(because) => Effect::ResetsSession {
                peer: Arc::clone(&new.name),
                because,
            },
        };
        result.changed.push(new.clone());
        let differences = describe::peer(old, new);
        // A peer whose filters kept their names is covered by what is said of the filters.
        if !differences.is_empty() || effect != Effect::Live {
            changes.push(Change {
                what: format!("peer {}: {differences}", new.name),
                effect,
            });
        }
    }
    for old in running.iter().filter(|peer| known.contains_key(&*peer.name)) {
        changes.push(Change {
            what: format!("peer {}: removed", old.name),
            effect: Effect::Live,
        });
        result.removed.push(Arc::clone(&old.name));
    }
    result
}

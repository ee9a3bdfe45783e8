//! Feature by daemon: what works with whom, each cell tried out and none taken from a manual.
//!
//! The test command tries what one plain session with each daemon shows. `cargo xtask interop --matrix` tries everything,
//! and writes `docs/interop.md`.

mod daemon;
mod feature;
mod page;
mod through;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::daemon::{ALL, Daemon, Kind, Lines, THEIRS};
use self::feature::{Feature, KEY, OWN_SESSION, PLAIN, many_of_ours};
use self::through::Feeds;
use crate::lab::speaker::Speaker as _;
use crate::lab::stonechat::Stonechat;
use crate::lab::{Lab, Need, await_until, skipped};
use crate::pair::{LEFT, Pair};

/// Labs at a time while the page is made.
const AT_ONCE: usize = 3;

/// What came of trying.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Cell {
    Pass,
    /// With why.
    Fail(String),
    /// The daemon has no such thing, or no command for it.
    Lacks,
}

#[test]
fn a_plain_session_with_frr() {
    plain_session(Kind::Frr);
}

#[test]
fn a_plain_session_with_bird2() {
    plain_session(Kind::Bird2);
}

#[test]
fn a_plain_session_with_bird1() {
    plain_session(Kind::Bird1);
}

#[test]
fn a_plain_session_with_gobgp() {
    plain_session(Kind::Gobgp);
}

#[test]
fn a_plain_session_with_openbgpd() {
    plain_session(Kind::Openbgpd);
}

#[test]
fn a_plain_session_with_exabgp() {
    plain_session(Kind::Exabgp);
}

#[test]
fn each_feature_with_frr() {
    own_sessions(Kind::Frr);
}

#[test]
fn each_feature_with_bird2() {
    own_sessions(Kind::Bird2);
}

#[test]
fn each_feature_with_bird1() {
    own_sessions(Kind::Bird1);
}

#[test]
fn each_feature_with_gobgp() {
    own_sessions(Kind::Gobgp);
}

#[test]
fn each_feature_with_openbgpd() {
    own_sessions(Kind::Openbgpd);
}

#[test]
fn each_feature_with_exabgp() {
    own_sessions(Kind::Exabgp);
}

/// Takes minutes: `cargo xtask interop --matrix`.
#[test]
#[ignore = "makes docs/interop.md"]
fn the_page() {
    let mut jobs: Vec<(Kind, Vec<Feature>)> = Vec::new();
    for kind in ALL {
        if skipped(&[kind.need()]) {
            continue;
        }
        jobs.push((kind, PLAIN.to_vec()));
        jobs.extend(OWN_SESSION.map(|feature| (kind, vec![feature])));
    }
    let only = std::env::var("STONECHAT_MATRIX_ONLY").unwrap_or_default();
    jobs.retain(|(kind, features)| format!("{kind:?} {features:?}").contains(&only));
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((kind, features)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let cells = try_out(*kind, features);
                    println!("{}: {cells:?}", kind.title());
                    let cells = cells.into_iter().map(|(feature, cell)| (*kind, feature, cell));
                    results.lock().expect("no panic").extend(cells);
                }
            });
        }
    });
    let results = results.into_inner().expect("no panic");
    if only.is_empty() {
        page::write(&results);
    }
}

fn plain_session(kind: Kind) {
    if skipped(&[kind.need()]) {
        return;
    }
    let features: Vec<Feature> = PLAIN
        .into_iter()
        .filter(|feature| feature.known_failure(kind).is_none())
        .collect();
    all_pass(kind, try_out(kind, &features));
}

/// Every row that takes a session of its own, but for the long one.
fn own_sessions(kind: Kind) {
    if skipped(&[kind.need()]) {
        return;
    }
    let features = OWN_SESSION.into_iter().filter(|feature| {
        let known = feature.known_failure(kind).is_some();
        *feature != Feature::TenThousand && !known && !(feature.is_fed() && skipped(&[Need::Exabgp]))
    });
    all_pass(
        kind,
        features.flat_map(|feature| try_out(kind, &[feature])).collect(),
    );
}

fn all_pass(kind: Kind, cells: Vec<(Feature, Cell)>) {
    let failed: Vec<String> = cells
        .into_iter()
        .filter_map(|(feature, cell)| match cell {
            Cell::Fail(why) => Some(format!("{}: {why}", feature.title())),
            Cell::Pass | Cell::Lacks => None,
        })
        .collect();
    assert!(failed.is_empty(), "{}:\n{}", kind.title(), failed.join("\n"));
}

/// Tries features on one session, one after another.
fn try_out(kind: Kind, features: &[Feature]) -> Vec<(Feature, Cell)> {
    let all = |cell: Cell| features.iter().map(|feature| (*feature, cell.clone())).collect();
    let lines = match features {
        [feature] => feature.lines(kind),
        _ => Some(Lines::default()),
    };
    let Some(lines) = lines else {
        return all(Cell::Lacks);
    };
    let started = catch_unwind(AssertUnwindSafe(|| start(kind, features, &lines)));
    let (mut left, mut right, mut feeds, _rest) = match started {
        Ok(started) => started,
        Err(panic) => return all(Cell::Fail(said(panic.as_ref()))),
    };
    let mut cells = Vec::new();
    for feature in features {
        if feature.lines(kind).is_none() {
            cells.push((*feature, Cell::Lacks));
            continue;
        }
        let shown = catch_unwind(AssertUnwindSafe(|| {
            feature.show(kind, (&mut left, &mut right), feeds.as_mut())
        }));
        let cell = match shown {
            Ok(true) => Cell::Pass,
            Ok(false) => Cell::Lacks,
            Err(panic) => {
                let why = feature.known_failure(kind).map(str::to_owned);
                Cell::Fail(why.unwrap_or_else(|| said(panic.as_ref())))
            }
        };
        cells.push((*feature, cell));
    }
    cells
}

type Started = (Stonechat, Daemon, Option<Feeds>, (Pair, Lab));

fn start(kind: Kind, features: &[Feature], lines: &Lines) -> Started {
    let lab = Lab::new();
    let mut pair = Pair::build(&lab);
    let (more, many) = match features {
        [Feature::TenThousand] => (Feature::TenThousand.ours(), many_of_ours()),
        [feature] => (feature.ours(), String::new()),
        _ => ("", String::new()),
    };
    let right = kind.start(&lab, &pair.right, lines);
    let key = lab.dir("keys").join("key");
    std::fs::write(&key, KEY).expect("write the key");
    let config =
        ours(kind, (more, &many), lines.ends().1).replace("\"key\"", &format!("\"{}\"", key.display()));
    let is_fed = matches!(features, [feature] if feature.is_fed());
    let config = if is_fed {
        config + through::OUR_FEED
    } else {
        config
    };
    let left = Stonechat::start(&lab, &pair.left, &config);
    let feeds = is_fed.then(|| Feeds::start(&lab, &mut pair, kind, features));
    await_until("the session is up", || left.established(lines.ends().1));
    (left, right, feeds, (pair, lab))
}

/// Our configuration.
fn ours(kind: Kind, (more, many): (&str, &str), right: &str) -> String {
    let families = if kind.has_both_families() {
        ""
    } else {
        "families = [\"ipv4-unicast\"]\n"
    };
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n[kernel]\ninstall = true\n\n\
         [[originate]]\nname = \"blocks\"\nkernel = {{ type = [\"blackhole\"] }}\n\
         community = [\"64512:100\"]\nlarge_community = [\"64512:1:2\"]\n\n{many}\
         [[filter]]\nname = \"any\"\ndefault = \"accept\"\nrules = []\n\n\
         [[peer]]\nname = \"right\"\naddress = \"{right}\"\nasn = {THEIRS}\nimport = \"any\"\nexport = \"any\"\n\
         connect_retry_time = \"1s\"\nidle_hold_time = \"1s\"\nhold_time = \"9s\"\n{families}{more}\n"
    )
}

/// What a panic said, in one line.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_default()
}

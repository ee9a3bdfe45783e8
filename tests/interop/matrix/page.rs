//! `docs/interop.md`, as the run found things.

use std::fmt::Write as _;
use std::path::Path;

use super::Cell;
use super::daemon::{ALL, Kind};
use super::feature::{Feature, OWN_SESSION, PLAIN};

/// Characters of a failure's reason on the page.
const REASON: usize = 160;

/// What captures of the wire have shown, for those who wonder about a restart.
const SEEN: &str = "\n## Seen on the wire\n\n\
    - FRR 8.4.4 with `bgp graceful-restart preserve-fw-state` sets the R bit in its OPEN whenever bgpd starts, also for the first time,\n  \
    with the F bit set and a restart time of 120 s. Its End-of-RIB comes one second after Established: behind its routes when only bgpd\n  \
    was restarted (`network` or `redistribute kernel`), but before and without them when zebra was restarted with it. A helper that\n  \
    sweeps at End-of-RIB, as RFC 4724 §4.2 has it, then loses what was redistributed until FRR announces it again.\n\
    - OpenBGPD 7.7 sends End-of-RIB before its own routes, and nothing in answer to ROUTE-REFRESH, whoever asks.\n  Two paths of one prefix were tried towards it only.\n\
    - BIRD sets R and F only if it is started with `-R`; otherwise a helper drops its routes when it returns.\n\n";

pub(super) fn write(results: &[(Kind, Feature, Cell)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/interop.md");
    std::fs::write(path, text(results)).expect("write docs/interop.md");
}

fn text(results: &[(Kind, Feature, Cell)]) -> String {
    let mut page = String::from(
        "# What works with whom\n\n\
         Made by `cargo xtask interop --matrix`, which tries every cell against the daemon itself in network namespaces: Stonechat in\n\
         AS 64512 on one side, the other daemon in AS 4200000001 on the other. *They lack it*: the daemon has no such thing, or no\n\
         command that would show it.\n\n| |",
    );
    for kind in ALL {
        write!(page, " {} |", kind.title()).expect("a string takes it");
    }
    page.push_str("\n|---|");
    page.push_str(&"---|".repeat(ALL.len()));
    page.push('\n');
    let mut reasons = Vec::new();
    for feature in PLAIN.iter().chain(&OWN_SESSION) {
        write!(page, "| {} |", feature.title()).expect("a string takes it");
        for kind in ALL {
            let found = results
                .iter()
                .find(|(of, at, _)| *of == kind && at == feature)
                .map(|(_, _, cell)| cell);
            let word = match found {
                Some(Cell::Pass) => "pass".to_owned(),
                Some(Cell::Lacks) => "they lack it".to_owned(),
                Some(Cell::Fail(why)) => {
                    reasons.push((kind, *feature, why));
                    format!("fail [{}]", reasons.len())
                }
                None => "not tried".to_owned(),
            };
            write!(page, " {word} |").expect("a string takes it");
        }
        page.push('\n');
    }
    page.push_str(SEEN);
    if !reasons.is_empty() {
        page.push_str("## What fails, and why\n\n");
    }
    for (number, (kind, feature, why)) in reasons.iter().enumerate() {
        let why: String = why.replace('\n', " ").chars().take(REASON).collect();
        writeln!(
            page,
            "{}. {}, {}: {why}",
            number + 1,
            kind.title(),
            feature.title()
        )
        .expect("a string takes it");
    }
    page
}

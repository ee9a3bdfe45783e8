//! What an operator does with a file and a question: a wrong file, a doubtful one, settings that change live, and `why`
//! for a route that is there, absent, rejected, not passed on, or kept from a peer that is down.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::holds_for;
use crate::lab::{Lab, await_until, skipped};
use crate::pair::{LEFT, Pair, RIGHT, stonechat};

const TAKEN: &str = "10.244.1.0/26";
const REFUSED: &str = "10.99.0.0/24";
const ELSEWHERE: &str = "10.245.1.0/26";

/// One with a filter, and its neighbour.
fn neighbours(lab: &Lab) -> (Pair, Stonechat, Stonechat) {
    let pair = Pair::build(lab);
    let left = Stonechat::start(lab, &pair.left, &file("", ""));
    let far = stonechat(LEFT, "").replace(
        &format!("router_id = \"{LEFT}\""),
        &format!("router_id = \"{RIGHT}\""),
    );
    let right = Stonechat::start(lab, &pair.right, &far);
    (pair, left, right)
}

#[test]
fn every_route_has_its_why() {
    if skipped(&[]) {
        return;
    }
    let lab = Lab::new();
    let (pair, left, mut right) = neighbours(&lab);
    right.announce(TAKEN, "");
    right.announce(REFUSED, "");
    right.announce(ELSEWHERE, "");
    let why = |what: &str| left.cli(&format!("why {what}")).expect_success();
    let says = |what: &str, words: &[&str]| {
        let text = why(what);
        match words.iter().find(|word| !text.contains(**word)) {
            Some(missing) => Err(format!("no {missing:?} in\n{text}")),
            None => Ok(()),
        }
    };
    let line = |words: &str| {
        1 + file("", "")
            .lines()
            .position(|line| line.contains(words))
            .expect("a line")
    };
    await_until("a route that is there", || {
        let rule = format!("accepted by rule 1 of filter in (node.toml:{})", line("within"));
        says(
            TAKEN,
            &[
                "import: ",
                &rule.replace("node.toml", &shown(&left)),
                "decision: best",
                "not reflected",
                "in step",
            ],
        )
    });
    await_until("one that import rejected", || {
        says(
            REFUSED,
            &[
                "rejected by default of filter in",
                "does not take part",
                "no usable route",
            ],
        )
    });
    says("10.1.2.0/24", &["no paths: nobody sent it", "no usable route"]).expect("one that is absent");
    says(&format!("{TAKEN} --peer absent"), &["no session", "absent"]).expect("a peer that is down");
    await_until("in the kernel", || {
        says(TAKEN, &["kernel:\n  table main: installed"])
    });

    await_until("a kernel table that a filter chose", || {
        says(ELSEWHERE, &["weight 5, ", "kernel table 100"])?;
        let routes = pair.left.try_ip("route show table 100");
        if routes.stdout.contains(ELSEWHERE) {
            Ok(())
        } else {
            Err(format!("{routes:?}"))
        }
    });
}

#[test]
fn files_are_taken_or_refused_and_told_with_their_places() {
    if skipped(&[]) {
        return;
    }
    let lab = Lab::new();
    let (_pair, left, _right) = neighbours(&lab);
    await_until("the session is up", || left.established(RIGHT));
    // A wrong file changes nothing and is told with its place; a doubtful one is taken, with a warning.
    left.write_config(&file("", "").replace("default = \"reject\"", "defualt = \"reject\""));
    left.signal(Signal::SIGHUP);
    log_has(
        &left,
        &[
            "not reloaded; the running configuration stays",
            "did you mean `default`?",
        ],
    );
    left.write_config(&file("", "[[filter]]\nname = \"nobodys\"\n"));
    left.signal(Signal::SIGHUP);
    log_has(&left, &["no peer uses filter `nobodys`", "filter nobodys: added"]);
    let plan = left
        .cli(&format!("check --diff {}", left.config_path().display()))
        .expect_success();
    assert!(
        plan.contains("nothing changes") && plan.contains("no peer uses filter `nobodys`"),
        "{plan}"
    );

    // Live: where HTTP is served, and how log lines look.
    left.write_config(&file("http = \"127.0.0.1:9179\"\nlog_format = \"json\"\n", ""));
    let plan = left.cli("reload").expect_success();
    assert!(plan.contains("http none -> 127.0.0.1:9179: live"), "{plan}");
    log_has(&left, &["\"message\":\"serving http\""]);
    left.write_config(&file("", ""));
    left.cli("reload").expect_success();
    log_has(&left, &["http ends here"]);
    let peers = left.json("peers").expect("peers answers");
    let right_status = peers
        .as_array()
        .into_iter()
        .flatten()
        .find(|peer| peer["name"] == "right");
    assert_eq!(
        right_status.map(|peer| peer["established_count"].clone()),
        Some(1.into()),
        "{peers}"
    );
}

/// One peer that is there, with an import filter, and one that is not.
/// Maintenance outlasts an upgrade.
#[test]
fn a_shutdown_is_remembered_over_a_restart() {
    if skipped(&[]) {
        return;
    }
    let lab = Lab::new();
    let (_pair, mut left, _right) = neighbours(&lab);
    await_until("the session is up", || left.established(RIGHT));
    let said = left.cli("shutdown right --text works").expect_success();
    assert!(said.contains("also when the daemon restarts"), "{said}");
    let is_down = |left: &Stonechat| {
        let peer = left.json("peer right")?;
        if peer["shutdown"] == true && peer["state"] == "Idle" {
            Ok(())
        } else {
            Err(peer.to_string())
        }
    };
    await_until("it is down", || is_down(&left));
    left.end(Signal::SIGTERM);
    left.start_again();
    holds_for(Duration::from_secs(1), "it stays down", || is_down(&left));
    left.cli("reload").expect_success();
    is_down(&left).expect("a reload changes nothing");
    left.cli("enable right").expect_success();
    await_until("the session is back", || left.established(RIGHT));
    left.end(Signal::SIGTERM);
    left.start_again();
    await_until("the session is back after another restart", || {
        left.established(RIGHT)
    });
}

fn file(speaker: &str, more: &str) -> String {
    let base = stonechat(RIGHT, "import = \"in\"\n").replacen("[kernel]", &format!("{speaker}\n[kernel]"), 1);
    format!(
        "{base}\n[[peer]]\nname = \"absent\"\naddress = \"192.0.2.77\"\nasn = 64512\n\n\
         [[filter]]\nname = \"in\"\ndefault = \"reject\"\nrules = [\n  \
         {{ prefix = \"10.244.0.0/16 le 26\", action = \"accept\" }}, # within\n  \
         {{ prefix = \"10.245.0.0/16 le 26\", action = \"accept\", set = {{ weight = 5, table = 100 }} }},\n]\n\n{more}"
    )
}

/// The file as messages name it.
fn shown(stonechat: &Stonechat) -> String {
    stonechat.config_path().display().to_string()
}

#[track_caller]
fn log_has(stonechat: &Stonechat, words: &[&str]) {
    await_until("the log says so", || {
        let log = stonechat.log();
        match words.iter().find(|word| !log.contains(**word)) {
            Some(missing) => Err(format!("no {missing:?} in\n{log}")),
            None => Ok(()),
        }
    });
}

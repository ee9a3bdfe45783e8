//! Starting where something is wrong: the port is taken, the file is wrong or absent, a permission is missing.

use std::net::TcpListener;
use std::process::Command;

use crate::lab::frr::Frr;
use crate::lab::outcome::Outcome;
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::{Lab, Need, await_until, skipped};
use crate::pair::{self, LEFT, Pair, RIGHT};

#[test]
fn a_taken_port_is_named_and_tried_again() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    let bound = pair
        .left
        .spawn_inside(|| [TcpListener::bind("0.0.0.0:179"), TcpListener::bind("[::]:179")]);
    let taken = bound.join().expect("no panic");
    let stonechat = Stonechat::start(&lab, &pair.left, &pair::stonechat(RIGHT, "passive = true"));
    await_until("the log names the port", || {
        let log = stonechat.log();
        if log.contains(":179") && log.contains("in use") {
            Ok(())
        } else {
            Err(log)
        }
    });
    drop(taken);
    let frr = Frr::start(&lab, &pair.right, "frr", &frr_conf());
    await_until("the session comes up once the port is free", || {
        frr.established(LEFT)
    });
}

#[test]
fn a_wrong_file_is_refused_with_exit_code_1() {
    let lab = Lab::new();
    let file = lab.dir("wrong").join("node.toml");
    std::fs::write(&file, "[speaker]\nasn = 64512\n\n[[pear]]\nname = \"right\"\n").expect("write it");
    let outcome = run(&["run", "--config", &file.display().to_string()]);
    assert!(!outcome.success, "{outcome:?}");
    for part in ["node.toml:4", "pear", "peer"] {
        assert!(
            outcome.stderr.contains(part),
            "`{part}` is not named in: {}",
            outcome.stderr
        );
    }
    let absent = run(&[
        "run",
        "--config",
        &lab.dir("wrong").join("absent.toml").display().to_string(),
    ]);
    assert!(
        !absent.success && absent.stderr.contains("absent.toml"),
        "{absent:?}"
    );
}

fn run(arguments: &[&str]) -> Outcome {
    Outcome::of(Command::new(env!("CARGO_BIN_EXE_stonechat")).args(arguments))
}

fn frr_conf() -> String {
    format!(
        "router bgp 64512\n bgp router-id {RIGHT}\n neighbor {LEFT} remote-as 64512\n\
         neighbor {LEFT} timers connect 1\n"
    )
}

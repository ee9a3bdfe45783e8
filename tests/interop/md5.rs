//! TCP MD5 signatures (RFC 2385), whichever side connects, and a key that does not match.

use std::time::Duration;

use crate::lab::frr::Frr;
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::holds_for;
use crate::lab::{Lab, Need, await_until, skipped};
use crate::pair::{self, LEFT, Pair, RIGHT};

/// How long a session with the wrong key is watched for coming up.
const WATCH: Duration = Duration::from_secs(4);

#[test]
fn signed_when_stonechat_connects() {
    up("", " neighbor 192.0.2.1 passive\n");
}

#[test]
fn signed_when_stonechat_is_connected_to() {
    up("passive = true\n", "");
}

#[test]
fn a_wrong_key_never_comes_up() {
    let Some((frr, stonechat, _lab)) = start("secret", "another", ("", "")) else {
        return;
    };
    let up = |answer: Result<(), String>| match answer {
        Ok(()) => Err("it is up".to_owned()),
        Err(_) => Ok(()),
    };
    holds_for(WATCH, "the session stays down", || {
        up(frr.established(LEFT))?;
        up(stonechat.established(RIGHT))
    });
    await_until("the operator is told of the signatures", || {
        let shown = stonechat.cli("peer right").stdout;
        if shown.contains("wrong TCP MD5 signature") {
            Ok(())
        } else {
            Err(shown)
        }
    });
}

fn up(stonechat_lines: &str, frr_lines: &str) {
    let Some((frr, stonechat, _lab)) = start("secret", "secret", (stonechat_lines, frr_lines)) else {
        return;
    };
    await_until("the session is up on the left", || stonechat.established(RIGHT));
    await_until("the session is up on the right", || frr.established(LEFT));
}

/// Both daemons with their keys and more lines for their peer.
fn start(left_key: &str, right_key: &str, lines: (&str, &str)) -> Option<(Frr, Stonechat, (Pair, Lab))> {
    if skipped(&[Need::Frr]) {
        return None;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    let key_file = lab.dir("keys").join("right.key");
    std::fs::write(&key_file, format!("{left_key}\n")).expect("write the key");
    let (stonechat_lines, frr_lines) = lines;
    let peer = format!(
        "password_file = \"{}\"\nconnect_retry_time = \"1s\"\n{stonechat_lines}",
        key_file.display()
    );
    let frr_conf = format!(
        "router bgp 64512\n bgp router-id {RIGHT}\n neighbor {LEFT} remote-as 64512\n\
         neighbor {LEFT} timers connect 1\n neighbor {LEFT} password {right_key}\n{frr_lines}"
    );
    let frr = Frr::start(&lab, &pair.right, "frr", &frr_conf);
    let stonechat = Stonechat::start(&lab, &pair.left, &pair::stonechat(RIGHT, &peer));
    Some((frr, stonechat, (pair, lab)))
}

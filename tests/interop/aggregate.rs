//! `[[aggregate]]` as an operator uses it: written into the file, taken over with SIGHUP, asked about on the command line;
//! another Stonechat hears what is told, and the kernel holds what lies beneath.

use nix::sys::signal::Signal;

use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::equal;
use crate::lab::{Lab, await_until, skipped};
use crate::pair::{LEFT, Pair, RIGHT, stonechat};

const BLOCK: &str = "10.244.0.0/16";
const ONE: &str = "10.244.1.0/26";
const TWO: &str = "10.244.2.0/26";

#[test]
fn an_aggregate_lives_with_its_contributors_and_is_reloaded_live() {
    if skipped(&[]) {
        return;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    let file = |more: &str| format!("{more}\n{}", stonechat(RIGHT, ""));
    let mut left = Stonechat::start(&lab, &pair.left, &file(""));
    let far = stonechat(LEFT, "").replace(
        &format!("router_id = \"{LEFT}\""),
        &format!("router_id = \"{RIGHT}\""),
    );
    let right = Stonechat::start(&lab, &pair.right, &far);
    let holds = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|prefix| (*prefix).to_owned()).collect();
        equal(&learned(&right)?, &wanted)
    };
    left.announce(ONE, "");
    left.announce(TWO, "");
    await_until("both parts", || holds(&[ONE, TWO]));

    left.write_config(&file(&format!(
        "aggregate = [{{ prefix = \"{BLOCK}\", summary_only = true }}]\n"
    )));
    let plan = left.cli("reload").expect_success();
    assert!(
        plan.contains(&format!("aggregate {BLOCK}: added: live")),
        "{plan}"
    );
    await_until("the block and nothing beneath it", || holds(&[BLOCK]));
    await_until("a blackhole of ours beneath it", || {
        let routes = pair.left.ip(&format!("route show {BLOCK} proto 179"));
        if routes.starts_with("blackhole") {
            Ok(())
        } else {
            Err(routes)
        }
    });
    let why = left.cli(&format!("why {ONE}")).expect_success();
    assert!(
        why.contains(&format!("part of aggregate {BLOCK}, which is sent in its place")),
        "{why}"
    );
    let why = left.cli(&format!("why {BLOCK}")).expect_success();
    assert!(why.contains("aggregate of 2 routes"), "{why}");
    let routes = left.cli("routes").expect_success();
    assert!(routes.contains(&format!("aggregate:{BLOCK}")), "{routes}");

    left.withdraw(ONE);
    left.withdraw(TWO);
    await_until("the block goes with the last part", || holds(&[]));
    let why = left.cli(&format!("why {BLOCK}")).expect_success();
    assert!(why.contains("nothing contributes to it"), "{why}");
    left.announce(ONE, "");
    await_until("and comes with the first", || holds(&[BLOCK]));

    left.write_config(&file(""));
    left.signal(Signal::SIGHUP);
    await_until("the part alone", || holds(&[ONE]));
    await_until("nothing of ours in the kernel", || {
        equal(&pair.left.ip("route show proto 179"), &String::new())
    });
    let peers = left.json("peers").expect("peers answers");
    assert_eq!(peers[0]["established_count"].as_u64().unwrap_or(1), 1, "{peers}");
}

/// The prefixes that are used, in order.
fn learned(stonechat: &Stonechat) -> Result<Vec<String>, String> {
    let answer = stonechat.json("routes")?;
    let routes = answer.as_array().or_else(|| answer["routes"].as_array());
    let mut prefixes: Vec<String> = routes
        .ok_or_else(|| answer.to_string())?
        .iter()
        .filter_map(|route| route["prefix"].as_str().map(str::to_owned))
        .collect();
    prefixes.sort();
    Ok(prefixes)
}

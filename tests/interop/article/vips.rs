//! VIPs of our own: announced while their checks pass, withdrawn while they do not, and `stonechat vips` says why.

use std::fs;

use serde_json::Value;

use super::Running;
use crate::configs;
use crate::lab::article::NODE1;
use crate::lab::web::Web;
use crate::lab::{Need, await_until, skipped};

const HTTP: &str = "172.16.99.10/32";
const TCP: &str = "172.16.99.11/32";
const COMMAND: &str = "172.16.99.12/32";

#[test]
fn checks_of_every_kind_announce_and_withdraw() {
    if skipped(&[Need::Frr]) {
        return;
    }
    let lab = Running::start(configs::NODE, &configs::adc(None));
    let flag = lab.node1.write_file("healthy", "");
    let vip = |name: &str, address: &str, check: &str| {
        format!(
            "\n[[vip]]\nname = \"{name}\"\naddress = \"{address}\"\n\
             check = {{ {check}, interval = \"200ms\", timeout = \"150ms\", rise = 2, fall = 2 }}\n"
        )
    };
    let config = format!(
        "{}{}{}",
        configs::NODE.replace(
            "interval = \"1s\", rise = 2, fall = 3",
            "interval = \"200ms\", rise = 2, fall = 2"
        ),
        vip("queue", TCP, "tcp = \"127.0.0.1:9000\""),
        vip(
            "batch",
            COMMAND,
            &format!("command = [\"/usr/bin/test\", \"-e\", \"{}\"]", flag.display())
        ),
    );
    lab.node1.write_config(&config);
    lab.node1.cli("reload").expect_success();
    lab.await_sessions();
    lab.await_blocks_and(&[COMMAND]);

    let shop = Web::start(&lab.article.node1, "127.0.0.1:8080");
    let queue = Web::start(&lab.article.node1, "127.0.0.1:9000");
    lab.await_blocks_and(&[HTTP, TCP, COMMAND]);
    lab.await_verdicts(&[("shop", true), ("queue", true), ("batch", true)]);

    shop.set_healthy(false);
    lab.await_blocks_and(&[TCP, COMMAND]);
    assert!(shop.asked() > 0, "the check asked nobody");
    await_until("stonechat vips says why", || {
        let shown = lab.node1.cli("vips").stdout;
        if shown.contains("503") { Ok(()) } else { Err(shown) }
    });
    drop(queue);
    lab.await_blocks_and(&[COMMAND]);
    fs::remove_file(&flag).expect("remove the flag");
    lab.await_blocks_and(&[]);
    lab.await_verdicts(&[("shop", false), ("queue", false), ("batch", false)]);

    shop.set_healthy(true);
    fs::write(&flag, "").expect("restore the flag");
    lab.await_blocks_and(&[HTTP, COMMAND]);
}

impl Running {
    /// The ADC's BGP routes are the blocks and these VIPs of node1.
    fn await_blocks_and(&self, vips: &[&str]) {
        let mut wanted = configs::blocks_at_adc();
        wanted.extend(vips.iter().map(|vip| ((*vip).to_owned(), vec![NODE1.to_owned()])));
        await_until(&format!("the ADC has the blocks and {vips:?}"), || {
            crate::lab::wait::equal(&self.adc.bgp_routes("ip")?, &wanted)
        });
    }

    fn await_verdicts(&self, wanted: &[(&str, bool)]) {
        await_until("stonechat vips shows the verdicts", || {
            let vips = self.node1.json("vips")?;
            for (name, announced) in wanted {
                let vip = find(&vips, name).ok_or_else(|| format!("no {name} in {vips}"))?;
                let verdict = if *announced { "up" } else { "down" };
                if vip["verdict"] != verdict {
                    return Err(vip.to_string());
                }
            }
            Ok(())
        });
    }
}

/// The VIP of this name in the list that `vips --json` prints.
fn find<'a>(vips: &'a Value, name: &str) -> Option<&'a Value> {
    vips.as_array()?.iter().find(|vip| vip["name"] == name)
}

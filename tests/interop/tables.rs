//! Kernel tables other than main, addresses as routes, a session bound to its interface, and an unnumbered one: BIRD is the other
//! end.

use std::net::Ipv4Addr;

use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::{Lab, Namespace, Need, await_until, skipped};
use crate::pair::{LEFT, Pair, RIGHT};

const FROM_RIGHT: &str = "198.51.100.0/25";
const FROM_TABLE: &str = "203.0.113.0/25";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 129);

#[test]
fn tables_other_than_main_are_read_and_written_and_changed_live() {
    if skipped(&[Need::Bird2]) {
        return;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    let mut bird = Bird::start(&lab, &pair.right, Version::Two, &bird_conf());
    let stonechat = Stonechat::start(&lab, &pair.left, &config("table = 100", ""));
    bird.announce(FROM_RIGHT, RIGHT);
    await_until("the route is in table 100", || has(&pair.left, "100", FROM_RIGHT));
    assert!(has(&pair.left, "main", FROM_RIGHT).is_err());

    // Out of another table, and out of the table of local addresses.
    pair.left
        .ip(&format!("route add blackhole {FROM_TABLE} table 101"));
    pair.left.ip(&format!("address add {ADDRESS}/32 dev lo"));
    await_until("BIRD has the route of table 101 and the address", || {
        bird.has(FROM_TABLE, LEFT)?;
        bird.has(&format!("{ADDRESS}/32"), LEFT)
    });
    pair.left
        .ip(&format!("route del blackhole {FROM_TABLE} table 101"));
    pair.left.ip(&format!("address del {ADDRESS}/32 dev lo"));
    await_until("BIRD has neither any more", || {
        bird.lacks(FROM_TABLE)?;
        bird.lacks(&format!("{ADDRESS}/32"))
    });

    // `[kernel]` moves, and then the peer names a table of its own. Source and MTU are written live.
    stonechat.write_config(&config("table = 102\nprotocol = 99", ""));
    stonechat.cli("reload").expect_success();
    await_until("the route is in table 102 and not in 100", || {
        has(&pair.left, "102", FROM_RIGHT).and_then(|()| lacks(&pair.left, "100", FROM_RIGHT))
    });
    let more = format!("table = 102\nprotocol = 99\nsrc = \"{LEFT}\"\nmtu = 1400\nadvmss = 1300");
    stonechat.write_config(&config(&more, "table = 103"));
    stonechat.cli("reload").expect_success();
    await_until("the route is in table 103 and not in 102", || {
        has(&pair.left, "103", FROM_RIGHT).and_then(|()| lacks(&pair.left, "102", FROM_RIGHT))
    });
    let route = pair.left.ip("-N route show table 103");
    for part in [
        format!("src {LEFT}"),
        "mtu 1400".into(),
        "advmss 1300".into(),
        "proto 99".into(),
    ] {
        assert!(route.contains(&part), "{part}: {route}");
    }
    stonechat.cli("stop").expect_success();
    lacks(&pair.left, "103", FROM_RIGHT).expect("nothing is left");
}

#[test]
fn an_unnumbered_session_installs_routes_through_its_link() {
    if skipped(&[Need::Bird2]) {
        return;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    let (left, right) = (link_local(&pair.left), link_local(&pair.right));
    let bird_conf = format!(
        "router id {RIGHT};\nprotocol device {{}}\n\
         protocol static {{ ipv6; route 2001:db8:b::/48 unreachable; }}\n\
         protocol bgp left {{ local {right} as 64513; neighbor {left}%eth0 as 64512; \
         connect delay time 1; connect retry time 1; \
         ipv6 {{ import all; next hop address {right}; export where source = RTS_STATIC; }}; }}\n"
    );
    let _bird = Bird::start(&lab, &pair.right, Version::Two, &bird_conf);
    let config = format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n[kernel]\n\n\
         [[filter]]\nname = \"all\"\ndefault = \"accept\"\n\n\
         [[peer]]\nname = \"right\"\naddress = \"{right}\"\ninterface = \"eth0\"\nasn = 64513\nimport = \"all\"\n"
    );
    let stonechat = Stonechat::start(&lab, &pair.left, &config);
    await_until("the route leads through the link", || {
        let routes = pair.left.routes("-6");
        let route = routes.iter().find(|route| route["dst"] == "2001:db8:b::/48");
        let route = route.ok_or_else(|| stonechat.cli("why 2001:db8:b::/48").stdout)?;
        if route["dev"] == "eth0" && route["gateway"] == right.as_str() {
            Ok(())
        } else {
            Err(route.to_string())
        }
    });
}

fn has(namespace: &Namespace, table: &str, prefix: &str) -> Result<(), String> {
    let found = namespace
        .try_ip(&format!("route show table {table} {prefix}"))
        .stdout;
    if found.contains(prefix) {
        Ok(())
    } else {
        Err(format!("table {table}: {found}"))
    }
}

fn lacks(namespace: &Namespace, table: &str, prefix: &str) -> Result<(), String> {
    match has(namespace, table, prefix) {
        Ok(()) => Err(format!("{prefix} is in table {table}")),
        Err(_) => Ok(()),
    }
}

fn link_local(namespace: &Namespace) -> String {
    let addresses = namespace.ip("-o -6 address show dev eth0 scope link");
    let address = addresses
        .split_whitespace()
        .skip_while(|word| *word != "inet6")
        .nth(1);
    let address = address.and_then(|address| address.split('/').next());
    address.expect("eth0 has a link-local address").to_owned()
}

fn config(kernel: &str, peer: &str) -> String {
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n[kernel]\n{kernel}\n\n\
         [[originate]]\nname = \"other\"\nkernel = {{ table = 101, type = \"blackhole\" }}\n\n\
         [[originate]]\nname = \"direct\"\nkernel = {{ table = \"local\", type = \"local\", interface = \"lo\", within = \"203.0.113.0/24\" }}\n\n\
         [[peer]]\nname = \"right\"\naddress = \"{RIGHT}\"\nasn = 64512\ninterface = \"eth0\"\n{peer}\n"
    )
}

fn bird_conf() -> String {
    format!(
        "log stderr all;\nrouter id {RIGHT};\nprotocol device {{ scan time 1; }}\nprotocol direct {{ ipv4; }}\n\
         include \"announced.conf\";\n\
         protocol bgp {} {{ local {RIGHT} as 64512; neighbor {LEFT} as 64512;\n\
         ipv4 {{ import all; next hop self; export where source = RTS_STATIC; }};\n\
         connect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(LEFT)
    )
}

//! The story: each chapter does something and waits until it has come true on the other side.

use std::{
    net::Ipv4Addr,
    process::{Child, ExitCode, Stdio},
    time::Duration,
};

use ipnet::Ipv4Net;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Error, complain,
    lab::{ADC, API, BLOCK1, BLOCK2, DB, Lab, Machine, NODE1, NODE2, SHOP, VIRTUAL_SERVERS, WEB},
    namespace::{Home, Namespace},
    netlink::Target,
    page::Page,
    role::Role,
    speaker::Speaker,
    table::{Line, STONECHAT},
    watch::Watch,
};

/// Both nodes run the same file; each recognises itself.
const NODE_CONFIG: &str = include_str!("../../config/node.toml");
const ADC_CONFIG: &str = include_str!("../../config/adc.toml");

/// What a reload adds to node1's file: a VIP without a check.
const TILL_CONFIG: &str = "\n[[vip]]\nname    = \"till\"\naddress = \"172.16.99.11/32\"\n";
const TILL: Ipv4Addr = Ipv4Addr::new(172, 16, 99, 11);

/// What a slip of the finger would add.
const WRONG_CONFIG: &str = "\n[[vip]]\nname    = \"till\"\nadress  = \"172.16.99.11/32\"\n";

/// A block that node2 is given while everything runs.
const BLOCK3: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 7, 0), 26);

/// Where the shop's health check looks.
const SHOP_SERVER: &str = "127.0.0.1:8080";

/// The whole story, taking everything down included, takes less than 30 s.
const MOST: Duration = Duration::from_secs(27);

/// For one thing to come true.
const PATIENCE: Duration = Duration::from_secs(12);

/// For one echo reply.
const PING_PATIENCE: Duration = Duration::from_millis(500);

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Builds the lab, tells the story and removes everything.
pub(super) fn tell(keep: bool) -> ExitCode {
    let watch = match Watch::start(MOST) {
        Ok(watch) => watch,
        Err(error) => return complain(&format!("cannot listen for signals: {error}")),
    };
    match story(&watch, keep) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::Interrupted) => {
            complain(&format!("{error}; everything is removed"));
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => complain(&error.to_string()),
    }
}

fn story(watch: &Watch, keep: bool) -> Result<(), Error> {
    let mut page = Page::new();
    page.chapter("A rack in a box", watch.elapsed())?;
    let lab = Lab::build()?;
    introduce(&page, &lab)?;
    let mut stage = Stage::open(lab)?;

    if let Err(error) = stage.play(watch, &mut page, keep) {
        stage.show_logs(&page, &error)?;
        return Err(error);
    }
    drop(stage);
    page.say(format_args!(
        "Everything is removed; {:.1} s in all.",
        watch.elapsed().as_secs_f32()
    ))
}

fn introduce(page: &Page, lab: &Lab) -> Result<(), Error> {
    let how = if lab.home.unprivileged {
        "in a user namespace of yours"
    } else {
        "as root"
    };
    page.say(format_args!(
        "Network namespaces without names, made {how}; the machine's own network is not touched."
    ))?;
    page.say("node1 172.16.40.199 with the pod block 10.244.0.0/24 and the pods web .76 and api .77,")?;
    page.say("node2 172.16.40.198 with the pod block 10.244.1.0/24 and the pod db .12,")?;
    page.say(
        "an ADC 172.16.40.202 with virtual servers 172.16.99.99 and 172.16.40.81 behind it, and a client.",
    )
}

/// The lab with its speakers and the servers behind the shop's VIP.
struct Stage {
    node1: Speaker,
    node2: Speaker,
    adc: Speaker,
    shops: [Shop; 2],
    lab: Lab,
}

impl Stage {
    fn open(lab: Lab) -> Result<Self, Error> {
        let start = |machine: &Machine, config| Speaker::start(&lab.home, machine, &lab.directory, config);
        Ok(Self {
            adc: start(&lab.adc, ADC_CONFIG)?,
            node1: start(&lab.node1, NODE_CONFIG)?,
            node2: start(&lab.node2, NODE_CONFIG)?,
            shops: [
                Shop::open(&lab.home, &lab.node1)?,
                Shop::open(&lab.home, &lab.node2)?,
            ],
            lab,
        })
    }

    fn play(&mut self, watch: &Watch, page: &mut Page, keep: bool) -> Result<(), Error> {
        page.chapter("Three speakers in AS 64512", watch.elapsed())?;
        self.sessions_come_up(watch, page)?;
        page.chapter("What the ADC has learned", watch.elapsed())?;
        self.adc_learns(watch, page)?;
        page.chapter("What the nodes have learned", watch.elapsed())?;
        self.nodes_learn(watch, page)?;
        page.chapter("Packets cross", watch.elapsed())?;
        self.pings(watch, page)?;
        page.chapter("A new pod block", watch.elapsed())?;
        self.block_comes_and_goes(watch, page)?;
        page.chapter("A VIP whose check fails, and comes back", watch.elapsed())?;
        self.vip_fails_and_returns(watch, page)?;
        page.chapter("A reload that resets nothing", watch.elapsed())?;
        self.reload(watch, page)?;
        if keep {
            page.chapter("Yours until Ctrl-C", watch.elapsed())?;
            self.stay(watch, page)?;
        }
        page.chapter("Leaving for good", watch.elapsed())?;
        self.leave(page)
    }

    /// Before everything is removed after a failure: what the speakers said last.
    fn show_logs(&self, page: &Page, error: &Error) -> Result<(), Error> {
        if matches!(error, Error::NotTrue { .. }) {
            for speaker in [&self.adc, &self.node1, &self.node2] {
                page.show(
                    speaker.name,
                    "journalctl -u stonechat -n 15",
                    &speaker.last_words(),
                )?;
            }
        }
        Ok(())
    }

    fn sessions_come_up(&mut self, watch: &Watch, page: &Page) -> Result<(), Error> {
        page.say("node1 and node2 run the same config/node.toml, the ADC runs config/adc.toml.")?;
        for speaker in [&mut self.adc, &mut self.node1, &mut self.node2] {
            let name = speaker.name;
            watch.until(
                format_args!("all sessions of {name} are Established"),
                PATIENCE,
                || {
                    let peers = speaker.ask_json(&["peers"])?;
                    Ok(peers.and_then(|peers| match sessions(&peers) {
                        sessions if sessions.len() == 2 && sessions.iter().all(Session::established) => {
                            Ok(())
                        }
                        _ => Err(peers.to_string()),
                    }))
                },
            )?;
        }
        show(&mut self.adc, page, &["peers"])?;
        show(&mut self.node1, page, &["peers"])
    }

    fn adc_learns(&mut self, watch: &Watch, page: &Page) -> Result<(), Error> {
        let adc = &mut self.lab.adc.namespace;
        for (prefix, routers) in [
            (BLOCK1, vec![NODE1]),
            (BLOCK2, vec![NODE2]),
            (SHOP.into(), vec![NODE2, NODE1]),
        ] {
            let what = format!("the ADC's kernel reaches {prefix} through {routers:?}");
            watch.until(what, PATIENCE, || routed(adc, prefix, &routers))?;
        }
        show(&mut self.adc, page, &["routes"])?;
        let table = adc.table()?;
        page.show("adc", "ip route", &lines(&table))?;
        let learned: Vec<Ipv4Net> = ours(&table).map(|line| line.prefix).collect();
        let expected = [BLOCK1, BLOCK2, SHOP.into()];
        if let Some(stray) = learned.iter().find(|prefix| !expected.contains(prefix)) {
            let what = format!("no pod's own route reaches the ADC, and no service range (but {stray} did)");
            return Err(Error::NotTrue {
                what,
                seconds: 0,
                last: lines(&table),
            });
        }
        page.say("Both pod blocks and the shop's VIP; no pod's own /32 and no service range.")
    }

    fn nodes_learn(&mut self, watch: &Watch, page: &Page) -> Result<(), Error> {
        let nodes = [
            (&mut self.lab.node1, BLOCK2, NODE2),
            (&mut self.lab.node2, BLOCK1, NODE1),
        ];
        for (node, block, other) in nodes {
            let node = &mut node.namespace;
            let vips = VIRTUAL_SERVERS.map(|address| (Ipv4Net::from(address), ADC));
            for (prefix, router) in vips.into_iter().chain([(block, other)]) {
                let what = format!("{} reaches {prefix} through {router}", node.name);
                watch.until(what, PATIENCE, || routed(node, prefix, &[router]))?;
            }
            page.show(node.name, "ip route", &lines(&node.table()?))?;
        }
        page.say("The ADC's VIPs and the other node's block, marked proto 179 as Stonechat's own.")
    }

    fn pings(&mut self, watch: &Watch, page: &Page) -> Result<(), Error> {
        let Lab {
            home,
            pods: [web, ..],
            adc,
            client,
            ..
        } = &self.lab;
        let [virtual_server, other] = VIRTUAL_SERVERS;
        for (from, to, what) in [
            (web, virtual_server, "pod to VIP"),
            (web, other, "pod to VIP"),
            (web, DB, "pod on node1 to pod on node2"),
            (adc, WEB, "ADC to pod"),
            (adc, DB, "ADC to pod"),
            (client, API, "client to pod"),
            (client, SHOP, "client to the shop's VIP"),
        ] {
            ping(watch, page, home, &from.namespace, (to, what))?;
        }
        Ok(())
    }

    fn block_comes_and_goes(&mut self, watch: &Watch, page: &Page) -> Result<(), Error> {
        page.say(format_args!("node2# ip route add blackhole {BLOCK3}"))?;
        let Lab { node2, adc, .. } = &mut self.lab;
        let (node2, adc) = (&mut node2.namespace, &mut adc.namespace);
        let added = Instant::now();
        node2.netlink.add_route(BLOCK3, Target::Blackhole)?;
        watch.until("the new block reaches the ADC's kernel", PATIENCE, || {
            routed(adc, BLOCK3, &[NODE2])
        })?;
        let time = added.elapsed();
        page.say(format_args!(
            "In the ADC's kernel after at most {} ms.",
            time.as_millis().max(1)
        ))?;
        page.say(format_args!("node2# ip route del blackhole {BLOCK3}"))?;
        node2.netlink.delete_route(BLOCK3, Target::Blackhole)?;
        watch.until("the deleted block leaves the ADC's kernel", PATIENCE, || {
            routed(adc, BLOCK3, &[])
        })?;
        page.say("Gone from the ADC too.")
    }

    fn vip_fails_and_returns(&mut self, watch: &Watch, page: &Page) -> Result<(), Error> {
        let Lab {
            home,
            node1,
            adc,
            client,
            ..
        } = &mut self.lab;
        let [shop, _] = &mut self.shops;
        page.say(format_args!(
            "The web server on node1 is killed: its health check at {SHOP_SERVER} fails."
        ))?;
        shop.close();
        let withdrawn = "the ADC sends the shop's clients to node2 only";
        watch.until(withdrawn, PATIENCE, || {
            routed(&mut adc.namespace, SHOP.into(), &[NODE2])
        })?;
        show(&mut self.node1, page, &["vips"])?;
        page.show(
            "adc",
            &format!("ip route show {SHOP}"),
            &line_to(&mut adc.namespace, SHOP)?,
        )?;
        ping(
            watch,
            page,
            home,
            &client.namespace,
            (SHOP, "client to the shop's VIP, on node2"),
        )?;
        page.say("The web server is started again.")?;
        *shop = Shop::open(home, node1)?;
        let announced = "the ADC sends the shop's clients to both nodes again";
        watch.until(announced, PATIENCE, || {
            routed(&mut adc.namespace, SHOP.into(), &[NODE2, NODE1])
        })?;
        page.show(
            "adc",
            &format!("ip route show {SHOP}"),
            &line_to(&mut adc.namespace, SHOP)?,
        )
    }

    fn reload(&mut self, watch: &Watch, page: &Page) -> Result<(), Error> {
        let before = self.all_sessions()?;
        page.say("node1's file gets a VIP more, with a slip of the finger:")?;
        let wrong = self
            .lab
            .directory
            .write("node1.toml", &format!("{NODE_CONFIG}{WRONG_CONFIG}"))?;
        let complaint = self.node1.ask(&["check", &wrong.display().to_string()])?;
        let Err(complaint) = complaint else {
            let what = "a file with an unknown key is refused".to_owned();
            return Err(Error::NotTrue {
                what,
                seconds: 0,
                last: String::new(),
            });
        };
        page.show("node1", "stonechat check node1.toml", &complaint)?;
        self.node1.signal(Signal::SIGHUP)?;
        let node1 = &mut self.node1;
        watch.until("node1 refuses the wrong file", PATIENCE, || {
            let status = node1.ask_json(&["status"])?;
            Ok(
                status.and_then(|status| match status.get("last_reload").and_then(Value::as_str) {
                    Some(last) if last.starts_with("refused") => Ok(()),
                    _ => Err(status.to_string()),
                }),
            )
        })?;
        page.say("node1# kill -HUP: the wrong file is refused and changes nothing. Then the right one:")?;
        self.lab
            .directory
            .write("node1.toml", &format!("{NODE_CONFIG}{TILL_CONFIG}"))?;
        self.node1.signal(Signal::SIGHUP)?;
        let adc = &mut self.lab.adc.namespace;
        watch.until("the VIP of the reload reaches the ADC", PATIENCE, || {
            routed(adc, TILL.into(), &[NODE1])
        })?;
        page.show("adc", &format!("ip route show {TILL}"), &line_to(adc, TILL)?)?;
        let after = self.all_sessions()?;
        if before != after {
            let what = "no session notices a reload".to_owned();
            return Err(Error::NotTrue {
                what,
                seconds: 0,
                last: format!("{before:#?}\nand then\n{after:#?}"),
            });
        }
        show(&mut self.node1, page, &["peers"])?;
        page.say("Every session is as old as before.")
    }

    fn all_sessions(&mut self) -> Result<Vec<Session>, Error> {
        let mut all = Vec::new();
        for speaker in [&mut self.adc, &mut self.node1, &mut self.node2] {
            let peers = speaker.ask_json(&["peers"])?;
            let what = || format!("{} lists its peers", speaker.name);
            let peers = peers.map_err(|last| Error::NotTrue {
                what: what(),
                seconds: 0,
                last,
            })?;
            all.extend(sessions(&peers));
        }
        Ok(all)
    }

    fn stay(&mut self, watch: &Watch, page: &Page) -> Result<(), Error> {
        let binary = std::env::current_exe().unwrap_or_else(|_| "stonechat".into());
        let enter = if self.lab.home.unprivileged {
            "-U --preserve-credentials -n"
        } else {
            "-n"
        };
        page.say("Look into a machine:")?;
        let Lab {
            node1,
            node2,
            adc,
            virtual_servers,
            client,
            pods: [web, api, db],
            ..
        } = &self.lab;
        for machine in [node1, node2, adc, virtual_servers, client, web, api, db] {
            page.say(format_args!(
                "  nsenter -t {} {enter} ip route    # {}",
                machine.id(),
                machine.namespace.name
            ))?;
        }
        page.say("Ask a speaker (peers, routes, vips, why PREFIX, ...):")?;
        for speaker in [&self.node1, &self.node2, &self.adc] {
            page.say(format_args!(
                "  {} --socket {} peers",
                binary.display(),
                speaker.socket.display()
            ))?;
        }
        page.say("Change a file and reload it:")?;
        page.say(format_args!(
            "  {} and `{} --socket {} reload`",
            self.node1.config.display(),
            binary.display(),
            self.node1.socket.display()
        ))?;
        let Self {
            node1, node2, adc, ..
        } = self;
        watch.rest(|| [&mut *node1, node2, adc].into_iter().try_for_each(Speaker::check))
    }

    /// Ends the speakers as an operator does who does not want them back.
    fn leave(&mut self, page: &Page) -> Result<(), Error> {
        let watch = Watch::start(PATIENCE).map_err(|source| Error::Io {
            what: "listen for signals".to_owned(),
            source,
        })?;
        self.node1.signal(Signal::SIGINT)?;
        let adc = &mut self.lab.adc.namespace;
        watch.until("node1's routes leave the ADC", PATIENCE, || {
            routed(adc, BLOCK1, &[])
        })?;
        page.say("node1 is told to leave: the ADC has lost its block at once.")?;
        self.node2.signal(Signal::SIGINT)?;
        self.adc.signal(Signal::SIGINT)?;
        for speaker in [&mut self.node1, &mut self.node2, &mut self.adc] {
            let name = speaker.name;
            watch.until(format_args!("the speaker of {name} ends"), PATIENCE, || {
                Ok(match speaker.ended()? {
                    Some(status) if status.success() => Ok(()),
                    Some(status) => Err(format!("{status}\n{}", speaker.last_words())),
                    None => Err("it runs".to_owned()),
                })
            })?;
        }
        for machine in [&mut self.lab.node1, &mut self.lab.node2, &mut self.lab.adc] {
            let table = machine.namespace.table()?;
            if ours(&table).next().is_some() {
                let what = format!("{} is left without a route of ours", machine.namespace.name);
                return Err(Error::NotTrue {
                    what,
                    seconds: 0,
                    last: lines(&table),
                });
            }
        }
        page.say("All speakers have ended and left no route behind in any kernel.")
    }
}

/// The web server on a node.
struct Shop(Child);

impl Shop {
    fn open(home: &Home, node: &Machine) -> Result<Self, Error> {
        let address = SHOP_SERVER.parse().map_err(|error| Error::Io {
            what: "read the shop's address".to_owned(),
            source: std::io::Error::other(error),
        })?;
        let started = home.within(&node.namespace, || {
            Role::Serve(address).command().stdin(Stdio::null()).spawn()
        })?;
        started.map(Self).map_err(|source| Error::Io {
            what: "start the shop's web server".to_owned(),
            source,
        })
    }

    fn close(&mut self) {
        // It may have ended already, which is what is wanted.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.close();
    }
}

/// What must not change of a session when nothing happens to it.
#[derive(Debug, Eq, PartialEq)]
struct Session {
    peer: String,
    state: String,
    since: u64,
    flaps: u64,
    established_count: u64,
}

impl Session {
    fn established(&self) -> bool {
        self.state == "Established"
    }
}

/// The sessions in the answer to `peers`, without a speaker's own address.
fn sessions(peers: &Value) -> Vec<Session> {
    let list = peers
        .as_array()
        .or_else(|| peers.get("peers").and_then(Value::as_array));
    let number = |peer: &Value, key| peer.get(key).and_then(Value::as_u64).unwrap_or_default();
    let text = |peer: &Value, key| {
        peer.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let all = list.into_iter().flatten();
    let others = all.filter(|peer| peer.get("is_self") != Some(&Value::Bool(true)));
    others
        .map(|peer| Session {
            peer: text(peer, "name"),
            state: text(peer, "state"),
            since: number(peer, "since_unix_s"),
            flaps: number(peer, "flaps"),
            established_count: number(peer, "established_count"),
        })
        .collect()
}

/// Shows what a verb prints.
fn show(speaker: &mut Speaker, page: &Page, arguments: &[&str]) -> Result<(), Error> {
    let answer = speaker.ask(arguments)?;
    let command = format!("stonechat {}", arguments.join(" "));
    let failed = |last| Error::NotTrue {
        what: format!("{command} answers on {}", speaker.name),
        seconds: 0,
        last,
    };
    page.show(speaker.name, &command, &answer.map_err(failed)?)
}

fn ping(
    watch: &Watch,
    page: &Page,
    home: &Home,
    from: &Namespace,
    (to, what): (Ipv4Addr, &str),
) -> Result<(), Error> {
    let echo = watch.until(
        format_args!("{} has an answer from {to} ({what})", from.name),
        PATIENCE,
        || {
            let answer = home.ping(from, to, PING_PATIENCE)?;
            let answer = answer.map_err(|source| Error::Io {
                what: format!("ping {to}"),
                source,
            })?;
            Ok(answer.ok_or("no answer"))
        },
    )?;
    let time = echo.time.as_secs_f64() * 1000.0;
    let line = format!(
        "64 bytes from {to}: ttl={} time={time:.3} ms    ({what})",
        echo.ttl
    );
    page.say(format_args!("{}# ping {to}: {line}", from.name))
}

/// Whether Stonechat's route to a prefix goes through exactly these routers; none: there is no such route.
fn routed(
    machine: &mut Namespace,
    prefix: Ipv4Net,
    routers: &[Ipv4Addr],
) -> Result<Result<(), String>, Error> {
    let table = machine.table()?;
    let now = ours(&table)
        .find(|line| line.prefix == prefix)
        .map(Line::routers)
        .unwrap_or_default();
    Ok(if now == routers {
        Ok(())
    } else {
        Err(lines(&table))
    })
}

fn ours(table: &[Line]) -> impl Iterator<Item = &Line> {
    table.iter().filter(|line| line.protocol == STONECHAT)
}

fn lines(table: &[Line]) -> String {
    table
        .iter()
        .fold(String::new(), |all, line| format!("{all}{line}\n"))
}

fn line_to(machine: &mut Namespace, address: Ipv4Addr) -> Result<String, Error> {
    let table = machine.table()?;
    let lines: Vec<String> = table
        .iter()
        .filter(|line| line.prefix == Ipv4Net::from(address))
        .map(ToString::to_string)
        .collect();
    Ok(lines.join("\n"))
}

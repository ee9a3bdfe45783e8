//! Reloads as a peer's socket sees them: a capture of every message shows that the same file sends nothing, and that
//! another filter sends exactly the difference.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::stonechat::Stonechat;
use crate::lab::wait::equal;
use crate::lab::{Lab, await_until, skipped};
use crate::pair::{LEFT, Pair, RIGHT};

/// How long to listen before "nothing more comes" is believed.
const QUIET: Duration = Duration::from_millis(700);

const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;

const FIRST: &str = "198.51.100.0/24";
const SECOND: &str = "203.0.113.0/24";
const THIRD: &str = "10.1.0.0/16";
/// What the capture announces itself.
const FROM_RIGHT: &str = "10.9.0.0/16";

#[test]
fn a_capture_shows_that_reloads_send_the_difference_and_nothing_else() {
    if skipped(&[]) {
        return;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    let stonechat = Stonechat::start(&lab, &pair.left, &config("", &[FIRST, SECOND]));
    let capture = Capture::start(&pair);
    await_until("the first table", || {
        equal(&capture.held(), &set(&[FIRST, SECOND]))
    });

    // The same file; then one whose lines have moved.
    let before = capture.len();
    reload(&stonechat, 1);
    stonechat.write_config(&config("# one line more\n", &[FIRST, SECOND]));
    reload(&stonechat, 2);
    std::thread::sleep(QUIET);
    equal(&capture.since(before), &Vec::new()).expect("a reload without a change sends nothing");
    let why = stonechat.cli(&format!("why {FIRST}")).expect_success();
    let line = config("# one line more\n", &[])
        .lines()
        .position(|line| line.starts_with("rules"))
        .unwrap()
        + 1;
    assert!(
        why.contains(&format!("node.toml:{line})")),
        "not line {line}: {why}"
    );

    // Another filter: one prefix comes, one goes, the third is not mentioned.
    stonechat.write_config(&config("", &[FIRST, THIRD]));
    stonechat.signal(Signal::SIGHUP);
    await_until("the difference", || equal(&capture.held(), &set(&[FIRST, THIRD])));
    std::thread::sleep(QUIET);
    let mut difference = capture.since(before);
    difference.sort();
    equal(&difference, &vec![format!("+{THIRD}"), format!("-{SECOND}")]).expect("exactly the difference");

    // What would reset the session is refused when asked to, and nothing is sent.
    let before = capture.len();
    let slower =
        config("", &[FIRST, THIRD]).replace("passive = true", "passive = true\nextended_message = false");
    stonechat.write_config(&slower);
    let refused = stonechat.cli("reload --no-reset");
    assert!(
        !refused.success && refused.stderr.contains("extended_message"),
        "{refused:?}"
    );
    equal(&capture.since(before), &Vec::new()).expect("a refused reload sends nothing");

    // For the time being, and back again.
    stonechat.write_config(&config("", &[FIRST]));
    let applied = stonechat.cli("reload --confirm 2s").expect_success();
    assert!(applied.contains("stonechat confirm"), "{applied}");
    await_until("the change", || equal(&capture.held(), &set(&[FIRST])));
    await_until("what was before", || {
        equal(&capture.held(), &set(&[FIRST, THIRD]))
    });
    let late = stonechat.cli("confirm");
    assert!(
        !late.success && late.stderr.contains("no reload waits"),
        "{late:?}"
    );
    stonechat.cli("reload --confirm 60s").expect_success();
    stonechat.cli("confirm").expect_success();
    await_until("the change stays", || equal(&capture.held(), &set(&[FIRST])));
    assert!(!capture.was_closed(), "the session was never closed");
}

/// A file that is tidied into groups: nothing of it is in the OPEN or the socket, and filters ask for the group all the same.
#[test]
fn a_capture_shows_that_joining_and_renaming_a_group_resets_nothing() {
    if skipped(&[]) {
        return;
    }
    let lab = Lab::new();
    let pair = Pair::build(&lab);
    let alone = grouped("asn = 64512\nexport = \"out\"");
    let stonechat = Stonechat::start(&lab, &pair.left, &alone);
    let capture = Capture::start(&pair);
    let story = |wanted: &str| {
        let why = stonechat.cli(&format!("why {FROM_RIGHT}")).expect_success();
        if why.contains(wanted) { Ok(()) } else { Err(why) }
    };
    await_until("the first table", || equal(&capture.held(), &set(&[FIRST])));
    await_until("the route of the other side", || {
        story("rejected by default of filter in")
    });
    let before = capture.len();
    let tidied = |name: &str| grouped(&format!("group = \"{name}\""));
    for (config, wanted) in [
        (tidied("rack"), "accepted by rule 1 of filter in"),
        (tidied("row"), "rejected by default of filter in"),
        (tidied("rack"), "accepted by rule 1 of filter in"),
        (alone, "rejected by default of filter in"),
    ] {
        stonechat.write_config(&config);
        let plan = stonechat.cli("reload --no-reset").expect_success();
        assert!(plan.contains("group"), "{plan}");
        await_until("another verdict", || story(wanted));
    }
    std::thread::sleep(QUIET);
    equal(&capture.since(before), &Vec::new()).expect("a group sends nothing and closes nothing");
}

/// One prefix of ours, two groups, and a peer with these keys.
fn grouped(keys: &str) -> String {
    let group =
        |name: &str| format!("[[peer_group]]\nname = \"{name}\"\nasn = \"internal\"\nexport = \"out\"\n\n");
    format!(
        "[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n\
         [[originate]]\nname = \"own\"\nprefixes = [\"{FIRST}\"]\n\n\
         [[filter]]\nname = \"out\"\ndefault = \"reject\"\nrules = [{{ source = \"own\", action = \"accept\" }}]\n\n\
         [[filter]]\nname = \"in\"\ndefault = \"reject\"\nrules = [{{ group = \"rack\", action = \"accept\" }}]\n\n\
         {}{}[[peer]]\nname = \"right\"\naddress = \"{RIGHT}\"\npassive = true\nimport = \"in\"\n{keys}\n",
        group("rack"),
        group("row")
    )
}

/// Three prefixes, of which the filter of the one peer lets these pass.
fn config(comment: &str, passing: &[&str]) -> String {
    let passing: Vec<String> = passing.iter().map(|prefix| format!("{prefix:?}")).collect();
    format!(
        "{comment}[speaker]\nasn = 64512\nrouter_id = \"{LEFT}\"\n\n\
         [[originate]]\nname = \"own\"\nprefixes = [\"{FIRST}\", \"{SECOND}\", \"{THIRD}\"]\n\n\
         [[filter]]\nname = \"out\"\ndefault = \"reject\"\n\
         rules = [ {{ prefix = [{}], action = \"accept\" }} ]\n\n\
         [[peer]]\nname = \"right\"\naddress = \"{RIGHT}\"\nasn = 64512\npassive = true\nexport = \"out\"\n",
        passing.join(", ")
    )
}

/// Sends SIGHUP and waits until the log has told of so many reloads without a change.
fn reload(stonechat: &Stonechat, count: usize) {
    stonechat.signal(Signal::SIGHUP);
    await_until("the reload is done", || {
        let log = stonechat.log();
        let done = log.matches("reloaded: nothing changes").count();
        if done >= count { Ok(()) } else { Err(log) }
    });
}

fn set(prefixes: &[&str]) -> BTreeSet<String> {
    prefixes.iter().map(|prefix| (*prefix).to_owned()).collect()
}

/// Type and body.
type Message = (u8, Vec<u8>);

/// A peer that says what it must and keeps every message that comes.
struct Capture {
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Capture {
    fn start(pair: &Pair) -> Self {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&messages);
        drop(pair.right.spawn_inside(move || {
            let kept = |message| seen.lock().unwrap_or_else(PoisonError::into_inner).push(message);
            // The end of the connection ends the thread; the test looks at what came.
            if listen(kept).is_err() {
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((NOTIFICATION, Vec::new()));
            }
        }));
        Self { messages }
    }

    fn messages(&self) -> Vec<Message> {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn len(&self) -> usize {
        self.messages().len()
    }

    fn was_closed(&self) -> bool {
        self.messages().iter().any(|(kind, _)| *kind == NOTIFICATION)
    }

    /// What the UPDATEs behind the first `from` messages said: `+prefix`, `-prefix`; an End-of-RIB is `end`.
    fn since(&self, from: usize) -> Vec<String> {
        let messages = self.messages();
        let updates = messages.iter().skip(from).filter(|(kind, _)| *kind != KEEPALIVE);
        updates
            .flat_map(|(kind, body)| {
                if *kind == UPDATE {
                    told(body)
                } else {
                    vec![format!("message of type {kind}")]
                }
            })
            .collect()
    }

    /// The prefixes that a peer holds who heard all that.
    fn held(&self) -> BTreeSet<String> {
        let mut held = BTreeSet::new();
        for item in self.since(0) {
            match item.split_at(1) {
                ("+", prefix) => {
                    held.insert(prefix.to_owned());
                }
                ("-", prefix) => {
                    held.remove(prefix);
                }
                _ => {}
            }
        }
        held
    }
}

fn told(body: &[u8]) -> Vec<String> {
    let length = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let withdrawn = length(0);
    let attributes = length(2 + withdrawn);
    let mut items = prefixes('-', &body[2..2 + withdrawn]);
    items.extend(prefixes('+', &body[4 + withdrawn + attributes..]));
    if items.is_empty() {
        items.push("end".to_owned());
    }
    items
}

fn prefixes(sign: char, mut nlri: &[u8]) -> Vec<String> {
    let mut items = Vec::new();
    while let [len, rest @ ..] = nlri {
        let octets = usize::from(len.div_ceil(8));
        let mut address = [0; 4];
        address[..octets].copy_from_slice(&rest[..octets]);
        items.push(format!("{sign}{}/{len}", Ipv4Addr::from(address)));
        nlri = &rest[octets..];
    }
    items
}

/// IPv4 unicast, a four-octet AS, and a hold time that outlasts the test without more than one KEEPALIVE.
fn listen(mut kept: impl FnMut((u8, Vec<u8>))) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((LEFT, 179))?;
    let mut open = vec![4, 0xfc, 0x00, 0, 240, 192, 0, 2, 2, 16];
    open.extend([2, 6, 1, 4, 0, 1, 0, 1, 2, 6, 65, 4, 0, 0, 0xfc, 0x00]);
    send(&mut stream, OPEN, &open)?;
    send(&mut stream, KEEPALIVE, &[])?;
    // ORIGIN, an empty AS_PATH, NEXT_HOP, LOCAL_PREF, and `FROM_RIGHT`.
    let next_hop = RIGHT.parse::<Ipv4Addr>().map_err(std::io::Error::other)?;
    let mut update = vec![0, 0, 0, 21, 0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4];
    update.extend(next_hop.octets());
    update.extend([0x40, 5, 4, 0, 0, 0, 100, 16, 10, 9]);
    send(&mut stream, UPDATE, &update)?;
    loop {
        let mut head = [0; 19];
        stream.read_exact(&mut head)?;
        let length = usize::from(u16::from_be_bytes([head[16], head[17]]));
        let mut body = vec![0; length.saturating_sub(head.len())];
        stream.read_exact(&mut body)?;
        if head[18] == KEEPALIVE {
            send(&mut stream, KEEPALIVE, &[])?;
        }
        if head[18] != OPEN {
            kept((head[18], body));
        }
    }
}

fn send(stream: &mut TcpStream, kind: u8, body: &[u8]) -> std::io::Result<()> {
    let mut message = vec![0xff; 16];
    let length = u16::try_from(19 + body.len()).map_err(std::io::Error::other)?;
    message.extend(length.to_be_bytes());
    message.push(kind);
    message.extend(body);
    stream.write_all(&message)
}

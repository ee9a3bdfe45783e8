//! A peer that sends garbage, half messages or nothing: it gets the NOTIFICATION of RFC 4271 §6.1, and nobody else
//! notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::lab::bird::{Bird, Version, protocol};
use crate::lab::frr::Frr;
use crate::lab::speaker::Speaker;
use crate::lab::stonechat::Stonechat;
use crate::lab::wait::{await_within, equal};
use crate::lab::{Lab, Namespace, Need, await_until, skipped};
use crate::pair::{self, LEFT, Pair, RIGHT};

/// The hostile peer's address.
const HOSTILE: &str = "192.0.2.3";

const MARKER: [u8; 16] = [0xff; 16];

/// Connections of a storm, and how many of them are kept open.
const STORM: usize = 2_000;
/// Connections that may stay, the good peers' and those on their way out included.
const KEPT: usize = 32;
const HALF_OPEN: usize = 300;
/// How soon a peer that behaves is up at an address that did not.
const COMES_BACK: Duration = Duration::from_secs(10);
/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(20);

#[test]
fn garbage_is_answered_and_disturbs_nobody() {
    if skipped(&[Need::Frr, Need::Bird2]) {
        return;
    }
    let lab = Lab::new();
    let (_pair, hostile, stonechat, mut frr) = start(&lab);
    frr.announce("198.51.100.128/25", RIGHT);
    await_until("routes flow with the good peer", || {
        stonechat.has("198.51.100.128/25", RIGHT)
    });
    let before = counts(&frr);

    await_reply(&hostile, &[0; 64], &[1, 1]);
    await_reply(&hostile, &header(18, 4), &[1, 2]);
    await_reply(&hostile, &header(5000, 1), &[1, 2]);
    await_reply(&hostile, &header(19, 77), &[1, 3]);
    let silent = hold(&hostile, &[]);
    let half = hold(&hostile, &header(29, 1));

    frr.announce("198.51.100.0/25", RIGHT);
    await_until("routes still flow with the good peer", || {
        stonechat.has("198.51.100.0/25", RIGHT)
    });
    equal(&counts(&frr), &before).expect("the good peer's session was not touched");

    drop((silent, half));
    let bird = Bird::start(&lab, &hostile, Version::Two, &bird_conf());
    await_until("the address works again for a peer that behaves", || {
        bird.established(LEFT)
    });
    equal(&counts(&frr), &before).expect("the good peer's session was not touched");
}

/// More connections than a peer can want, some kept open in silence, most dropped at once.
#[test]
fn floods_and_storms_leave_the_others_alone() {
    if skipped(&[Need::Frr, Need::Bird2]) {
        return;
    }
    let lab = Lab::new();
    let (_pair, hostile, stonechat, mut frr) = start(&lab);
    await_until("the good peer is up", || frr.established(LEFT));
    let before = counts(&frr);

    let storm = hostile.spawn_inside(|| {
        let mut held = Vec::new();
        for round in 0..STORM {
            match connect() {
                // Half open, with a piece of a message, or gone at once.
                Ok(mut stream) if round % 4 == 0 && held.len() < HALF_OPEN => {
                    stream.write_all(&MARKER[..round % 16]).ok();
                    held.push(stream);
                }
                Ok(_) | Err(_) => {}
            }
        }
        held
    });
    frr.announce("198.51.100.0/25", RIGHT);
    await_until("routes flow meanwhile", || {
        stonechat.has("198.51.100.0/25", RIGHT)
    });
    let held = storm.join().expect("no panic");
    // Those in the backlog count as established until they have been looked at.
    await_until("few connections are kept for one address", || {
        let sockets = stonechat.exec("ss -Htn state established '( sport = :179 )'")?;
        match sockets.lines().count() {
            ..KEPT => Ok(()),
            count => Err(format!("{count} connections")),
        }
    });
    equal(&counts(&frr), &before).expect("the good peer's session was not touched");

    drop(held);
    let bird = Bird::start(&lab, &hostile, Version::Two, &bird_conf());
    await_within(COMES_BACK, "the address works again", || bird.established(LEFT));
    equal(&counts(&frr), &before).expect("the good peer's session was not touched");
}

/// Ours between FRR, which behaves, and a namespace that may do as it likes.
fn start(lab: &Lab) -> (Pair, Namespace, Stonechat, Frr) {
    let mut pair = Pair::build(lab);
    let hostile = lab.namespace("hostile");
    pair.switch.plug(&hostile, &["192.0.2.3/24"]);
    let config = format!(
        "{}\n[[peer]]\nname = \"hostile\"\naddress = \"{HOSTILE}\"\nasn = 64512\npassive = true\n",
        pair::stonechat(RIGHT, "")
    );
    let stonechat = Stonechat::start(lab, &pair.left, &config);
    let frr = Frr::start(lab, &pair.right, "frr", &frr_conf());
    (pair, hostile, stonechat, frr)
}

/// A message header that claims this length and type, without a body.
fn header(length: u16, kind: u8) -> Vec<u8> {
    let mut bytes = MARKER.to_vec();
    bytes.extend(length.to_be_bytes());
    bytes.push(kind);
    bytes
}

/// Sends `bytes` on new connections until one is answered by a NOTIFICATION that begins with `wanted`.
///
/// The peer may be waiting out its idle hold time after the error before, so connections may be refused for a while.
fn await_reply(from: &Namespace, bytes: &[u8], wanted: &[u8]) {
    await_until(&format!("NOTIFICATION {wanted:?}"), || {
        let bytes = bytes.to_vec();
        let replied = from.spawn_inside(move || reply(&bytes)).join().expect("no panic");
        let body = replied.map_err(|error| error.to_string())?;
        if body.starts_with(wanted) {
            Ok(())
        } else {
            Err(format!("NOTIFICATION {body:?}"))
        }
    });
}

/// The body of the NOTIFICATION that answers `bytes`.
fn reply(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = connect()?;
    stream.write_all(bytes)?;
    loop {
        let mut head = [0; 19];
        stream.read_exact(&mut head)?;
        let length = usize::from(u16::from_be_bytes([head[16], head[17]]));
        let mut body = vec![0; length.saturating_sub(head.len())];
        stream.read_exact(&mut body)?;
        if head[18] == 3 {
            return Ok(body);
        }
    }
}

/// Opens a connection, sends `bytes`, and keeps it.
fn hold(from: &Namespace, bytes: &[u8]) -> TcpStream {
    await_until("a connection", || {
        let bytes = bytes.to_vec();
        let opened = from.spawn_inside(move || {
            let mut stream = connect()?;
            stream.write_all(&bytes)?;
            Ok::<TcpStream, std::io::Error>(stream)
        });
        opened
            .join()
            .expect("no panic")
            .map_err(|error| error.to_string())
    })
}

fn connect() -> std::io::Result<TcpStream> {
    let address: SocketAddr = format!("{LEFT}:179").parse().map_err(std::io::Error::other)?;
    let stream = TcpStream::connect_timeout(&address, REPLY)?;
    stream.set_read_timeout(Some(REPLY))?;
    Ok(stream)
}

/// How often FRR's session came up and went down.
fn counts(frr: &Frr) -> [u64; 2] {
    let peer = frr.peer(LEFT).expect("FRR answers");
    ["connectionsEstablished", "connectionsDropped"].map(|key| peer[key].as_u64().unwrap_or(0))
}

fn frr_conf() -> String {
    format!(
        "router bgp 64512\n bgp router-id {RIGHT}\n no bgp network import-check\n\
         neighbor {LEFT} remote-as 64512\n neighbor {LEFT} timers connect 1\n\
         neighbor {LEFT} advertisement-interval 0\n"
    )
}

fn bird_conf() -> String {
    format!(
        "log stderr all;\nrouter id {HOSTILE};\nprotocol device {{ scan time 1; }}\n\
         protocol bgp {} {{ debug {{ states }}; local {HOSTILE} as 64512; neighbor {LEFT} as 64512;\n\
         ipv4 {{ import all; export none; }}; connect delay time 1; connect retry time 1; error wait time 1,2; }}\n",
        protocol(LEFT)
    )
}

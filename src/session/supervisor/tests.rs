//! Whole speakers' sessions over real sockets on loopback addresses, with a real shard behind each.

use std::net::Ipv4Addr;

use bgp_codec::{Asn, Capability, FamilySet, Notification, Open, PathAttributes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::*;
use crate::rib::explain::{Answer, Query, View};
use crate::rib::interface::{DecisionOptions, LocalChange, Settings};
use crate::rib::task::{Edges, spawn};
use crate::route::{LocalRoute, OriginKind, Prefix, Secret};
use crate::session::peer::Reset;
use crate::session::peer::tests::settings;
use crate::session::settings::Password;
use crate::session::status::State;

/// How long anything may take; nothing here waits for that long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(5);

fn at(net: u8, last: u8) -> IpAddr {
    [127, 8, net, last].into()
}

fn rib(identifier: Ipv4Addr) -> RibHandle {
    let (fib, _) = mpsc::channel(1);
    let (events, _) = mpsc::channel(1);
    let settings = Settings {
        asn: Asn(64_512),
        bgp_identifier: identifier,
        cluster_id: identifier,
        hash_seed: 1,
        multipath: 1,
        track_next_hops: false,
        install: false,
        always_compare_med: false,
        decision: DecisionOptions::default(),
        restarting: None,
    };
    let (aggregates, _) = watch::channel(Vec::new());
    let edges = Edges {
        fib,
        events,
        aggregates,
    };
    spawn(settings, edges)
}

/// The sessions of the speaker at 127.8.`net`.`last`, which listens there at a port of the kernel's choice.
fn speaker(net: u8, last: u8, peers: Vec<PeerSettings>) -> Sessions {
    let identifier = [192, 0, 2, last].into();
    let identity = SpeakerIdentity {
        asn: Asn(64_512),
        bgp_identifier: identifier,
        hostname: "".into(),
        forwarding: FamilySet::EMPTY,
        restarting_until: None,
    };
    let mut ids = PeerIds::default();
    let peers = peers
        .into_iter()
        .map(|settings| (ids.allocate(), settings))
        .collect();
    let listen = vec![SocketAddr::new(at(net, last), 0)];
    Sessions::start(Start {
        rib: rib(identifier),
        identity,
        peers,
        ids,
        awaited: Awaited::default(),
        listen,
        inherited: Vec::new(),
        seed: last.into(),
    })
}

fn peer(net: u8, from: u8, to: u8) -> PeerSettings {
    PeerSettings {
        name: format!("peer{to}").into(),
        address: PeerAddress::Address(at(net, to)),
        source_address: Some(at(net, from)),
        connect_retry_time: Duration::from_millis(50),
        idle_hold_time: Duration::from_millis(50),
        ..settings()
    }
}

fn passive(net: u8, from: u8, to: u8) -> PeerSettings {
    PeerSettings {
        passive: true,
        ..peer(net, from, to)
    }
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look() {
                break found;
            }
            tokio::time::sleep(STEP).await;
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

async fn bound(sessions: &Sessions) -> SocketAddr {
    until("listening", || {
        let status = sessions.listeners().remove(0);
        (status.address.port() != 0).then_some(status.address)
    })
    .await
}

async fn peer_where(sessions: &Sessions, name: &str, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
    until(what, || {
        sessions
            .statuses()
            .into_iter()
            .find(|status| &*status.name == name && holds(status))
    })
    .await
}

async fn established(sessions: &Sessions, name: &str) -> Status {
    peer_where(sessions, name, "established", |status| {
        status.state == State::Established
    })
    .await
}

/// Two speakers with one session between them.
async fn pair(net: u8, password: Option<Password>) -> (Sessions, Sessions) {
    let with = |settings: PeerSettings| PeerSettings {
        password: password.clone(),
        ..settings
    };
    let one = speaker(net, 1, vec![with(passive(net, 1, 2))]);
    let port = bound(&one).await.port();
    let two = speaker(
        net,
        2,
        vec![PeerSettings {
            port,
            ..with(peer(net, 2, 1))
        }],
    );
    established(&one, "peer2").await;
    established(&two, "peer1").await;
    (one, two)
}

/// A peer of the test's own making at 127.8.`net`.`last`.
async fn raw(net: u8, last: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(at(net, last), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("closed in time")
        .unwrap();
    bytes
}

fn notification(bytes: &[u8]) -> Notification {
    let mut rest = bytes;
    while let Some(frame) = bgp_codec::header::frame(rest, 4096).unwrap() {
        if frame.kind == bgp_codec::MessageType::Notification {
            return Notification::decode(&rest[19..frame.len]).unwrap();
        }
        rest = &rest[frame.len..];
    }
    panic!("no NOTIFICATION in {bytes:?}");
}

fn open(last: u8, hold_time: u16) -> Vec<u8> {
    let capabilities = vec![Capability::RouteRefresh];
    let bgp_identifier = [192, 0, 2, last].into();
    let mut bytes = Vec::new();
    Open {
        version: 4,
        asn: 64_512,
        hold_time,
        bgp_identifier,
        capabilities,
    }
    .encode(&mut bytes);
    bytes
}

#[tokio::test]
async fn two_speakers_meet_and_part_with_a_word() {
    let (one, two) = pair(1, None).await;
    let status = established(&one, "peer2").await;
    assert_eq!(status.remote.map(|remote| remote.ip()), Some(at(1, 2)));
    assert_eq!(status.messages_received.open, 1);
    two.stop(StopKind::Leave {
        text: "drained".into(),
    })
    .await;
    let status = peer_where(&one, "peer2", "down", |status| status.state != State::Established).await;
    assert_eq!(
        status.last_error.unwrap(),
        "received cease / administrative shutdown: drained"
    );
    assert_eq!(status.flaps, 1);
    one.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn both_connect_and_one_session_comes_of_it() {
    let one = speaker(2, 1, vec![]);
    let two = speaker(2, 2, vec![]);
    let (to_one, to_two) = (bound(&one).await.port(), bound(&two).await.port());
    one.apply(vec![PeerSettings {
        port: to_two,
        ..peer(2, 1, 2)
    }])
    .await;
    two.apply(vec![PeerSettings {
        port: to_one,
        ..peer(2, 2, 1)
    }])
    .await;
    established(&one, "peer2").await;
    established(&two, "peer1").await;
    one.stop(StopKind::Restart).await;
    two.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn keys_work_on_the_active_and_the_passive_side() {
    let password = |key: &str| Password {
        key: Secret::new(key.into()),
        file: "/key".into(),
    };
    let probe = crate::session::socket::listen(SocketAddr::new(at(3, 9), 0)).unwrap();
    let key = Secret::new(b"probe".to_vec());
    if let Err(error) = crate::session::socket::set_key(&probe, at(3, 8).into(), Some(&key)) {
        eprintln!("skipped: {error}");
        return;
    }
    let (one, two) = pair(3, Some(password("secret"))).await;
    // Without the key nobody gets in, with it changed on both ends the session stays.
    let to = bound(&one).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(at(3, 2), 0)).unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(200), socket.connect(to))
            .await
            .is_err()
    );
    let changed = |settings: PeerSettings| PeerSettings {
        password: Some(password("other")),
        ..settings
    };
    one.apply(vec![changed(passive(3, 1, 2))]).await;
    two.apply(vec![PeerSettings {
        port: to.port(),
        ..changed(peer(3, 2, 1))
    }])
    .await;
    let before = established(&two, "peer1").await.messages_received;
    one.command("peer2", Command::Reset(Reset::SoftIn)).await.unwrap();
    let refreshed = |status: &Status| status.messages_received.route_refresh > before.route_refresh;
    let status = peer_where(&two, "peer1", "a message under the new key", refreshed).await;
    assert_eq!(status.flaps, 0);
    one.stop(StopKind::Restart).await;
    two.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn strangers_are_told_so_and_counted() {
    let one = speaker(4, 1, vec![passive(4, 1, 2)]);
    let to = bound(&one).await;
    let told = notification(&read_to_end(&mut raw(4, 77, to).await).await);
    assert_eq!((told.code, told.subcode), (6, 5));
    assert_eq!(one.listeners()[0].unknown, 1);
    one.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn a_notification_arrives_although_much_was_unread() {
    let one = speaker(5, 1, vec![passive(5, 1, 2)]);
    let mut stream = raw(5, 2, bound(&one).await).await;
    // More than one read takes, none of it a message.
    stream.write_all(&vec![0; 100_000]).await.unwrap();
    let told = notification(&read_to_end(&mut stream).await);
    assert_eq!((told.code, told.subcode), (1, 1));
    one.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn octets_one_by_one_make_a_session() {
    let one = speaker(6, 1, vec![passive(6, 1, 2)]);
    let mut stream = raw(6, 2, bound(&one).await).await;
    stream.set_nodelay(true).unwrap();
    let mut keepalive = Vec::new();
    bgp_codec::keepalive::encode(&mut keepalive);
    for octet in [open(2, 90), keepalive].concat() {
        stream.write_all(&[octet]).await.unwrap();
    }
    established(&one, "peer2").await;
    one.stop(StopKind::Leave { text: "bye".into() }).await;
    let told = notification(&read_to_end(&mut stream).await);
    assert_eq!(told, Notification::administrative_shutdown("bye"));
}

#[tokio::test]
async fn a_range_takes_as_many_as_its_limit() {
    let range = PeerSettings {
        name: "clients".into(),
        address: PeerAddress::Range("127.8.7.0/24".parse().unwrap()),
        range_limit: 2,
        ..settings()
    };
    let one = speaker(7, 1, vec![range]);
    let to = bound(&one).await;
    let mut streams = Vec::new();
    for last in [11, 12] {
        let mut stream = raw(7, last, to).await;
        stream.write_all(&open(last, 90)).await.unwrap();
        let mut keepalive = Vec::new();
        bgp_codec::keepalive::encode(&mut keepalive);
        stream.write_all(&keepalive).await.unwrap();
        established(&one, &at(7, last).to_string()).await;
        streams.push(stream);
    }
    let told = notification(&read_to_end(&mut raw(7, 13, to).await).await);
    assert_eq!((told.code, told.subcode), (6, 5));
    // The range goes, and its peers with it.
    one.apply(vec![]).await;
    assert!(one.statuses().is_empty());
    let told = notification(&read_to_end(&mut streams.remove(0)).await);
    assert_eq!((told.code, told.subcode), (6, 3));
    one.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn a_peer_from_a_range_comes_back_under_the_handle_that_is_waited_for() {
    let range = PeerSettings {
        name: "clients".into(),
        address: PeerAddress::Range("127.8.14.0/24".parse().unwrap()),
        range_limit: 4,
        ..settings()
    };
    let mut ids = PeerIds::default();
    let range = (ids.allocate(), range);
    let (back, away) = (ids.allocate(), ids.allocate());
    let one = Sessions::start(Start {
        rib: rib([192, 0, 2, 1].into()),
        identity: crate::session::peer::tests::identity(),
        peers: vec![range],
        ids,
        awaited: Awaited {
            ids: [(at(14, 11), back), (at(14, 12), away)].into(),
            time: Duration::from_millis(500),
        },
        listen: vec![SocketAddr::new(at(14, 1), 0)],
        inherited: Vec::new(),
        seed: 1,
    });
    let mut members = one.members();
    // Another restart would wait for both.
    assert_eq!(*members.borrow(), [at(14, 11), at(14, 12)].into());
    let to = bound(&one).await;
    let mut streams = Vec::new();
    for last in [13, 11] {
        let mut stream = raw(14, last, to).await;
        let mut keepalive = Vec::new();
        bgp_codec::keepalive::encode(&mut keepalive);
        stream
            .write_all(&[open(last, 90), keepalive].concat())
            .await
            .unwrap();
        established(&one, &at(14, last).to_string()).await;
        streams.push(stream);
    }
    assert_eq!(one.peer_id("127.8.14.11"), Some(back));
    assert_ne!(one.peer_id("127.8.14.13"), Some(away));
    let mut becomes = async |wanted: &[IpAddr]| {
        let wanted: BTreeSet<IpAddr> = wanted.iter().copied().collect();
        tokio::time::timeout(PATIENCE, members.wait_for(|members| *members == wanted))
            .await
            .expect("in time")
            .expect("sessions run");
    };
    becomes(&[at(14, 11), at(14, 13)]).await;
    one.apply(vec![]).await;
    becomes(&[]).await;
    one.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn a_reload_touches_only_what_differs() {
    let (one, two) = pair(8, None).await;
    let same = passive(8, 1, 2);
    let added = PeerSettings {
        name: "new".into(),
        ..passive(8, 1, 3)
    };
    one.apply(vec![same.clone(), added]).await;
    one.apply(vec![same.clone()]).await;
    one.apply(vec![PeerSettings {
        description: "told apart".into(),
        ..same.clone()
    }])
    .await;
    let status = peer_where(&one, "peer2", "described", |status| {
        status.description == "told apart"
    })
    .await;
    assert_eq!((status.state, status.flaps), (State::Established, 0));
    let id = one.peer_id("peer2");
    one.apply(vec![PeerSettings {
        hold_time: Duration::from_secs(30),
        extended_message: !same.extended_message,
        ..same
    }])
    .await;
    let status = peer_where(&one, "peer2", "reset", |it| {
        it.flaps == 1 && it.state == State::Established
    })
    .await;
    assert_eq!(status.hold_time_s, 30);
    assert_eq!(one.peer_id("peer2"), id);
    one.apply(vec![]).await;
    let last_error =
        |status: &Status| status.last_error.as_deref() == Some("received cease / peer deconfigured");
    peer_where(&two, "peer1", "told of the removal", last_error).await;
    two.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn a_taken_port_is_shown_and_tried_again() {
    let holder = std::net::TcpListener::bind(SocketAddr::new(at(9, 1), 0)).unwrap();
    let address = holder.local_addr().unwrap();
    let identity = crate::session::peer::tests::identity();
    let sessions = Sessions::start(Start {
        rib: rib(identity.bgp_identifier),
        identity,
        peers: vec![],
        ids: PeerIds::default(),
        awaited: Awaited::default(),
        listen: vec![address],
        inherited: Vec::new(),
        seed: 1,
    });
    let error = until("an error", || sessions.listeners().remove(0).error).await;
    assert!(
        error.starts_with(&format!("cannot listen at {address}: Address already in use")),
        "{error}"
    );
    drop(holder);
    until("listening", || {
        sessions.listeners().remove(0).error.is_none().then_some(())
    })
    .await;
    sessions.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn an_address_of_this_machine_is_shown_as_self() {
    let own = PeerSettings {
        name: "me".into(),
        address: PeerAddress::Address([127, 0, 0, 1].into()),
        ..settings()
    };
    if !LocalAddresses::read()
        .unwrap()
        .contains(&Place::new([127, 0, 0, 1].into(), None))
    {
        eprintln!("skipped: no loopback address here");
        return;
    }
    let sessions = speaker(10, 1, vec![own]);
    let status = peer_where(&sessions, "me", "self", |status| status.is_self).await;
    assert_eq!(status.state, State::Idle);
    sessions.stop(StopKind::Restart).await;
}

/// A route of our own, each with attributes of its own so that none shares a message.
fn route(number: u32) -> LocalChange {
    let [_, high, middle, low] = number.to_be_bytes();
    LocalChange::Announce(LocalRoute {
        prefix: Prefix::from(IpAddr::from([10 + high, middle, low, 0])),
        kind: OriginKind::Static,
        name: "routes".into(),
        attributes: Arc::new(PathAttributes {
            med: Some(number),
            ..PathAttributes::default()
        }),
        from_kernel: None,
    })
}

async fn counters(sessions: &Sessions) -> crate::rib::explain::PeerCounters {
    match sessions.0.surroundings.rib.query(Query::Counters).await {
        Some(Answer::Counters(counters)) => counters.peers.into_iter().next().unwrap(),
        other => panic!("no counters: {other:?}"),
    }
}

#[tokio::test]
async fn a_table_much_larger_than_the_credit_passes_and_ends_with_end_of_rib() {
    const ROUTES: u32 = 20_000;
    let (one, two) = pair(12, None).await;
    one.0
        .surroundings
        .rib
        .local((0..ROUTES).map(route).collect())
        .await;
    let all = async {
        loop {
            let counters = counters(&two).await;
            if counters.received == u64::from(ROUTES) && counters.end_of_rib_received {
                break;
            }
            tokio::time::sleep(STEP).await;
        }
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("all routes in time");
    let page = Query::Routes {
        view: View::Received(two.peer_id("peer1").unwrap()),
        family: None,
        within: None,
        after: None,
        limit: 1,
    };
    match two.0.surroundings.rib.query(page).await {
        Some(Answer::Routes { routes, .. }) => assert_eq!(routes[0].next_hop, Some(at(12, 1)), "{routes:?}"),
        other => panic!("no routes: {other:?}"),
    }
    let status = established(&two, "peer1").await;
    assert!(
        status.bytes_received > 1_000_000 && status.messages_received.update >= 20_000,
        "{status:?}"
    );
    assert_eq!(
        status.messages_received.update,
        established(&one, "peer2").await.messages_sent.update
    );
    one.stop(StopKind::Restart).await;
    two.stop(StopKind::Restart).await;
}

#[tokio::test]
async fn commands_reach_the_peer_by_name() {
    let (one, two) = pair(11, None).await;
    let unknown = one.command("nobody", Command::Enable).await;
    assert_eq!(unknown, Err(CommandError::NoSuchPeer("nobody".into())));
    one.command("peer2", Command::Shutdown("rack move".into()))
        .await
        .unwrap();
    let told = |status: &Status| {
        status.last_error.as_deref() == Some("received cease / administrative shutdown: rack move")
    };
    peer_where(&two, "peer1", "told of the shutdown", told).await;
    one.command("peer2", Command::Enable).await.unwrap();
    established(&one, "peer2").await;
    one.stop(StopKind::Restart).await;
    two.stop(StopKind::Restart).await;
}

use std::net::Ipv4Addr;
use std::sync::Mutex;

use bgp_codec::{Asn, FamilySet, NextHop, Nlri, PathAttributes, PeerKind, UpdateWriter, WriteContext};
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::rib::explain::View;
use crate::rib::interface::{DecisionOptions, DownRoutes, Negotiated, SelfAddresses};
use crate::route::TableId;

fn settings() -> Settings {
    Settings {
        asn: Asn(64_512),
        bgp_identifier: Ipv4Addr::new(10, 0, 0, 254),
        cluster_id: Ipv4Addr::new(10, 0, 0, 254),
        hash_seed: 7,
        multipath: 1,
        track_next_hops: true,
        install: true,
        always_compare_med: false,
        decision: DecisionOptions::default(),
        restarting: None,
    }
}

fn client(n: u8) -> Peer {
    Peer {
        id: PeerId {
            index: n.into(),
            generation: 1,
        },
        name: format!("p{n}").into(),
        address: [10, 0, 0, n].into(),
        local_address: [10, 0, 0, 254].into(),
        self_addresses: SelfAddresses {
            ipv4: Some([10, 0, 0, 254].into()),
            ipv6: None,
            link_local: None,
        },
        bgp_identifier: [10, 0, 0, n].into(),
        local_asn: Asn(64_512),
        asn: Asn(64_512),
        kind: PeerKind::Internal,
        shared_link: true,
        link: 0,
        negotiated: Negotiated {
            families: FamilySet::IPV4_UNICAST,
            four_octet_asn: true,
            max_message: 4096,
            add_path_receive: FamilySet::EMPTY,
            add_path_send: FamilySet::EMPTY,
            extended_next_hop: false,
            route_refresh: true,
            enhanced_route_refresh: true,
            graceful_restart: None,
            role: None,
        },
        policy: PeerPolicy {
            rr_client: true,
            enforce_first_as: false,
            ..PeerPolicy::accept_all()
        },
        table: TableId::MAIN,
    }
}

fn update(prefix: &str) -> bytes::Bytes {
    let mut bytes = Vec::new();
    let context = WriteContext {
        four_octet_asn: true,
        max_message: 4096,
        add_path: FamilySet::EMPTY,
    };
    let attributes = PathAttributes {
        local_pref: Some(100),
        ..PathAttributes::default()
    };
    let next_hop = NextHop::V4([10, 0, 0, 1].into());
    let nlri = [Nlri::new(prefix.parse::<ipnet::IpNet>().unwrap())];
    UpdateWriter::new(&mut bytes, context)
        .announce(Family::IPV4_UNICAST, &attributes, next_hop, nlri)
        .unwrap();
    bytes.into()
}

/// Octets written to a session until it has had as many messages.
async fn written(session: &mut Receiver<ToSession>, lane: &Lane, messages: usize) -> usize {
    let mut seen = 0;
    let mut octets = 0;
    while seen < messages {
        match session.recv().await.expect("the shard runs") {
            ToSession::Write(chunks) => {
                for chunk in chunks {
                    octets += chunk.bytes.len();
                    lane.credit(chunk.bytes.len());
                    let mut rest = &chunk.bytes[..];
                    while let Ok(Some(frame)) = bgp_codec::header::frame(rest, 4096) {
                        seen += 1;
                        rest = &rest[frame.len..];
                    }
                }
            }
            ToSession::Close { notification, .. } => panic!("{notification:?}"),
        }
    }
    octets
}

#[tokio::test]
async fn a_route_goes_through_lanes_kernel_and_back() {
    let (fib, mut kernel) = mpsc::channel(1);
    let (events, _log) = mpsc::channel(1);
    let rib = spawn(settings(), edges(fib, events));
    let (to_a, mut a) = mpsc::channel(1);
    let (to_b, mut b) = mpsc::channel(1);
    let lane_a = rib.peer_up(client(1), to_a).await;
    let lane_b = rib.peer_up(client(2), to_b).await;
    lane_a.credit(65_536);
    lane_b.credit(65_536);
    // End-of-RIB.
    assert_eq!(written(&mut a, &lane_a, 1).await, 23);
    assert_eq!(written(&mut b, &lane_b, 1).await, 23);
    lane_a.received(update("192.0.2.0/24")).await;
    let answer = async {
        loop {
            match kernel.recv().await.expect("the shard runs") {
                FibUpdate::TrackNextHops { track, .. } => {
                    let reachable = Reachability::Reachable {
                        metric: 0,
                        connected: true,
                    };
                    rib.next_hops(track.into_iter().map(|at| (at, reachable)).collect())
                        .await;
                }
                FibUpdate::Changes(changes) => return changes,
                FibUpdate::Complete(_) | FibUpdate::Suspect(_) | FibUpdate::Settled(_) => {}
            }
        }
    };
    let changes = answer.await;
    assert_eq!(changes[0].prefix, "192.0.2.0/24".parse().unwrap());
    assert!(changes[0].route.is_some());
    written(&mut b, &lane_b, 1).await;
    lane_a.down(DownRoutes::Flush);
    assert_eq!(written(&mut b, &lane_b, 1).await, 27, "a withdraw");
    let Some(Answer::Counters(counters)) = rib.query(Query::Counters).await else {
        panic!()
    };
    assert_eq!(counters.paths, 0);
}

/// A session that takes nothing holds up neither the shard nor another session.
#[tokio::test]
async fn a_session_whose_channel_is_full_holds_up_nobody() {
    let (fib, _kernel) = mpsc::channel(1_000);
    let (events, _log) = mpsc::channel(1_000);
    let rib = spawn(
        Settings {
            track_next_hops: false,
            ..settings()
        },
        edges(fib, events),
    );
    let (to_a, mut a) = mpsc::channel(1);
    let (to_stuck, _stuck) = mpsc::channel(1);
    let (to_b, mut b) = mpsc::channel(1);
    let lane_a = rib.peer_up(client(1), to_a).await;
    let lane_stuck = rib.peer_up(client(2), to_stuck).await;
    let lane_b = rib.peer_up(client(3), to_b).await;
    for lane in [&lane_a, &lane_stuck, &lane_b] {
        lane.credit(65_536);
    }
    written(&mut a, &lane_a, 1).await;
    written(&mut b, &lane_b, 1).await;
    for n in 0..50 {
        lane_a.received(update(&format!("192.0.{n}.0/24"))).await;
        written(&mut b, &lane_b, 1).await;
    }
    assert!(rib.query(Query::Counters).await.is_some());
}

/// A socket that takes so many writes, then a part of one, and from then on nothing by this way.
#[derive(Debug)]
struct Socket {
    takes: Mutex<usize>,
    /// Octets written, and after how many writes of the session.
    written: Mutex<Vec<(usize, u64)>>,
}

impl Outlet for Socket {
    fn write(&self, chunks: Vec<Chunk>, handed_over: u64) -> Written {
        let bytes = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        let mut takes = self.takes.lock().unwrap();
        if *takes == 0 {
            return Written::Refused(chunks);
        }
        *takes -= 1;
        self.written.lock().unwrap().push((bytes, handed_over));
        if *takes == 0 {
            Written::Partly(1)
        } else {
            Written::All(bytes)
        }
    }
}

#[tokio::test]
async fn a_socket_is_written_to_past_its_session_until_it_takes_no_more() {
    let (fib, _kernel) = mpsc::channel(1_000);
    let (events, _log) = mpsc::channel(1_000);
    let settings = Settings {
        track_next_hops: false,
        ..settings()
    };
    let rib = spawn(settings, edges(fib, events));
    let (to_a, mut a) = mpsc::channel(100);
    let (told, mut b) = mpsc::channel(100);
    let socket = Arc::new(Socket {
        takes: Mutex::new(3),
        written: Mutex::default(),
    });
    let end = SessionEnd {
        told,
        outlet: Some(Arc::clone(&socket) as Arc<dyn Outlet>),
    };
    let lane_a = rib.peer_up(client(1), to_a).await;
    let lane_b = rib.peer_up(client(2), end).await;
    for lane in [&lane_a, &lane_b] {
        lane.credit(65_536);
    }
    written(&mut a, &lane_a, 1).await;
    for n in 0..2 {
        while socket.written.lock().unwrap().len() <= n {
            tokio::task::yield_now().await;
        }
        lane_a.received(update(&format!("192.0.{n}.0/24"))).await;
    }
    // What the socket took in part is with the session: it is told to go on, and then what came too late for the socket.
    let first = b.recv().await.expect("the shard runs");
    assert!(matches!(&first, ToSession::Write(chunks) if chunks.is_empty()));
    lane_a.received(update("192.0.2.0/24")).await;
    // All three are as long.
    let length = written(&mut b, &lane_b, 1).await;
    let written = socket.written.lock().unwrap();
    assert_eq!(*written, [(23, 0), (length, 0), (length, 0)]);
}

/// Trap 16: who reads waits for one visit to a lane at most, however much is to be done, and the work goes on meanwhile.
#[tokio::test]
async fn readers_are_answered_during_a_large_flush_and_do_not_stall_it() {
    const ROUTES: u32 = 100_000;
    let (fib, mut kernel) = mpsc::channel(1_000);
    let (events, _log) = mpsc::channel(1_000);
    let settings = Settings {
        track_next_hops: false,
        ..settings()
    };
    let rib = spawn(settings, edges(fib, events));
    tokio::spawn(async move { while kernel.recv().await.is_some() {} });
    let (to_a, _a) = mpsc::channel(100);
    let (to_b, mut b) = mpsc::channel(100);
    let lane_a = rib.peer_up(client(1), to_a).await;
    let lane_b = rib.peer_up(client(2), to_b).await;
    [&lane_a, &lane_b]
        .into_iter()
        .for_each(|lane| lane.credit(256 * 1024));
    let reader = tokio::spawn(async move {
        while let Some(ToSession::Write(chunks)) = b.recv().await {
            lane_b.credit(chunks.iter().map(|chunk| chunk.bytes.len()).sum());
        }
    });
    let feeder = tokio::spawn(async move {
        for first in (0..ROUTES).step_by(1_000) {
            let prefixes = (first..first + 1_000).map(|n| ipnet::Ipv4Net::new((n << 8).into(), 24).unwrap());
            let mut messages = Vec::new();
            for prefix in prefixes {
                messages.extend_from_slice(&update(&prefix.to_string()));
            }
            lane_a.received(messages.into()).await;
        }
        lane_a
    });
    // One route takes 48 octets here: a visit that begins within its budget ends with the buffer in hand. Each of the two
    // questions of a round may find the shard at the beginning of one.
    let visits = 2 * (LANE_BUDGET / 48 + 1_000) as u64;
    let (mut paths, mut answers) = (0, 0);
    while paths < u64::from(ROUTES) {
        let Some(Answer::Counters(counters)) = rib.query(Query::Counters).await else {
            panic!()
        };
        let came = counters.paths - paths;
        assert!(came <= visits, "{paths}, then {came} more");
        (paths, answers) = (counters.paths, answers + 1);
        let page = Query::Routes {
            view: View::Best,
            family: None,
            within: None,
            after: None,
            limit: 10,
        };
        assert!(rib.query(page).await.is_some());
    }
    assert!(answers >= u64::from(ROUTES) / visits, "{answers}");
    drop((feeder.await, reader));
}

fn edges(fib: mpsc::Sender<FibUpdate>, events: mpsc::Sender<Event>) -> Edges {
    let (aggregates, _) = watch::channel(Vec::new());
    Edges {
        fib,
        events,
        aggregates,
    }
}

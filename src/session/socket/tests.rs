//! Socket options against the kernel itself, on loopback addresses.

use std::io::Write;
use std::time::Duration;

use bgp_codec::Asn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::session::peer::tests::settings;
use crate::session::settings::{Password, PeerAddress, RemoteAsn};

fn loopback(last: u8) -> IpAddr {
    [127, 9, 0, last].into()
}

fn key(text: &str) -> Option<Password> {
    Some(Password {
        key: Secret::new(text.as_bytes().to_vec()),
        file: "/key".into(),
    })
}

/// Settings for connecting to 127.9.0.1 from 127.9.0.2.
fn to(listener: &TcpListener) -> PeerSettings {
    PeerSettings {
        address: PeerAddress::Address(loopback(1)),
        port: listener.local_addr().unwrap().port(),
        source_address: Some(loopback(2)),
        ..settings()
    }
}

async fn connect(settings: &PeerSettings) -> io::Result<TcpStream> {
    let remote = destination(settings, loopback(1)).unwrap();
    prepare(settings, remote).unwrap().connect(remote).await
}

#[tokio::test]
async fn connects_from_the_source_address() {
    let listener = listen(SocketAddr::new(loopback(1), 0)).unwrap();
    let settings = to(&listener);
    let (stream, accepted) = tokio::join!(connect(&settings), listener.accept());
    assert_eq!(stream.unwrap().local_addr().unwrap().ip(), loopback(2));
    let (accepted, remote) = accepted.unwrap();
    assert_eq!(remote.ip(), loopback(2));
    adopt(&accepted, &settings, remote).unwrap();
    let socket = SockRef::from(&accepted);
    assert_eq!(socket.tos_v4().unwrap(), TRAFFIC_CLASS);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(settings.send_hold_time));
}

#[tokio::test]
async fn a_taken_port_says_so() {
    let listener = listen(SocketAddr::new(loopback(1), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let error = listen(address).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot listen at {address}: Address already in use"))
    );
}

/// A reload changes them on the open connection.
#[tokio::test]
async fn hop_limits_follow_new_settings() {
    let listener = listen(SocketAddr::new(loopback(1), 0)).unwrap();
    let settings = to(&listener);
    let (stream, accepted) = tokio::join!(connect(&settings), listener.accept());
    let _stream = stream.unwrap();
    let (accepted, remote) = accepted.unwrap();
    let distant = PeerSettings {
        remote_asn: RemoteAsn::Is(Asn(65_000)),
        multihop: Some(3),
        ..settings.clone()
    };
    let secure = PeerSettings {
        ttl_security: Some(1),
        ..settings.clone()
    };
    for (settings, hops) in [(&distant, 3), (&secure, 255), (&distant, 3), (&settings, 255)] {
        adopt(&accepted, settings, remote).unwrap();
        assert_eq!(SockRef::from(&accepted).ttl_v4().unwrap(), hops);
    }
}

#[test]
fn a_missing_interface_says_so() {
    let settings = PeerSettings {
        interface: Some("nosuch0".into()),
        ..settings()
    };
    let error = prepare(&settings, SocketAddr::new(loopback(1), 1)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot bind to interface nosuch0: "),
        "{error}"
    );
}

#[test]
fn external_peers_are_one_hop_away_unless_told_otherwise() {
    let external = PeerSettings {
        remote_asn: RemoteAsn::Is(Asn(65_000)),
        ..settings()
    };
    assert_eq!(hops(&settings()), (None, None));
    assert_eq!(hops(&external), (Some(1), None));
    assert_eq!(
        hops(&PeerSettings {
            multihop: Some(3),
            ..external.clone()
        }),
        (Some(3), None)
    );
    assert_eq!(
        hops(&PeerSettings {
            ttl_security: Some(1),
            ..external.clone()
        }),
        (Some(255), Some(255))
    );
    assert_eq!(
        hops(&PeerSettings {
            ttl_security: Some(2),
            ..external
        }),
        (Some(255), Some(254))
    );
}

#[tokio::test]
async fn ttl_security_passes_full_ttl_and_drops_less() {
    let listener = listen(SocketAddr::new(loopback(1), 0)).unwrap();
    let secure = PeerSettings {
        ttl_security: Some(1),
        ..to(&listener)
    };
    let (stream, accepted) = tokio::join!(connect(&secure), listener.accept());
    let (mut stream, (mut accepted, remote)) = (stream.unwrap(), accepted.unwrap());
    adopt(&accepted, &secure, remote).unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(accepted.read_u8().await.unwrap(), b'x');
    // What comes from farther away does not arrive.
    SockRef::from(&stream).set_ttl_v4(64).unwrap();
    stream.write_all(b"y").await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(100), accepted.read_u8());
    assert!(silence.await.is_err());
}

/// What a distant peer sends before its connection is accepted has passed no check of its own.
#[tokio::test]
async fn a_connection_that_began_far_away_is_known_by_its_first_packet() {
    let listener = listen(SocketAddr::new(loopback(1), 0)).unwrap();
    let plain = to(&listener);
    let secure = PeerSettings {
        ttl_security: Some(2),
        ..plain.clone()
    };
    for (ttl, near) in [(255, true), (254, true), (253, false), (64, false)] {
        let remote = destination(&plain, loopback(1)).unwrap();
        let socket = prepare(&plain, remote).unwrap();
        SockRef::from(&socket).set_ttl_v4(ttl).unwrap();
        let (stream, accepted) = tokio::join!(socket.connect(remote), listener.accept());
        let (_stream, (accepted, _)) = (stream.unwrap(), accepted.unwrap());
        assert_eq!(came_from_near(&accepted, &secure).is_ok(), near, "{ttl}");
        came_from_near(&accepted, &plain).unwrap();
    }
}

/// Whether the kernel offers TCP MD5 at all; says so where it does not.
fn has_md5(listener: &TcpListener) -> bool {
    let set = set_key(
        listener,
        IpNet::from(loopback(9)),
        Some(&Secret::new(b"probe".to_vec())),
    );
    if let Err(error) = &set {
        eprintln!("skipped: {error}");
    }
    set.is_ok()
}

async fn connects(settings: &PeerSettings) -> bool {
    let attempt = tokio::time::timeout(Duration::from_millis(200), connect(settings));
    matches!(attempt.await, Ok(Ok(_)))
}

#[tokio::test]
async fn keys_must_match_on_both_ends() {
    let listener = listen(SocketAddr::new(loopback(1), 0)).unwrap();
    if !has_md5(&listener) {
        return;
    }
    let plain = to(&listener);
    let keyed = PeerSettings {
        password: key("secret"),
        ..plain.clone()
    };
    let other = PeerSettings {
        password: key("other"),
        ..plain.clone()
    };
    let peer = IpNet::from(loopback(2));
    set_key(
        &listener,
        peer,
        keyed.password.as_ref().map(|password| &password.key),
    )
    .unwrap();
    assert!(connects(&keyed).await);
    assert!(!connects(&plain).await);
    assert!(!connects(&other).await);
    set_key(&listener, peer, None).unwrap();
    set_key(&listener, peer, None).unwrap();
    assert!(connects(&plain).await);
}

#[tokio::test]
async fn one_key_serves_a_range() {
    let listener = listen(SocketAddr::new(loopback(1), 0)).unwrap();
    if !has_md5(&listener) {
        return;
    }
    let keyed = PeerSettings {
        password: key("secret"),
        ..to(&listener)
    };
    let range: IpNet = "127.9.0.0/29".parse().unwrap();
    set_key(&listener, range, Some(&Secret::new(b"secret".to_vec()))).unwrap();
    assert!(connects(&keyed).await);
    assert!(!connects(&to(&listener)).await);
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let listener = listen(SocketAddr::new(loopback(1), 0)).unwrap();
    let error = set_key(
        &listener,
        IpNet::from(loopback(2)),
        Some(&Secret::new(vec![b'x'; 81])),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot set the TCP MD5 key for 127.9.0.2/32"),
        "{error}"
    );
}

#[tokio::test]
async fn what_the_socket_holds_can_be_read_at_any_time() {
    let listener = std::net::TcpListener::bind(SocketAddr::new(loopback(1), 0)).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let mut buffer = [0; 8];
    assert_eq!(
        read_now(&stream, &mut buffer).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    accepted.write_all(b"abc").unwrap();
    assert_eq!(read_now(&stream, &mut buffer).unwrap(), 3);
}

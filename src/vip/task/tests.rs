//! The running VIPs, against servers of this process.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::*;
use crate::vip::settings::{Carried, HttpProbe};

#[tokio::test]
async fn a_vip_is_announced_while_its_server_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (sender, mut announcements) = mpsc::channel(4);
    let handle = start(vec![vip("shop", Some(tcp(target)))], sender);
    assert!(!handle.progress().borrow().all_verdicts_in);
    assert_eq!(told(&mut announcements).await, "+shop");
    assert!(handle.progress().borrow().all_verdicts_in);
    drop(listener);
    assert_eq!(told(&mut announcements).await, "-shop");
    let status = handle.statuses().remove(0);
    assert_eq!((status.verdict, status.transitions_total), (Verdict::Down, 2));
    let said = status.checks[0].last_result.clone().unwrap();
    assert!(said.contains("refused"), "{said}");
    let _listener = TcpListener::bind(target).await.unwrap();
    assert_eq!(told(&mut announcements).await, "+shop");
    assert_eq!(handle.verdicts()[0].verdict, Verdict::Up);
}

#[tokio::test]
async fn a_check_that_hangs_delays_no_other() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = Check {
        probe: Probe::Http(HttpProbe {
            target: silent.local_addr().unwrap(),
            host: "silent".into(),
            path: "/".into(),
            headers: vec![],
            status: None,
            body: None,
            tls: None,
        }),
        timeout: Duration::from_secs(3_600),
        ..tcp(silent.local_addr().unwrap())
    };
    let (sender, mut announcements) = mpsc::channel(4);
    let vips = vec![
        vip("hangs", Some(hanging)),
        vip("works", Some(tcp(listener.local_addr().unwrap()))),
    ];
    let handle = start(vips, sender);
    assert_eq!(told(&mut announcements).await, "+works");
    let (_stream, _) = silent.accept().await.unwrap();
    assert_eq!(handle.statuses()[0].verdict, Verdict::Unknown);
}

#[tokio::test]
async fn a_reload_adds_changes_and_removes() {
    let (sender, mut announcements) = mpsc::channel(4);
    let handle = start(vec![vip("a", None), vip("b", None)], sender);
    assert_eq!(told(&mut announcements).await, "+a");
    assert_eq!(told(&mut announcements).await, "+b");
    let changed_med = || Vip {
        up: Carried {
            med: Some(7),
            ..Carried::default()
        },
        ..vip("b", None)
    };
    handle.reconfigure(vec![changed_med(), vip("c", None)]);
    assert_eq!(told(&mut announcements).await, "-a");
    assert_eq!(told(&mut announcements).await, "+b");
    assert_eq!(told(&mut announcements).await, "+c");
    handle.reconfigure(vec![changed_med(), vip("c", None)]);
    handle.reconfigure(vec![]);
    assert_eq!(told(&mut announcements).await, "-b");
    assert_eq!(told(&mut announcements).await, "-c");
}

#[tokio::test]
async fn a_saved_verdict_is_announced_before_any_probe_ends() {
    let silent: SocketAddr = "192.0.2.1:9".parse().unwrap();
    let verdicts = vec![SavedVerdict {
        name: "a".into(),
        verdict: Verdict::Up,
        since_unix_s: 1,
        checks: vec![],
        damped_until_unix_s: None,
    }];
    let (sender, mut announcements) = mpsc::channel(4);
    let patient = Check {
        interval: Duration::from_secs(3_600),
        fall: 100,
        ..tcp(silent)
    };
    let handle = spawn(
        Start {
            vips: vec![vip("a", Some(patient))],
            legacy: Legacy {
                verdicts,
                ..Legacy::default()
            },
            ..Start::default()
        },
        sender,
    );
    assert_eq!(told(&mut announcements).await, "+a");
    assert!(handle.progress().borrow().all_verdicts_in);
}

#[tokio::test]
async fn a_hook_is_told_of_each_change_in_order() {
    let template = std::env::temp_dir().join("stonechat-hook-XXXXXX");
    let directory = nix::unistd::mkdtemp(&template).unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&directory, everybody).unwrap();
    let told = directory.join("told");
    let script = format!(
        "echo $STONECHAT_VIP $STONECHAT_PREVIOUS_STATE $STONECHAT_STATE $STONECHAT_ANNOUNCED $STONECHAT_REASON >> {}",
        told.display()
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let hooked = Vip {
        on_change: Some(vec!["/bin/sh".into(), "-c".into(), script]),
        ..vip("shop", Some(tcp(target)))
    };
    let (sender, mut announcements) = mpsc::channel(4);
    let _handle = start(vec![hooked], sender);
    assert_eq!(self::told(&mut announcements).await, "+shop");
    drop(listener);
    assert_eq!(self::told(&mut announcements).await, "-shop");
    let wanted = "shop unknown up yes\nshop up down no down\n";
    let patience = Instant::now() + Duration::from_secs(20);
    while std::fs::read_to_string(&told).unwrap_or_default() != wanted {
        assert!(Instant::now() < patience, "{:?}", std::fs::read_to_string(&told));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn the_task_ends_with_its_receiver() {
    let (sender, announcements) = mpsc::channel(4);
    let mut handle = start(vec![], sender);
    drop(announcements);
    (&mut handle.task).await.unwrap();
}

#[test]
fn jitter_spreads_checks_over_its_span_and_never_beyond() {
    const ROUNDS: u64 = 1_000;
    let span = Duration::from_millis(200);
    let random = foldhash::fast::FixedState::with_seed(7);
    let delays: Vec<Duration> = (0..ROUNDS)
        .map(|round| part_of(span, random.hash_one((3_u32, round))))
        .collect();
    assert!(delays.iter().all(|delay| *delay < span));
    for quarter in 0..4 {
        let of_quarter = |delay: &&Duration| delay.as_millis() / 50 == quarter;
        let count = delays.iter().filter(of_quarter).count();
        assert!((200..300).contains(&count), "{count} in quarter {quarter}");
    }
    assert_eq!(part_of(Duration::ZERO, u64::MAX), Duration::ZERO);
}

async fn told(announcements: &mut mpsc::Receiver<Announcement>) -> String {
    let long = Duration::from_secs(20);
    let next = tokio::time::timeout(long, announcements.recv()).await;
    let told = next.expect("an announcement in time").expect("the task runs");
    let sign = if told.attributes.is_some() { '+' } else { '-' };
    format!("{sign}{}", told.name)
}

fn start(vips: Vec<Vip>, sender: mpsc::Sender<Announcement>) -> Handle {
    let start = Start {
        vips,
        ..Start::default()
    };
    spawn(start, sender)
}

fn vip(name: &str, check: Option<Check>) -> Vip {
    Vip {
        checks: check.into_iter().collect(),
        ..Vip::new(name.into(), "192.0.2.1/32".parse().unwrap())
    }
}

fn tcp(target: SocketAddr) -> Check {
    let interval = Duration::from_millis(10);
    Check {
        probe: Probe::Tcp(target),
        interval,
        fast_interval: interval,
        jitter: Duration::ZERO,
        timeout: Duration::from_secs(5),
        rise: 2,
        fall: 2,
        on_fail: Verdict::Down,
    }
}

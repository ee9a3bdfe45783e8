//! The running VIPs, against servers of this process.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::*;

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
    assert!(status.last_result.unwrap().contains("refused"));
    let _listener = TcpListener::bind(target).await.unwrap();
    assert_eq!(told(&mut announcements).await, "+shop");
    assert_eq!(handle.verdicts()[0].verdict, Verdict::Up);
}

#[tokio::test]
async fn a_check_that_hangs_delays_no_other() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = Check {
        probe: Probe::Http {
            target: silent.local_addr().unwrap(),
            host: "silent".into(),
            path: "/".into(),
            status: None,
        },
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
    let changed = Vip {
        med: Some(7),
        ..vip("b", None)
    };
    handle.reconfigure(vec![changed, vip("c", None)]);
    assert_eq!(told(&mut announcements).await, "-a");
    assert_eq!(told(&mut announcements).await, "+b");
    assert_eq!(told(&mut announcements).await, "+c");
    handle.reconfigure(vec![
        Vip {
            med: Some(7),
            ..vip("b", None)
        },
        vip("c", None),
    ]);
    handle.reconfigure(vec![]);
    assert_eq!(told(&mut announcements).await, "-b");
    assert_eq!(told(&mut announcements).await, "-c");
}

#[tokio::test]
async fn a_saved_verdict_is_announced_before_any_probe_ends() {
    let silent: SocketAddr = "192.0.2.1:9".parse().unwrap();
    let saved = vec![SavedVerdict {
        name: "a".into(),
        verdict: Verdict::Up,
        since_unix_s: 1,
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
            saved,
            ..Start::default()
        },
        sender,
    );
    assert!(handle.progress().borrow().all_verdicts_in);
    assert_eq!(told(&mut announcements).await, "+a");
}

#[tokio::test]
async fn the_task_ends_with_its_receiver() {
    let (sender, announcements) = mpsc::channel(4);
    let mut handle = start(vec![], sender);
    drop(announcements);
    (&mut handle.task).await.unwrap();
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
        name: name.into(),
        address: "192.0.2.1/32".parse().unwrap(),
        check,
        communities: vec![],
        large_communities: vec![],
        med: None,
    }
}

fn tcp(target: SocketAddr) -> Check {
    Check {
        probe: Probe::Tcp(target),
        interval: Duration::from_millis(10),
        timeout: Duration::from_secs(5),
        rise: 2,
        fall: 2,
    }
}

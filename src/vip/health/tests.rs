//! Probes against servers of this process on ports that the kernel chooses.

use std::io::ErrorKind;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::vip::binding::Link;
use crate::vip::settings::{DnsKind, DnsProbe, HttpProbe};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn tcp_passes_when_a_connection_opens() {
    let listener = listener().await;
    let target = listener.local_addr().unwrap();
    assert_eq!(ask(Probe::Tcp(target), LONG).await, Ok("connected".into()));
    drop(listener);
    let refused = ask(Probe::Tcp(target), LONG).await.unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
}

#[tokio::test]
async fn http_passes_with_a_status_of_200_to_399() {
    check_http("200 OK", None, Ok("status 200 OK")).await;
    check_http("302 Found", None, Ok("status 302 Found")).await;
    check_http("404 Not Found", None, Err("status 404 Not Found")).await;
    check_http(
        "503 Service Unavailable",
        None,
        Err("status 503 Service Unavailable"),
    )
    .await;
}

#[tokio::test]
async fn http_passes_with_the_expected_status_only() {
    check_http("204 No Content", Some(204), Ok("status 204 No Content")).await;
    check_http("200 OK", Some(204), Err("status 200 OK")).await;
    check_http("401 Unauthorized", Some(401), Ok("status 401 Unauthorized")).await;
}

#[tokio::test]
async fn http_asks_for_the_path_at_the_host() {
    let (probe, server) = http_server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None).await;
    ask(probe, LONG).await.unwrap();
    let request = server.await.unwrap();
    assert!(
        request.starts_with("GET /healthz?full=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nhost: shop.example\r\n"), "{request}");
    assert!(request.contains("\r\nx-check: yes\r\n"), "{request}");
}

#[tokio::test]
async fn http_looks_for_the_text_in_the_body() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nall is ready";
    for (text, outcome) in [
        ("is ready", Ok("status 200 OK")),
        ("is well", Err("status 200 OK, but the body lacks the text")),
    ] {
        let (probe, _server) = http_server(answer, None).await;
        let Probe::Http(mut asked) = probe else {
            panic!("an HTTP probe")
        };
        asked.body = Some(text.into());
        let said = ask(Probe::Http(asked), LONG).await;
        assert_eq!(said.as_deref().map_err(String::as_str), outcome);
    }
}

#[tokio::test]
async fn dns_passes_when_the_server_has_the_record() {
    let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let asked = Probe::Dns(DnsProbe {
        server: server.local_addr().unwrap(),
        name: "shop.example".into(),
        kind: DnsKind::A,
    });
    let answering = tokio::spawn(async move {
        for code in [0_u8, 3] {
            let mut buffer = [0; 512];
            let (length, client) = server.recv_from(&mut buffer).await.unwrap();
            // An answer to somebody else's question first.
            let mut answer = buffer[..length].to_vec();
            answer[2] |= 0x80;
            answer[3] = code;
            answer[7] = 1;
            let mut stray = answer.clone();
            stray[0] ^= 1;
            server.send_to(&stray, client).await.unwrap();
            server.send_to(&answer, client).await.unwrap();
        }
    });
    assert_eq!(ask(asked.clone(), LONG).await, Ok("NOERROR, 1 records".into()));
    assert_eq!(ask(asked, LONG).await, Err("NXDOMAIN".into()));
    answering.await.unwrap();
}

#[tokio::test]
async fn a_file_switches_on_or_off() {
    let directory = open_directory();
    let path = directory.join("switch");
    let file = |absent| Probe::File {
        path: path.clone(),
        absent,
    };
    assert_eq!(ask(file(false), LONG).await, Err("it is not there".into()));
    assert_eq!(ask(file(true), LONG).await, Ok("it is not there".into()));
    std::fs::write(&path, "").unwrap();
    assert_eq!(ask(file(false), LONG).await, Ok("it is there".into()));
    assert_eq!(ask(file(true), LONG).await, Err("it is there".into()));
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn an_interface_passes_while_it_is_up() {
    let interface = |name: &str| ask(Probe::Interface(name.into()), LONG);
    assert_eq!(interface("eth0").await, Ok("up".into()));
    assert_eq!(interface("eth1").await, Err("down, or without carrier".into()));
    assert_eq!(interface("eth2").await, Err("there is no such interface".into()));
}

#[tokio::test]
async fn http_says_when_the_answer_is_no_http() {
    let (probe, _server) = http_server("SSH-2.0-OpenSSH_9.2\r\n", None).await;
    let error = ask(probe, LONG).await.unwrap_err();
    assert!(error.starts_with("no HTTP answer: "), "{error}");
}

#[tokio::test]
async fn http_that_never_answers_fails_at_the_timeout() {
    let listener = listener().await;
    let probe = http(listener.local_addr().unwrap(), None);
    let short = Duration::from_millis(50);
    assert_eq!(ask(probe, short).await, Err("no answer within 50ms".into()));
}

#[tokio::test]
async fn a_command_passes_with_exit_code_0_and_its_output_is_the_text() {
    assert_eq!(run("exit 0").await, Ok("exit status: 0".into()));
    assert_eq!(run("echo; echo all well; echo more").await, Ok("all well".into()));
    assert_eq!(
        run("echo no disk >&2; exit 3").await,
        Err("exit status: 3: no disk".into())
    );
    assert_eq!(run("exit 1").await, Err("exit status: 1".into()));
}

#[tokio::test]
async fn a_command_that_does_not_exist_fails_with_its_name() {
    let error = ask(Probe::Command(vec!["/nonexistent/check".into()]), LONG)
        .await
        .unwrap_err();
    assert!(error.starts_with("cannot run /nonexistent/check: "), "{error}");
    let error = ask(Probe::Command(vec![]), LONG).await.unwrap_err();
    assert!(error.starts_with("cannot run "), "{error}");
}

#[tokio::test]
async fn a_command_that_prints_without_end_is_read_and_cut() {
    let text = run("head -c 3000000 /dev/zero | tr '\\0' x").await.unwrap();
    assert_eq!(text.len(), 160);
}

#[tokio::test]
async fn a_command_knows_its_vip_and_has_no_other_environment() {
    assert_eq!(
        run("echo $STONECHAT_VIP $STONECHAT_ADDRESS").await,
        Ok("shop 192.0.2.1/32".into())
    );
    assert_eq!(run("echo ${CARGO_MANIFEST_DIR:-empty}").await, Ok("empty".into()));
}

#[tokio::test]
async fn a_command_runs_without_privileges() {
    assert_eq!(
        run("grep CapEff: /proc/self/status").await,
        Ok("CapEff:0000000000000000".into())
    );
    if nix::unistd::geteuid().is_root() {
        assert_eq!(
            run("echo $(id -u) $(id -g) $(id -G)").await,
            Ok("65534 65534 65534".into())
        );
    }
}

#[tokio::test]
async fn a_command_inherits_no_ambient_capability() {
    use caps::{CapSet, Capability};
    let capability = Capability::CAP_NET_BIND_SERVICE;
    let raised = caps::raise(None, CapSet::Inheritable, capability)
        .and_then(|()| caps::raise(None, CapSet::Ambient, capability));
    if raised.is_err() {
        eprintln!("skipped: only root has capabilities to hand on");
        return;
    }
    command::keep_capabilities_to_ourselves().unwrap();
    assert!(caps::read(None, CapSet::Ambient).unwrap().is_empty());
}

#[tokio::test]
async fn at_the_timeout_the_whole_process_group_is_killed() {
    let directory = open_directory();
    let pids = directory.join("pids");
    let script = format!("echo $$ > {0}; sleep 1000 & echo $! >> {0}; wait", pids.display());
    let ended = tokio::spawn(ask(shell(&script), Duration::from_secs(2)));
    let started = wait_for_pids(&pids, 2).await;
    assert_eq!(ended.await.unwrap(), Err("no answer within 2s".into()));
    for pid in started {
        wait_until_gone(pid).await;
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn what_a_command_leaves_running_is_killed_and_not_waited_for() {
    let directory = open_directory();
    let pids = directory.join("pids");
    let script = format!("sleep 1000 & echo $! > {}; echo fine", pids.display());
    assert_eq!(run(&script).await, Ok("fine".into()));
    for pid in wait_for_pids(&pids, 1).await {
        wait_until_gone(pid).await;
    }
    std::fs::remove_dir_all(directory).unwrap();
}

async fn check_http(status: &str, expected: Option<u16>, outcome: Result<&str, &str>) {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let (probe, _server) = http_server(&answer, expected).await;
    let asked = ask(probe, LONG).await;
    assert_eq!(asked.as_deref().map_err(String::as_str), outcome);
}

/// Answers one request and yields what was asked.
async fn http_server(answer: &str, expected: Option<u16>) -> (Probe, tokio::task::JoinHandle<String>) {
    let listener = listener().await;
    let target = listener.local_addr().unwrap();
    let answer = String::from(answer);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (http(target, expected), server)
}

fn http(target: SocketAddr, status: Option<u16>) -> Probe {
    Probe::Http(HttpProbe {
        target,
        host: "shop.example".into(),
        path: "/healthz?full=1".into(),
        headers: vec![("X-Check".into(), "yes".into())],
        status,
        body: None,
        tls: None,
    })
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn run(script: &str) -> Result<String, String> {
    ask(shell(script), LONG).await
}

fn shell(script: &str) -> Probe {
    Probe::Command(vec!["sh".into(), "-c".into(), script.into()])
}

async fn ask(asked: Probe, timeout: Duration) -> Result<String, String> {
    let links = Links {
        interfaces: [("eth0", true), ("eth1", false)]
            .into_iter()
            .map(|(name, up)| (name.into(), Link { up, speed: None }))
            .collect(),
        ..Links::default()
    };
    let surroundings = Surroundings {
        links: Some(&links),
        number: 7,
        trust: &Trust::default(),
        files: &Files::default(),
    };
    let vip = Vip::new("shop".into(), "192.0.2.1/32".parse().unwrap());
    let ProbeResult { passed, text } = probe(&vip, &asked, timeout, surroundings).await;
    if passed { Ok(text) } else { Err(text) }
}

/// A new directory that commands without privileges may write to.
fn open_directory() -> std::path::PathBuf {
    let template = std::env::temp_dir().join("stonechat-check-XXXXXX");
    let directory = nix::unistd::mkdtemp(&template).unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&directory, everybody).unwrap();
    directory
}

async fn wait_for_pids(file: &Path, count: usize) -> Vec<i32> {
    patiently(|| {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => panic!("{error}"),
        };
        let complete = text.ends_with('\n').then_some(text)?;
        let pids: Vec<i32> = complete.lines().map(|line| line.parse().unwrap()).collect();
        (pids.len() == count).then_some(pids)
    })
    .await
}

/// A killed process may stay a zombie until its new parent looks.
async fn wait_until_gone(pid: i32) {
    patiently(|| match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.contains(") Z ").then_some(()),
        Err(_) => Some(()),
    })
    .await;
}

async fn patiently<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < LONG, "waited too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

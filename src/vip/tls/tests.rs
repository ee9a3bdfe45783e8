//! Checks over TLS against a server in this process, and what an operator reads when one fails.
//!
//! `certificates/` were made with `openssl ca`, from an authority whose key was thrown away, and last until 2126; all share
//! `server.key`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::health::{self, Surroundings};
use super::super::settings::{HttpProbe, Probe, Tls, Vip};
use super::*;

/// Longer than any handshake on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_server_passes_under_the_names_of_its_certificate() {
    check("shop", "shop.example", "ca", Ok("status 200 OK")).await;
    check("shop", "www.shop.example", "ca", Ok("status 200 OK")).await;
    check("address", "127.0.0.1", "ca", Ok("status 200 OK")).await;
}

#[tokio::test]
async fn the_text_says_what_is_wrong_with_a_certificate() {
    let names = "no TLS: the certificate is for shop.example, *.shop.example, not for ";
    check(
        "shop",
        "bank.example",
        "ca",
        Err(&format!("{names}bank.example (`server_name`)")),
    )
    .await;
    check(
        "shop",
        "127.0.0.1",
        "ca",
        Err(&format!("{names}127.0.0.1 (`server_name`)")),
    )
    .await;
    let nameless = "no TLS: the certificate is not for shop.example: it has no subjectAltName, and a common name does not \
                    count";
    check("nameless", "shop.example", "ca", Err(nameless)).await;
    check(
        "shop",
        "shop.example",
        "self",
        Err("no TLS: no CA of self.pem vouches for the certificate"),
    )
    .await;
    for (certificate, beginning) in [
        ("expired", "no TLS: the certificate expired "),
        ("early", "no TLS: the certificate is not valid before another "),
    ] {
        let text = ask(certificate, "shop.example", "ca").await.unwrap_err();
        assert!(text.starts_with(beginning) && text.contains(" days"), "{text}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_where_the_file_holds_it() {
    check("self", "shop.example", "self", Ok("status 200 OK")).await;
    check(
        "self",
        "bank.example",
        "self",
        Err("no TLS: the certificate is for shop.example, not for bank.example (`server_name`)"),
    )
    .await;
    check(
        "self",
        "shop.example",
        "self-expired",
        Err("no TLS: the certificate is one of a CA, and not in self-expired.pem"),
    )
    .await;
    let expired = ask("self-expired", "shop.example", "self-expired").await;
    assert!(expired.unwrap_err().contains("expired"));
}

#[tokio::test]
async fn a_file_of_cas_that_is_none_is_named() {
    let missing = ask("shop", "shop.example", "missing").await.unwrap_err();
    assert!(
        missing.starts_with("no TLS: cannot read `ca_file` missing.pem: No such file"),
        "{missing}"
    );
    let server = serve(["shop"], rustls::DEFAULT_VERSIONS).await;
    let key = probe(server, "shop.example", &certificates().join("server.key")).await;
    let key = key.unwrap_err();
    assert!(key.ends_with("there is no certificate in it"), "{key}");
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_that_hangs_up_or_says_nothing() {
    let answer = |answer: &'static [u8]| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        probe(target, "shop.example", &file("ca")).await.unwrap_err()
    };
    assert_eq!(
        answer(b"HTTP/1.1 400 Bad Request\r\n\r\n").await,
        "no TLS: the server speaks no TLS"
    );
    // Alert 70 is protocol_version, RFC 8446 §6.
    assert_eq!(
        answer(&[21, 3, 1, 0, 2, 2, 70]).await,
        "no TLS: the server refused the handshake: ProtocolVersion"
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let silent = probe_within(Duration::from_millis(80), target, "shop.example", &file("ca")).await;
    assert_eq!(silent, Err("no TLS handshake within 80ms".into()));
    drop(listener);
    let refused = probe(target, "shop.example", &file("ca")).await.unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
}

#[tokio::test]
async fn every_probe_sees_the_certificate_anew() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        // A client that resumed its session would not be shown the second one.
        let server = serve(["shop", "expired"], &[version]).await;
        let asked = || probe_of(server, "shop.example", &file("ca"));
        let trust = Trust::default();
        assert_eq!(
            ask_with(&trust, asked(), PATIENCE).await,
            Ok("status 200 OK".into())
        );
        let second = ask_with(&trust, asked(), PATIENCE).await.unwrap_err();
        assert!(second.contains("expired"), "{version:?}: {second}");
    }
}

#[tokio::test]
async fn a_file_of_cas_is_read_again_when_it_has_changed() {
    let template = std::env::temp_dir().join("stonechat-ca-XXXXXX");
    let directory = nix::unistd::mkdtemp(&template).unwrap();
    let ca = directory.join("ca.pem");
    std::fs::copy(file("self"), &ca).unwrap();
    let server = serve(["shop"], rustls::DEFAULT_VERSIONS).await;
    let trust = Trust::default();
    let asked = || probe_of(server, "shop.example", &ca);
    let untrusted = ask_with(&trust, asked(), PATIENCE).await.unwrap_err();
    assert!(untrusted.contains("vouches"), "{untrusted}");
    std::fs::copy(file("ca"), &ca).unwrap();
    assert_eq!(
        ask_with(&trust, asked(), PATIENCE).await,
        Ok("status 200 OK".into())
    );
    std::fs::remove_dir_all(directory).unwrap();
}

/// Asks a server with this certificate under this name, trusting that file; paths are shortened to their names.
async fn check(certificate: &'static str, name: &str, ca: &str, outcome: Result<&str, &str>) {
    let said = ask(certificate, name, ca).await;
    assert_eq!(
        said.as_deref().map_err(String::as_str),
        outcome,
        "{certificate} {name}"
    );
}

async fn ask(certificate: &'static str, name: &str, ca: &str) -> Result<String, String> {
    let server = serve([certificate], rustls::DEFAULT_VERSIONS).await;
    probe(server, name, &file(ca)).await
}

async fn probe(target: SocketAddr, name: &str, ca: &Path) -> Result<String, String> {
    probe_within(PATIENCE, target, name, ca).await
}

async fn probe_within(
    timeout: Duration,
    target: SocketAddr,
    name: &str,
    ca: &Path,
) -> Result<String, String> {
    let said = ask_with(&Trust::default(), probe_of(target, name, ca), timeout).await;
    let directory = format!("{}/", certificates().display());
    said.map_err(|text| text.replace(&directory, ""))
}

async fn ask_with(trust: &Trust, asked: Probe, timeout: Duration) -> Result<String, String> {
    let surroundings = Surroundings {
        links: None,
        number: 7,
        trust,
        files: &Files::default(),
    };
    let vip = Vip::new("shop".into(), "192.0.2.1/32".parse().unwrap());
    let result = health::probe(&vip, &asked, timeout, surroundings).await;
    if result.passed {
        Ok(result.text)
    } else {
        Err(result.text)
    }
}

fn probe_of(target: SocketAddr, name: &str, ca: &Path) -> Probe {
    Probe::Http(HttpProbe {
        target,
        host: name.into(),
        path: "/".into(),
        headers: vec![],
        status: None,
        body: None,
        tls: Some(Tls {
            server_name: name.into(),
            ca_file: Some(ca.to_path_buf()),
        }),
    })
}

/// Serves over TLS until the runtime ends, each connection with the next of the certificates.
async fn serve<const N: usize>(
    names: [&'static str; N],
    versions: &[&'static SupportedProtocolVersion],
) -> SocketAddr {
    let provider = Arc::new(ring::default_provider());
    let keys = names.map(|name| {
        let chain = vec![CertificateDer::from_pem_file(file(name)).unwrap()];
        let key = PrivateKeyDer::from_pem_file(certificates().join("server.key")).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        Arc::new(CertifiedKey::new(chain, key))
    });
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(InTurn(keys.to_vec(), AtomicUsize::new(0))));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust us ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    target
}

#[derive(Debug)]
struct InTurn(Vec<Arc<CertifiedKey>>, AtomicUsize);

impl ResolvesServerCert for InTurn {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let turn = self.1.fetch_add(1, Ordering::SeqCst);
        self.0.get(turn % self.0.len()).cloned()
    }
}

fn file(name: &str) -> PathBuf {
    certificates().join(name).with_extension("pem")
}

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vip/tls/certificates")
}

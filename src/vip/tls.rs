//! TLS for checks: who is trusted, and the handshake.
//!
//! A server is trusted if a certificate of `ca_file`, or of the system's bundle, vouches for it under the name that it is
//! asked by (RFC 9525). The file is read again when it has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::health::ProbeError;
use super::settings::Tls;

/// Where distributions keep their bundle.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Who is trusted, by file.
#[derive(Debug, Default)]
pub(super) struct Trust(Mutex<BTreeMap<PathBuf, Trusted>>);

#[derive(Clone, Debug)]
struct Trusted {
    modified: Option<SystemTime>,
    octets: u64,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Shakes hands as the check says.
    pub(super) async fn connect(
        &self,
        tls: &Tls,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ProbeError> {
        let config = self.of(tls.ca_file.as_deref()).await.map_err(ProbeError::Trust)?;
        let name = ServerName::try_from(tls.server_name.clone())
            .map_err(|error| ProbeError::Trust(error.to_string()))?;
        TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(ProbeError::Tls)
    }

    async fn of(&self, file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
        let path = match file {
            Some(path) => path,
            None => bundle()
                .await
                .ok_or("this system has no bundle of CAs: set `ca_file`")?,
        };
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let about = tokio::fs::metadata(path).await.map_err(|error| said(&error))?;
        let (modified, octets) = (about.modified().ok(), about.len());
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned();
        if let Some(known) = known.filter(|known| (known.modified, known.octets) == (modified, octets)) {
            return Ok(known.config);
        }
        let pem = tokio::fs::read(path).await.map_err(|error| said(&error))?;
        let config = config(&pem).map_err(|error| said(&error))?;
        let trusted = Trusted {
            modified,
            octets,
            config: Arc::clone(&config),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_path_buf(), trusted);
        Ok(config)
    }
}

async fn bundle() -> Option<&'static Path> {
    for path in BUNDLES.map(Path::new) {
        if tokio::fs::metadata(path).await.is_ok() {
            return Some(path);
        }
    }
    None
}

/// Trusts every certificate of the file.
fn config(pem: &[u8]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        // A bundle may hold one that the library does not take; the others still count.
        if let Err(error) = roots.add(certificate) {
            tracing::debug!(%error, "a CA certificate is not taken");
        }
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(
        builder.with_root_certificates(roots).with_no_client_auth(),
    ))
}

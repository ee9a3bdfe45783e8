//! TLS for checks: who is trusted, the handshake, and what went wrong with it in an operator's words.
//!
//! A server is trusted if a certificate of `ca_file`, or of the system's bundle, vouches for it under the name that it is
//! asked by (RFC 9525). The file is read again when it has changed. No session is resumed: a resumed one shows no
//! certificate, and one that has expired or been replaced since would not be noticed.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) use self::error::TlsError;
use super::files::{Files, Version};
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
    version: Version,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Shakes hands as the check says.
    pub(super) async fn connect(
        &self,
        tls: &Tls,
        files: &Files,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let path = match tls.ca_file.as_deref() {
            Some(path) => path,
            None => bundle(files).await.ok_or(TlsError::NoBundle)?,
        };
        let config = self.of(path, files).await?;
        let name = ServerName::try_from(tls.server_name.clone())?;
        TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| TlsError::of_handshake(error, path))
    }

    async fn of(&self, path: &Path, files: &Files) -> Result<Arc<ClientConfig>, TlsError> {
        let unreadable = |error| TlsError::Unreadable(path.to_path_buf(), error);
        let version = files.version(path).await.map_err(unreadable)?;
        if let Some(known) = self
            .lock()
            .get(path)
            .filter(|known| Some(known.version) == version)
        {
            return Ok(Arc::clone(&known.config));
        }
        let (version, pem) = files.content(path).await.map_err(unreadable)?;
        let config = Verifier::trusting(&pem, path)?.config()?;
        let trusted = Trusted {
            version,
            config: Arc::clone(&config),
        };
        self.lock().insert(path.to_path_buf(), trusted);
        Ok(config)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Trusted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn bundle(files: &Files) -> Option<&'static Path> {
    for path in BUNDLES.map(Path::new) {
        if matches!(files.version(path).await, Ok(Some(_))) {
            return Some(path);
        }
    }
    None
}

/// Verifies as RFC 5280 has it, and takes a certificate that stands in the file itself.
#[derive(Debug)]
struct Verifier {
    chains: Arc<WebPkiServerVerifier>,
    in_the_file: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Trusts every certificate of the file.
    fn trusting(pem: &[u8], path: &Path) -> Result<Self, TlsError> {
        let certificates: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(pem).collect();
        let in_the_file = certificates.map_err(|error| TlsError::NoPem(path.to_path_buf(), error))?;
        let mut roots = RootCertStore::empty();
        // A bundle may hold one that the library does not take; the others still count.
        let (_, ignored) = roots.add_parsable_certificates(in_the_file.iter().cloned());
        if ignored > 0 {
            tracing::debug!(ignored, path = %path.display(), "CA certificates are not taken");
        }
        if roots.is_empty() {
            return Err(TlsError::NoCertificate(path.to_path_buf()));
        }
        let provider = Arc::new(ring::default_provider());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Self { chains, in_the_file })
    }

    fn config(self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.chains
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // A self-signed certificate mostly says that it is a CA, and a CA's certificate is no server's. Whoever put that
            // very one into the file means it all the same. The library looks at its validity first, at its name last.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.in_the_file.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

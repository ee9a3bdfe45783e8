//! Why there is no TLS with a server, so that whoever reads it knows what to mend.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::VerifierBuilderError;
use rustls::pki_types::{InvalidDnsNameError, pem};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why a check over TLS could not ask.
#[derive(Debug, thiserror::Error)]
pub(in crate::vip) enum TlsError {
    /// Nothing says whom to trust.
    #[error("this system has no bundle of CAs: set `ca_file`")]
    NoBundle,
    /// The file of CAs cannot be read.
    #[error("cannot read `ca_file` {}: {}", .0.display(), .1)]
    Unreadable(PathBuf, Arc<str>),
    /// It is no PEM.
    #[error("`ca_file` {}: {}", .0.display(), .1)]
    NoPem(PathBuf, pem::Error),
    /// It is PEM of other things.
    #[error("`ca_file` {}: there is no certificate in it", .0.display())]
    NoCertificate(PathBuf),
    /// It does not make a verifier.
    #[error("`ca_file`: {0}")]
    Verifier(#[from] VerifierBuilderError),
    /// The configured name is none.
    #[error("`server_name`: {0}")]
    Name(#[from] InvalidDnsNameError),
    /// What answers is another protocol.
    #[error("the server speaks no TLS")]
    NotTls,
    /// The server hung up.
    #[error("the server closed the connection in the handshake")]
    Closed,
    /// The server says no.
    #[error("the server refused the handshake: {0:?}")]
    Refused(AlertDescription),
    /// Validity has ended.
    #[error("the certificate expired {} ago", span(*.0))]
    Expired(Duration),
    /// Validity has not begun.
    #[error("the certificate is not valid before another {}", span(*.0))]
    NotYetValid(Duration),
    /// RFC 9525: names are those of subjectAltName.
    #[error("the certificate is for {presented}, not for {wanted} (`server_name`)")]
    WrongName {
        /// As configured.
        wanted: String,
        /// As in the certificate.
        presented: String,
    },
    /// RFC 9525 §2: a common name does not count.
    #[error("the certificate is not for {0}: it has no subjectAltName, and a common name does not count")]
    NoName(String),
    /// The chain ends nowhere.
    #[error("no CA of {} vouches for the certificate", .0.display())]
    Untrusted(PathBuf),
    /// It signs certificates and is none of a server, unless the file holds it.
    #[error("the certificate is one of a CA, and not in {}", .0.display())]
    OfCa(PathBuf),
    /// Anything else about the certificate.
    #[error("the certificate: {0}")]
    Certificate(CertificateError),
    /// Anything else about the handshake.
    #[error("{0}")]
    Protocol(#[from] Error),
    /// The connection broke.
    #[error("{0}")]
    Broken(io::Error),
}

/// The library's word for a certificate that says it is a CA's; it has no variant for it.
const CA_AS_SERVER: &str = "CaUsedAsEndEntity";

impl TlsError {
    /// What the library says of a handshake with a server that these CAs were to vouch for.
    pub(super) fn of_handshake(error: io::Error, trusted: &Path) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Closed;
        }
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Self::NotTls,
            Some(Error::AlertReceived(alert)) => Self::Refused(*alert),
            Some(Error::InvalidCertificate(error)) => Self::of_certificate(error, trusted),
            Some(error) => Self::Protocol(error.clone()),
            None => Self::Broken(error),
        }
    }

    fn of_certificate(error: &CertificateError, trusted: &Path) -> Self {
        match error {
            CertificateError::ExpiredContext { time, not_after } => Self::Expired(Duration::from_secs(
                time.as_secs().saturating_sub(not_after.as_secs()),
            )),
            CertificateError::NotValidYetContext { time, not_before } => Self::NotYetValid(
                Duration::from_secs(not_before.as_secs().saturating_sub(time.as_secs())),
            ),
            CertificateError::NotValidForNameContext { expected, presented } => {
                let wanted = expected.to_str().into_owned();
                if presented.is_empty() {
                    Self::NoName(wanted)
                } else {
                    let presented: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
                    let presented = presented.join(", ");
                    Self::WrongName { wanted, presented }
                }
            }
            CertificateError::Other(other) if other.to_string() == CA_AS_SERVER => {
                Self::OfCa(trusted.to_path_buf())
            }
            CertificateError::UnknownIssuer => Self::Untrusted(trusted.to_path_buf()),
            other => Self::Certificate(other.clone()),
        }
    }
}

/// The library shows names as `DnsName("shop.example")` and `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

/// Roughly how long.
fn span(span: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let seconds = span.as_secs();
    let unit = UNITS.iter().find(|(unit, _)| seconds >= 2 * unit);
    unit.map_or_else(
        || format!("{seconds} seconds"),
        |(unit, name)| format!("{} {name}", seconds / unit),
    )
}

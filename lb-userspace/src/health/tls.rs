//! TLS sessions of checks: whose certificates are good, and what a failure means.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::check::message;

/// How sessions are made: with which algorithms, and with whom.
#[derive(Clone)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    /// None if anybody's certificate is good.
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

/// There are no authorities to trust.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// Their file cannot be read.
    #[error("ca_file {path}: cannot be read: {reason}; check its name and its permissions", path = .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Their file has none that can be used.
    #[error("ca_file {path} has no certificate of an authority; name a file in PEM format", path = .0.display())]
    NoneInFile(PathBuf),
    /// The host has none.
    #[error(
        "this host trusts no authorities; install them (in Debian: ca-certificates), or set ca_file or verify = false"
    )]
    NoneOnHost,
}

impl Tls {
    /// With servers whose certificates are from authorities that this host trusts.
    pub fn with_system_authorities() -> Result<Self, AuthoritiesError> {
        // What of them cannot be read cannot be trusted, and the rest can.
        Self::trusting(rustls_native_certs::load_native_certs().certs).ok_or(AuthoritiesError::NoneOnHost)
    }

    /// With servers whose certificates are from the authorities in a file.
    pub fn with_authorities(path: &Path) -> Result<Self, AuthoritiesError> {
        let unreadable = |error: &io::Error| AuthoritiesError::Unreadable {
            path: path.to_owned(),
            reason: message(error),
        };
        let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
        let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
        Self::trusting(certificates).ok_or_else(|| AuthoritiesError::NoneInFile(path.to_owned()))
    }

    /// With anybody: no certificate is verified.
    #[must_use]
    pub fn with_anybody() -> Self {
        Self { provider: provider(), verifier: None }
    }

    fn trusting(authorities: Vec<CertificateDer<'static>>) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities);
        let provider = provider();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok()?;
        Some(Self { provider, verifier: Some(verifier) })
    }

    /// The settings of one session, and where its server's certificate will be.
    pub(super) fn session(&self) -> Result<(Arc<ClientConfig>, Arc<Recorder>), Error> {
        let recorder = Arc::new(Recorder { tls: self.clone(), certificate: OnceLock::new() });
        // Nothing is kept from one session for the next: every check is to see the certificate.
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(recorder.clone())
            .with_no_client_auth();
        Ok((Arc::new(config), recorder))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("verifies", &self.verifier.is_some()).finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls_rustcrypto::provider())
}

/// Verifies as it is told to, and remembers the server's certificate whatever comes of it.
#[derive(Debug)]
pub(super) struct Recorder {
    tls: Tls,
    certificate: OnceLock<CertificateDer<'static>>,
}

impl Recorder {
    /// The server's certificate, once it has shown one.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificate.get()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.certificate.get_or_init(|| end_entity.clone().into_owned());
        match &self.tls.verifier {
            Some(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.tls.verifier {
            Some(verifier) => verifier.verify_tls12_signature(message, cert, dss),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.tls.verifier {
            Some(verifier) => verifier.verify_tls13_signature(message, cert, dss),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.tls.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Why there is no session, in words for the log.
pub(super) fn failure(error: &io::Error, server: &ServerName<'_>) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(error)) => certificate_failure(error, server),
        Some(Error::InvalidMessage(_)) => "SSL handshake failure: the server does not speak TLS".to_owned(),
        Some(Error::AlertReceived(alert)) => format!("SSL handshake failure: the server says {alert:?}"),
        Some(error) => format!("SSL handshake failure: {error}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "Connection closed during SSL handshake".to_owned()
        }
        None => format!("{} during SSL handshake", message(error)),
    }
}

fn certificate_failure(error: &CertificateError, server: &ServerName<'_>) -> String {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => "certificate has expired".to_owned(),
        E::NotValidYet | E::NotValidYetContext { .. } => "certificate is not yet valid".to_owned(),
        E::UnknownIssuer => "certificate of an unknown issuer: not from a trusted authority".to_owned(),
        // As all clusters' authorities are called "kubernetes", this is the usual mistake.
        E::BadSignature => {
            "certificate of an unknown issuer: a trusted authority has its name, but not its key".to_owned()
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            format!("certificate is not for {}", server.to_str())
        }
        other => format!("certificate cannot be verified: {other}"),
    }
}

//! What the page proves with who it is: a certificate and its key, from files of PEM.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Tagged};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::SigningKey;
use tokio_rustls::TlsAcceptor;

use crate::config::model::Identity;
use crate::health::message;

/// What a key signs to show whose it is.
const SAMPLE: &[u8] = b"is this the key of that certificate?";

/// What is offered to clients: the only version of HTTP that is spoken here.
const PROTOCOL: &[u8] = b"http/1.1";

/// A certificate and a key that no sessions can be made with.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}; {}", .path.display(), .fault.remedy())]
pub struct Unusable {
    /// The file that it lies with.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a certificate or a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The certificate's file cannot be read, and what the system says.
    UnreadableCertificate(String),
    /// The key's file cannot be read, and what the system says.
    UnreadableKey(String),
    /// There is no certificate in its file, or none that can be read.
    NoCertificate,
    /// There is no key in its file, or one that needs a password.
    NoKey,
    /// The key is of a kind that is not known.
    UnknownKey,
    /// The key is of another certificate.
    OtherKey,
    /// The algorithms make no sessions, and why.
    NoSessions(String),
}

impl Fault {
    /// Whether it lies with the key.
    #[must_use]
    pub const fn is_of_key(&self) -> bool {
        matches!(self, Self::UnreadableKey(_) | Self::NoKey | Self::UnknownKey | Self::OtherKey)
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::UnreadableCertificate(_) | Self::UnreadableKey(_) => "check its name and its permissions",
            Self::NoCertificate => {
                "name a file in PEM format, with the certificates that lead to the authority's"
            }
            Self::NoKey => {
                "name a file in PEM format with a private key that needs no password (in tls_key, if it is not in \
                 the certificate's file)"
            }
            Self::UnknownKey => "make one for ECDSA on P-256 or P-384, for Ed25519, or for RSA",
            Self::OtherKey => "name the key that the certificate was made for",
            Self::NoSessions(_) => "make a certificate for ECDSA on P-256",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnreadableCertificate(reason) | Self::UnreadableKey(reason) => {
                write!(f, "cannot be read: {reason}")
            }
            Self::NoCertificate => f.write_str("has no certificate that can be read"),
            Self::NoKey => f.write_str("has no private key that can be read"),
            Self::UnknownKey => f.write_str("has a private key of a kind that xlb does not know"),
            Self::OtherKey => f.write_str("has the private key of another certificate"),
            Self::NoSessions(reason) => write!(f, "makes no sessions: {reason}"),
        }
    }
}

/// Reads certificate and key, and makes of them what accepts sessions.
pub fn acceptor(identity: &Identity) -> Result<TlsAcceptor, Unusable> {
    let Identity { certificate, key } = identity;
    let unusable = |fault: Fault| {
        let path = if fault.is_of_key() { key } else { certificate };
        Unusable { path: path.clone(), fault }
    };
    let chain = read(certificate).map_err(Fault::UnreadableCertificate);
    let key_pem = read(key).map_err(Fault::UnreadableKey);
    let made = chain.and_then(|chain| config(&chain, &key_pem?));
    made.map(|config| TlsAcceptor::from(Arc::new(config))).map_err(unusable)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| message(&error))
}

fn config(chain: &[u8], key: &[u8]) -> Result<ServerConfig, Fault> {
    let provider = Arc::new(rustls_rustcrypto::provider());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(Fault::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Fault::NoKey)?;
    let signing = provider.key_provider.load_private_key(key.clone_key()).map_err(|_| Fault::UnknownKey)?;
    if !is_key_of(&chain[0], signing.as_ref(), &provider)? {
        return Err(Fault::OtherKey);
    }
    let no_sessions = |error: rustls::Error| Fault::NoSessions(error.to_string());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(no_sessions)?.with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(no_sessions)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// Whether a certificate's public key verifies what a key signs. rustls asks keys for their public half instead, which
/// those of `RustCrypto` do not tell.
fn is_key_of(
    certificate: &CertificateDer<'_>,
    key: &dyn SigningKey,
    provider: &CryptoProvider,
) -> Result<bool, Fault> {
    let parsed = ParsedCertificate::try_from(certificate).map_err(|_| Fault::NoCertificate)?;
    let public = parsed.subject_public_key_info();
    let public = public_key(&public).map_err(|_| Fault::NoCertificate)?;
    let mapping = provider.signature_verification_algorithms.mapping;
    let schemes: Vec<_> = mapping.iter().map(|(scheme, _)| *scheme).collect();
    let signer = key.choose_scheme(&schemes).ok_or(Fault::UnknownKey)?;
    let signature = signer.sign(SAMPLE).map_err(|_| Fault::UnknownKey)?;
    let mut algorithms = mapping.iter().filter(|(scheme, _)| *scheme == signer.scheme());
    Ok(algorithms.any(|(_, algorithms)| {
        algorithms.iter().any(|algorithm| algorithm.verify_signature(public, SAMPLE, &signature).is_ok())
    }))
}

/// The bits of a public key, by RFC 5280, section 4.1.2.7.
fn public_key(info: &[u8]) -> der::Result<&[u8]> {
    let info = AnyRef::from_der(info)?;
    info.sequence(|parts| {
        let _algorithm = AnyRef::decode(parts)?;
        let bits = BitStringRef::decode(parts)?;
        bits.as_bytes().ok_or_else(|| bits.tag().value_error())
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use lb_lab::{Authority, Certified};
    use rustls::{ClientConfig, RootCertStore};
    use tempfile::TempDir;
    use tokio_rustls::TlsConnector;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// A certificate for the loopback address.
    pub fn certified(authority: &Authority) -> Certified {
        authority.certify(&["127.0.0.1"], SystemTime::now() + DAY).expect("a certificate")
    }

    /// Begins sessions with whom the authority has certified.
    pub fn connector(authority: &Authority) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let pem = authority.pem();
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        roots
            .add_parsable_certificates(certificates.collect::<Result<Vec<_>, _>>().expect("its certificate"));
        let provider = Arc::new(rustls_rustcrypto::provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions of TLS").with_root_certificates(roots).with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    /// Files of a directory with these texts.
    pub fn files(certificate: &str, key: &str) -> (TempDir, Identity) {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("the directory is there");
            path
        };
        let identity = Identity { certificate: write("page.pem", certificate), key: write("page.key", key) };
        (directory, identity)
    }

    fn fault(certificate: &str, key: &str) -> Option<Fault> {
        let (_directory, identity) = files(certificate, key);
        acceptor(&identity).err().map(|unusable| unusable.fault)
    }

    #[test]
    fn a_certificate_needs_its_own_key() {
        let authority = Authority::new("authority").expect("an authority");
        let (ours, other) = (certified(&authority), certified(&authority));
        assert_eq!(fault(&ours.certificate, &ours.key), None);
        assert_eq!(fault(&ours.certificate, &other.key), Some(Fault::OtherKey));
        assert_eq!(fault("nothing", &ours.key), Some(Fault::NoCertificate));
        assert_eq!(fault(&ours.certificate, &ours.certificate), Some(Fault::NoKey));
        let both = format!("{}{}", ours.key, ours.certificate);
        assert_eq!(fault(&both, &both), None, "HAProxy has both in one file");
    }

    #[test]
    fn a_file_is_named_with_what_is_wrong_with_it() {
        let authority = Authority::new("authority").expect("an authority");
        let (directory, mut identity) = files(&certified(&authority).certificate, "");
        let said =
            |identity: &Identity| acceptor(identity).map(drop).expect_err("a file is wrong").to_string();
        // As it is where the file of the certificate is to have the key too.
        identity.key = identity.certificate.clone();
        let name = identity.certificate.display();
        assert_eq!(said(&identity), format!("{name}: {}; {}", Fault::NoKey, Fault::NoKey.remedy()));
        identity.certificate = directory.path().join("none.pem");
        assert_eq!(
            said(&identity),
            format!(
                "{}: cannot be read: No such file or directory; check its name and its permissions",
                identity.certificate.display()
            )
        );
    }
}

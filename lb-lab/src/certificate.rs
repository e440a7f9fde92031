//! Certificates for servers, from authorities that the lab makes up.

use std::time::{Duration, SystemTime};

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, date_time_ymd,
};

use crate::{Error, Result};

/// How long certificates have been valid when they are made, or when they expired.
const AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long an authority's own certificate is valid.
const LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// An authority, with a key of its own.
pub struct Authority(CertifiedIssuer<'static, Key>);

/// A server's certificate and its key.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate in PEM.
    pub certificate: String,
    /// The private key in PEM.
    pub key: String,
}

impl Authority {
    /// Makes up an authority; several may have the same name.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = params(name, &[], SystemTime::now() + LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, Key::new()).map(Self).map_err(|error| unusable(&error))
    }

    /// Its certificate in PEM: what whoever trusts it needs.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Gives a server a certificate for these names and addresses that is valid until `expires`.
    pub fn certify(&self, names: &[&str], expires: SystemTime) -> Result<Certified> {
        let key = Key::new();
        let params = params(names.first().unwrap_or(&"server"), names, expires)?;
        let certificate = params.signed_by(&key, &self.0).map_err(|error| unusable(&error))?.pem();
        let key = key.private.to_pkcs8_pem(LineEnding::LF).map_err(|error| unusable(&error))?.to_string();
        Ok(Certified { certificate, key })
    }
}

/// A key for ECDSA on the curve P-256.
struct Key {
    private: SigningKey,
    /// A point, as X9.62 has it.
    public: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let private = SigningKey::random(&mut OsRng);
        let public = private.verifying_key().to_encoded_point(false).as_bytes().to_vec();
        Self { private, public }
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.private.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}

/// What authorities' and servers' certificates have in common.
fn params(name: &str, names: &[&str], expires: SystemTime) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(|error| unusable(&error))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let since_1970 =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_err(|error| unusable(&error));
    let now = SystemTime::now();
    // Enough to tell certificates apart.
    params.serial_number = Some(SerialNumber::from(since_1970(now)?.as_micros() as u64));
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(now.min(expires) - AGE)?;
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(expires)?;
    Ok(params)
}

fn unusable(error: &impl ToString) -> Error {
    Error::malformed("a certificate", error)
}

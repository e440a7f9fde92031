//! When certificates expire, and when to speak of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode, Header, Reader, SliceReader, Tag, Tagged};
use rustls::pki_types::CertificateDer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// So long before it expires a certificate is worth a warning.
const AHEAD: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// When a certificate expires; none if it cannot be read.
pub(super) fn expires(der: &CertificateDer<'_>) -> Option<SystemTime> {
    let mut whole = SliceReader::new(der).ok()?;
    not_after(&mut whole).ok()
}

/// Reads as far as the validity, by RFC 5280, section 4.1.
fn not_after(certificate: &mut SliceReader<'_>) -> der::Result<SystemTime> {
    // The certificate, and in it what is signed: the headers of both sequences.
    Header::decode(certificate)?.tag.assert_eq(Tag::Sequence)?;
    Header::decode(certificate)?.tag.assert_eq(Tag::Sequence)?;
    // The version is left out in the first one.
    if certificate.peek_tag()?.is_context_specific() {
        AnyRef::decode(certificate)?;
    }
    for _serial_algorithm_or_issuer in 0..3 {
        AnyRef::decode(certificate)?;
    }
    let validity = AnyRef::decode(certificate)?;
    validity.sequence(|dates| {
        let _not_before = AnyRef::decode(dates)?;
        let not_after = AnyRef::decode(dates)?;
        let time = match not_after.tag() {
            Tag::UtcTime => UtcTime::try_from(not_after)?.to_system_time(),
            _ => GeneralizedTime::try_from(not_after)?.to_system_time(),
        };
        Ok(time)
    })
}

/// Which servers' certificates have been warned about, and when.
#[derive(Debug, Default)]
pub struct ExpiryWatch {
    warned: BTreeMap<usize, SystemTime>,
}

/// A server's certificate expires soon, or has expired; displayed as words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryWarning {
    expires: SystemTime,
    now: SystemTime,
}

impl ExpiryWatch {
    /// Forgets a server, as one that is removed.
    pub fn forget(&mut self, server: usize) {
        self.warned.remove(&server);
    }

    /// Looks at a server's certificate, and gives a warning once a day from 14 days ahead.
    pub fn look(&mut self, server: usize, expires: SystemTime, now: SystemTime) -> Option<ExpiryWarning> {
        if now + AHEAD < expires {
            self.warned.remove(&server);
            return None;
        }
        // A clock that was set back has the warning come again.
        let is_due = |last: &SystemTime| now.duration_since(*last).map_or(true, |since| since >= DAY);
        if !self.warned.get(&server).is_none_or(is_due) {
            return None;
        }
        self.warned.insert(server, now);
        Some(ExpiryWarning { expires, now })
    }
}

impl fmt::Display for ExpiryWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = |duration: Duration| match duration.as_secs() / DAY.as_secs() {
            0 => "less than a day".to_owned(),
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        match self.expires.duration_since(self.now) {
            Ok(left) => write!(f, "certificate expires in {}", days(left))?,
            Err(error) => write!(f, "certificate expired {} ago", days(error.duration()))?,
        }
        write!(f, ", at {}; renew it", humantime::format_rfc3339_seconds(self.expires))
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn both_forms_of_dates_are_read() {
        let authority = lb_lab::Authority::new("authority").expect("an authority");
        // RFC 5280 writes dates from 2050 on with four digits for the year.
        for year in [2030, 2060] {
            let expires = SystemTime::UNIX_EPOCH + (year - 1970) * 365 * DAY;
            let certified = authority.certify(&["localhost"], expires).expect("a certificate");
            let der = CertificateDer::from_pem_slice(certified.certificate.as_bytes()).expect("PEM");
            assert_eq!(self::expires(&der), Some(expires), "{year}");
            assert_eq!(self::expires(&der[..60].into()), None);
        }
        assert_eq!(expires(&CertificateDer::from(&b""[..])), None);
    }

    #[test]
    fn warns_once_a_day_from_two_weeks_ahead() {
        let expires = SystemTime::UNIX_EPOCH + 1000 * DAY;
        let hour = DAY / 24;
        let mut watch = ExpiryWatch::default();
        let hours = (0..24 * 20).map(|n| expires - 16 * DAY + n * hour);
        let warnings: Vec<_> = hours.filter_map(|now| watch.look(3, expires, now)).collect();
        assert_eq!(warnings.len(), 18);
        assert_eq!(warnings[0].now, expires - AHEAD);
        assert_eq!(
            warnings[0].to_string(),
            "certificate expires in 14 days, at 1972-09-27T00:00:00Z; renew it"
        );
        let last = warnings[17].to_string();
        assert_eq!(last, "certificate expired 3 days ago, at 1972-09-27T00:00:00Z; renew it");
    }

    #[test]
    fn each_server_is_warned_about_and_a_new_certificate_ends_it() {
        let now = SystemTime::UNIX_EPOCH + 1000 * DAY;
        let mut watch = ExpiryWatch::default();
        assert!(watch.look(0, now + DAY, now).is_some());
        assert!(watch.look(1, now + DAY, now).is_some());
        assert!(watch.look(0, now + DAY, now).is_none());
        assert!(watch.look(0, now + 90 * DAY, now).is_none());
        assert!(watch.look(0, now + DAY, now).is_some());
        let back = now - 400 * DAY;
        assert!(watch.look(0, back + DAY, back).is_some());
    }
}

//! What a certificate says of who shows it (RFC 5280).

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{SHA256, digest};
use decision::Certificate;
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _, time::ASN1Time,
};

use super::subject;

/// A certificate that says something in a way that has no one reading.
#[derive(Debug, thiserror::Error)]
#[error("its names cannot be read")]
pub(super) struct Unreadable;

/// Its names, and the last second it is good for.
pub(super) fn read(certificate: &[u8]) -> Result<(Certificate, SystemTime), Unreadable> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| Unreadable)?;
    let mut names = Certificate {
        subject: subject::written(parsed.subject()),
        fingerprint: hex::encode(digest(&SHA256, certificate)),
        serial: serial(parsed.raw_serial()),
        ..Certificate::default()
    };
    let alternative = parsed.subject_alternative_name().map_err(|_| Unreadable)?;
    for name in alternative.iter().flat_map(|it| &it.value.general_names) {
        match name {
            // Host names ignore case (RFC 4343), policies do not.
            GeneralName::DNSName(dns) => names.dns.push(plain(dns)?.to_ascii_lowercase()),
            GeneralName::URI(uri) => names.uris.push(plain(uri)?.to_owned()),
            GeneralName::RFC822Name(email) => names.emails.push(plain(email)?.to_owned()),
            GeneralName::IPAddress(octets) => names.ips.push(address(octets)?.to_string()),
            _ => {}
        }
    }
    let end = second(parsed.validity().not_after).ok_or(Unreadable)?;
    Ok((names, end))
}

/// The first and the last second it is good for, where they can be read.
pub(super) fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let validity = parsed.validity();
    // Before 1970 is as long ago as 1970.
    let at = |time| second(time).unwrap_or(UNIX_EPOCH);
    Some((at(validity.not_before), at(validity.not_after)))
}

/// Times before 1970 are none.
fn second(time: ASN1Time) -> Option<SystemTime> {
    let seconds = u64::try_from(time.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// These are all ASCII (RFC 5280 section 4.2.1.6).
fn plain(name: &str) -> Result<&str, Unreadable> {
    let is_plain = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    is_plain.then_some(name).ok_or(Unreadable)
}

fn address(octets: &[u8]) -> Result<IpAddr, Unreadable> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .map_err(|_| Unreadable)
}

/// Without the octet in front that only says that it is positive.
fn serial(octets: &[u8]) -> String {
    match octets {
        [0, rest @ ..] if !rest.is_empty() => hex::encode(rest),
        all => hex::encode(all),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType, SerialNumber};

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn read(certificate: &[u8]) -> Certificate {
        super::read(certificate).unwrap().0
    }

    #[test]
    fn names_of_every_kind_are_read() {
        let made = made(|params| {
            params
                .distinguished_name
                .push(DnType::OrganizationName, "Example");
            params.distinguished_name.push(DnType::CommonName, "api");
            params.serial_number = Some(SerialNumber::from(vec![0x00, 0x9c, 0x0d]));
            params.not_after = rcgen::date_time_ymd(2030, 1, 2);
            params.subject_alt_names = vec![
                SanType::DnsName("API.Example.com".try_into().unwrap()),
                SanType::DnsName("*.example.com".try_into().unwrap()),
                SanType::URI("spiffe://example.org/Api".try_into().unwrap()),
                SanType::Rfc822Name("Ada@example.com".try_into().unwrap()),
                SanType::IpAddress("192.0.2.7".parse().unwrap()),
                SanType::IpAddress("2001:db8:0::7".parse().unwrap()),
            ];
        });
        let (names, end) = super::read(&made).unwrap();
        let expected = Certificate {
            subject: "CN=api,O=Example".into(),
            dns: vec!["api.example.com".into(), "*.example.com".into()],
            uris: vec!["spiffe://example.org/Api".into()],
            emails: vec!["Ada@example.com".into()],
            ips: vec!["192.0.2.7".into(), "2001:db8::7".into()],
            fingerprint: hex::encode(digest(&SHA256, &made)),
            serial: "9c0d".into(),
        };
        assert_eq!(names, expected);
        assert_eq!(end, UNIX_EPOCH + Duration::from_hours(525_984));
    }

    #[test]
    fn a_certificate_needs_no_name() {
        let names = read(&made(|_| ()));
        assert_eq!(names.subject, "");
        assert!(names.dns.is_empty() && names.uris.is_empty());
    }

    #[test]
    fn subjects_are_written_as_rfc_4514_has_it() {
        let subject = |change: &dyn Fn(&mut rcgen::DistinguishedName)| {
            read(&made(|params| change(&mut params.distinguished_name))).subject
        };
        for (value, expected) in [
            ("plain", "CN=plain"),
            (" # ", "CN=\\ #\\ "),
            ("#a", "CN=\\#a"),
            (" ", "CN=\\ "),
            ("a,O=b", "CN=a\\,O=b"),
            ("a+b\"c\\d<e>f;g=h", "CN=a\\+b\\\"c\\\\d\\<e\\>f\\;g=h"),
            ("M\u{fc}ller", "CN=M\u{fc}ller"),
            ("a\0b\r\nc\u{85}", "CN=a\\00b\\0D\\0Ac\\C2\\85"),
            ("", "CN="),
        ] {
            let found = subject(&|name| name.push(DnType::CommonName, value));
            assert_eq!(found, expected, "{value:?}");
        }
        let bmp = |text: &str| DnValue::BmpString(text.try_into().unwrap());
        let found = subject(&|name| name.push(DnType::CommonName, bmp("Stra\u{df}e,")));
        assert_eq!(found, "CN=Stra\u{df}e\\,");
        // What is no text, or of a type without a name of its own, is its octets.
        let teletex = DnValue::TeletexString("a".try_into().unwrap());
        let found = subject(&|name| name.push(DnType::CommonName, teletex.clone()));
        assert_eq!(found, "CN=#140161");
        let odd = DnType::CustomDnType(vec![2, 5, 4, 65]);
        let found = subject(&|name| {
            name.push(DnType::CountryName, "DE");
            name.push(odd.clone(), "ada");
        });
        assert_eq!(found, "2.5.4.65=#0c03616461,C=DE");
        let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        let found = subject(&|name| name.push(email.clone(), "a@example.com"));
        assert_eq!(found, "emailAddress=a@example.com");
    }

    #[test]
    fn what_has_no_one_reading_is_refused() {
        let good = made(|params| {
            params.subject_alt_names = vec![
                SanType::DnsName("zzzz.example".try_into().unwrap()),
                SanType::IpAddress("121.122.123.124".parse().unwrap()),
            ];
        });
        assert!(super::read(&good).is_ok());
        let with = |from: &[u8], to: &[u8]| {
            let at = good.windows(from.len()).position(|it| it == from).unwrap();
            let mut bytes = good.clone();
            bytes[at..at + from.len()].copy_from_slice(to);
            super::read(&bytes).is_ok()
        };
        assert!(with(b"zzzz", b"yyyy"));
        for to in [b"z\0zz", b"z\xffzz", b"z\xc3\xbcz", b"zz\nz"] {
            assert!(!with(b"zzzz", to), "{to:?}");
        }
        // An address of three octets, and an empty name behind it.
        assert!(!with(b"\x87\x04yz{|", b"\x87\x02yz\x82\x00"));
        assert!(super::read(&good[..good.len() - 1]).is_err());
        assert!(super::read(b"").is_err());
    }
}

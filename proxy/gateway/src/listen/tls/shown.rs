//! What the caller of one connection showed at its handshake.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use decision::Certificate;
use rustls::pki_types::CertificateDer;

use super::{
    InForce, Tls,
    certificate::{self, Unreadable},
};

/// A chain of certificates, or nothing.
pub(crate) struct Shown {
    /// The listener.
    tls: Arc<Tls>,
    /// Its leaf first.
    chain: Box<[CertificateDer<'static>]>,
    leaf: Option<Leaf>,
    /// What took it last.
    taken_by: ArcSwap<InForce>,
}

/// The certificate that the caller has the key of.
struct Leaf {
    names: Certificate,
    /// The last second it is good for.
    end: SystemTime,
}

/// What a connection showed would not be taken any more, so nothing more is done on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outdated;

impl Shown {
    /// What was shown to a listener, and taken by what was in force then.
    pub(super) fn new(
        tls: &Arc<Tls>,
        taken_by: Arc<InForce>,
        chain: &[CertificateDer<'static>],
    ) -> Result<Self, Unreadable> {
        let leaf = chain.first().map(|leaf| certificate::read(leaf));
        let leaf = leaf.transpose()?.map(|(names, end)| Leaf { names, end });
        Ok(Self {
            tls: tls.clone(),
            chain: chain.into(),
            leaf,
            taken_by: ArcSwap::new(taken_by),
        })
    }

    /// The certificate's names, if one was shown.
    pub(crate) fn names(&self) -> Option<&Certificate> {
        self.leaf.as_ref().map(|leaf| &leaf.names)
    }

    /// Whether it would be taken now: not after its end, and by what is in force by now, which is asked once.
    pub(crate) fn check(&self, now: SystemTime) -> Result<(), Outdated> {
        if self.is_over(now) {
            return Err(Outdated);
        }
        let in_force = self.tls.0.load();
        if Arc::ptr_eq(&in_force, &self.taken_by.load()) {
            return Ok(());
        }
        if !in_force.take(&self.chain, now) {
            return Err(Outdated);
        }
        self.taken_by.store(Arc::clone(&in_force));
        Ok(())
    }

    /// Whether a certificate was shown that is over at this time.
    pub(crate) fn is_over(&self, time: SystemTime) -> bool {
        // All of its last second is part of it (RFC 5280 section 4.1.2.5).
        let over = |leaf: &Leaf| {
            leaf.end
                .checked_add(SECOND)
                .is_some_and(|over| over <= time)
        };
        self.leaf.as_ref().is_some_and(over)
    }
}

impl InForce {
    /// Whether who shows this may connect.
    fn take(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> bool {
        match &self.callers {
            None => chain.is_empty(),
            Some(callers) => callers.take(chain, now),
        }
    }
}

/// Shows nothing: names are in no log.
impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::UNIX_EPOCH};

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::crypto::aws_lc_rs::default_provider;
    use settings::{ClientCertificateMode, ClientCertificates};

    use super::*;

    impl Shown {
        /// A certificate that is good for so long.
        pub(in crate::listen) fn good_until(end: SystemTime) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let tls = load(folder.path(), None).unwrap();
            let taken_by = tls.0.load_full();
            let mut shown = Self::new(&tls, taken_by, &[]).unwrap();
            shown.leaf = Some(Leaf {
                names: Certificate::default(),
                end,
            });
            shown
        }
    }

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn leaf(by: &Authority) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, by).unwrap().der().clone()
    }

    /// A listener that asks for certificates of these authorities, if of any.
    fn load(
        folder: &Path,
        asks: Option<(&[&Authority], ClientCertificateMode)>,
    ) -> Result<Arc<Tls>, Vec<super::super::TlsProblem>> {
        // Tests run in one process; the first installs it.
        let _ = default_provider().install_default();
        let own = rcgen::generate_simple_self_signed(["gate.example".to_owned()]).unwrap();
        let (cert, key, ca) = (
            folder.join("tls.crt"),
            folder.join("tls.key"),
            folder.join("ca.crt"),
        );
        fs::write(&cert, own.cert.pem()).unwrap();
        fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let client_certificates = asks.map(|(authorities, mode)| {
            let all: Vec<_> = authorities.iter().map(|it| it.pem()).collect();
            fs::write(&ca, all.concat()).unwrap();
            ClientCertificates {
                ca: vec![ca.clone()],
                crl: Vec::new(),
                mode,
            }
        });
        Tls::load(&settings::Tls {
            certificates: vec![settings::Certificate { cert, key }],
            client_certificates,
        })
    }

    const REQUIRED: ClientCertificateMode = ClientCertificateMode::Required;
    const OPTIONAL: ClientCertificateMode = ClientCertificateMode::Optional;

    /// 2029-01-01T00:00:00Z, and as much later.
    fn after(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_861_920_000 + seconds)
    }

    /// From then to the certificates' end.
    const LEFT: u64 = 31_622_400;

    #[test]
    fn what_was_shown_is_held_against_what_is_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (authority(), authority());
        let chain = [leaf(&one)];
        let asks = |authorities: &[&Authority], mode| {
            load(folder.path(), Some((authorities, mode))).unwrap()
        };
        let tls = asks(&[&one], REQUIRED);
        let shown = Shown::new(&tls, tls.0.load_full(), &chain).unwrap();
        let bare = Shown::new(&tls, tls.0.load_full(), &[]).unwrap();
        assert_eq!(shown.names().unwrap().dns, ["a.example"]);
        assert_eq!(bare.names(), None);
        for (next, of_shown, of_bare) in [
            (asks(&[&one, &other], REQUIRED), true, false),
            (asks(&[&one], OPTIONAL), true, true),
            (asks(&[&other], REQUIRED), false, false),
            (asks(&[&other], OPTIONAL), false, true),
            (load(folder.path(), None).unwrap(), false, true),
            (asks(&[&one], REQUIRED), true, false),
        ] {
            tls.replace(&next);
            // What was found once is found again.
            for _ in 0..2 {
                assert_eq!(shown.check(after(0)).is_ok(), of_shown);
                assert_eq!(bare.check(after(0)).is_ok(), of_bare);
            }
        }
    }

    #[test]
    fn a_certificate_is_good_for_all_of_its_last_second() {
        let folder = tempfile::tempdir().unwrap();
        let one = authority();
        let tls = load(folder.path(), Some((&[&one], REQUIRED))).unwrap();
        let shown = Shown::new(&tls, tls.0.load_full(), &[leaf(&one)]).unwrap();
        let last = after(LEFT) + Duration::from_millis(999);
        assert_eq!(shown.check(last), Ok(()));
        assert_eq!(shown.check(after(LEFT + 1)), Err(Outdated));
        assert!(!shown.is_over(last) && shown.is_over(after(LEFT + 1)));
        // Whatever is in force: it is asked anew, and at that time.
        tls.replace(&load(folder.path(), Some((&[&one], REQUIRED))).unwrap());
        assert_eq!(shown.check(after(LEFT + 1)), Err(Outdated));
        assert_eq!(shown.check(last), Ok(()));
    }

    #[test]
    fn authorities_that_cannot_be_read_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let problems = load(folder.path(), Some((&[], REQUIRED))).unwrap_err();
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(
            told.len() == 1 && told[0].starts_with("client certificates: `"),
            "{told:?}"
        );
    }
}

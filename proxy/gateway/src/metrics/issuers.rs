//! Issuers: how old what is known of them is, and how often it was asked for.

use std::time::Duration;

use prometheus::{GaugeVec, Result};

use super::{
    mirror::{Mirror, keep},
    register::Register,
};

/// Metrics of issuers whose keys are fetched; cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct Issuers {
    key_set_age: GaugeVec,
    revocations_age: GaugeVec,
    fetches: Mirror<2>,
}

/// How one issuer stands.
#[derive(Debug)]
pub(crate) struct IssuerSeen<'i> {
    pub(crate) name: &'i str,
    /// Of its keys; `None` before there are any.
    pub(crate) key_set_age: Option<Duration>,
    /// Since when revocations may be unknown; `None` where none are followed, and before the first answer.
    pub(crate) revocations_age: Option<Duration>,
    /// Fetches of its keys.
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

impl Issuers {
    pub(super) fn new(r: &Register<'_>) -> Result<Self> {
        let fetches = r.counters(
            "key_set_fetches_total",
            "Fetches of keys.",
            &["issuer", "result"],
        )?;
        Ok(Self {
            key_set_age: r.ages(
                "key_set_age_seconds",
                "Age of an issuer's keys.",
                &["issuer"],
            )?,
            revocations_age: r.ages(
                "revocations_age_seconds",
                "Since when revocations of an issuer may be unknown.",
                &["issuer"],
            )?,
            fetches: Mirror::new(fetches, ["issuer", "result"]),
        })
    }

    /// Shows these issuers, and no others.
    pub(crate) fn observe(&self, issuers: &[IssuerSeen<'_>]) {
        show_ages(&self.key_set_age, issuers, |issuer| issuer.key_set_age);
        show_ages(&self.revocations_age, issuers, |issuer| {
            issuer.revocations_age
        });
        let fetches = issuers.iter().flat_map(|issuer| {
            let of = |result, count| ([issuer.name, result], count);
            [
                of("success", issuer.succeeded),
                of("failure", issuer.failed),
            ]
        });
        self.fetches.show(&fetches.collect::<Vec<_>>());
    }
}

fn show_ages(
    ages: &GaugeVec,
    issuers: &[IssuerSeen<'_>],
    age: impl Fn(&IssuerSeen<'_>) -> Option<Duration>,
) {
    for issuer in issuers {
        if let Some(age) = age(issuer) {
            ages.with_label_values(&[issuer.name])
                .set(age.as_secs_f64());
        }
    }
    keep(ages, ["issuer"], |[shown]| {
        let mut issuers = issuers.iter();
        issuers.any(|issuer| issuer.name == *shown && age(issuer).is_some())
    });
}

#[cfg(test)]
mod tests {
    use crate::metrics::Metrics;

    use super::*;

    fn seen(name: &str, age: u64, succeeded: u64) -> IssuerSeen<'_> {
        IssuerSeen {
            name,
            key_set_age: Some(Duration::from_secs(age)),
            revocations_age: None,
            succeeded,
            failed: 0,
        }
    }

    /// Whoever is taken out of the settings must not look as if its keys grew old, and one whose keys are fetched on
    /// another way begins to count anew.
    #[test]
    fn only_the_issuers_there_are_are_shown() {
        let metrics = Metrics::new().unwrap();
        metrics
            .issuers
            .observe(&[seen("a", 700, 9), seen("b", 3, 4)]);
        metrics.issuers.observe(&[seen("b", 1, 2)]);
        let text = metrics.text();
        assert!(!text.contains("issuer=\"a\""), "{text}");
        for line in [
            "portcullis_key_set_age_seconds{issuer=\"b\"} 1\n",
            "portcullis_key_set_fetches_total{issuer=\"b\",result=\"success\"} 2\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}

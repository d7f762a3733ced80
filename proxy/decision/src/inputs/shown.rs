//! `context.certificate`: what the caller's certificate says, where one was shown.

use cedar_policy::RestrictedExpression;

use super::{CERTIFICATE, write_text};
use crate::{Certificate, CertificateField, Code, Outcome, project::owned};

/// What policies read of certificates.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) required: bool,
    /// Whether a policy mentions it; else it is only looked whether it is there.
    pub(super) mentioned: bool,
    /// What policies mention of it.
    pub(super) fields: Vec<CertificateField>,
}

/// The certificate of one request, as a plan reads it.
pub(super) struct Seen<'r> {
    plan: &'r Shown,
    certificate: Option<&'r Certificate>,
}

impl Shown {
    /// Looks at a request's certificate; nothing where no policy mentions one.
    pub(super) fn resolve<'r>(
        &'r self,
        certificate: Option<&'r Certificate>,
    ) -> Result<Option<Seen<'r>>, Outcome> {
        if self.required && certificate.is_none() {
            return Err(Outcome::refusal(
                Code::InputMissing,
                format!("context attribute `{CERTIFICATE}` is required and absent"),
            ));
        }
        Ok(self.mentioned.then_some(Seen {
            plan: self,
            certificate,
        }))
    }
}

impl Seen<'_> {
    /// The member of the context; none where no certificate was shown.
    pub(super) fn member(&self) -> Result<Option<(String, RestrictedExpression)>, Outcome> {
        let Some(certificate) = self.certificate else {
            return Ok(None);
        };
        let fields = self.plan.fields.iter();
        let fields = fields.map(|field| (field.as_str(), expression(certificate, *field)));
        let record = RestrictedExpression::new_record(owned(fields));
        let record =
            record.map_err(|error| Outcome::refusal(Code::PolicyError, error.to_string()))?;
        Ok(Some((CERTIFICATE.to_owned(), record)))
    }

    /// Appends it to the key of a remembered decision: whether it is there, and each field's values with their end, so that
    /// no two read alike.
    pub(super) fn write_key(&self, key: &mut Vec<u8>) {
        let Some(certificate) = self.certificate else {
            return write_text(key, None);
        };
        write_text(key, Some(""));
        for field in &self.plan.fields {
            for value in certificate.values(*field) {
                write_text(key, Some(value));
            }
            write_text(key, None);
        }
    }
}

fn expression(certificate: &Certificate, field: CertificateField) -> RestrictedExpression {
    let mut values = certificate
        .values(field)
        .iter()
        .map(|value| RestrictedExpression::new_string(value.clone()));
    match values.next() {
        Some(one) if !field.is_list() => one,
        first => RestrictedExpression::new_set(first.into_iter().chain(values)),
    }
}

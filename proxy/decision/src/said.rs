//! What the policies say that can apply to a request, and what that comes to.

use cedar_policy::{Decision, Effect, Response};

use crate::{
    Code, Outcome, PolicyError,
    policies::{Applicable, Plain},
};

/// By their ids, the policies that are satisfied, and those that failed.
#[derive(Default)]
pub(crate) struct Said {
    permits: Vec<Box<str>>,
    forbids: Vec<Box<str>>,
    errors: Vec<PolicyError>,
}

impl Said {
    /// By policies whose scope is all, of those that are satisfied.
    pub(crate) fn by_plain<'p>(satisfied: impl Iterator<Item = &'p Plain>) -> Self {
        let mut said = Self::default();
        for policy in satisfied {
            match policy.effect {
                Effect::Permit => said.permits.push(policy.id.clone()),
                Effect::Forbid => said.forbids.push(policy.id.clone()),
            }
        }
        said
    }

    /// Adds what Cedar says of others. Its reasons are the `forbid`s where any is satisfied, and else the `permit`s.
    pub(crate) fn add(&mut self, response: &Response) {
        let reasons = response.diagnostics().reason();
        let reasons = reasons.map(|id| AsRef::<str>::as_ref(id).into());
        match response.decision() {
            Decision::Allow => self.permits.extend(reasons),
            Decision::Deny => self.forbids.extend(reasons),
        }
        let errors = response.diagnostics().errors().map(|error| {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            PolicyError {
                policy: AsRef::<str>::as_ref(error.policy_id()).into(),
                message: error.inner().to_string().into(),
            }
        });
        self.errors.extend(errors);
    }

    /// Any `forbid` outweighs all that permit. Unsure means deny: Cedar leaves a policy out that fails, so a failed `forbid`
    /// would be no `forbid`.
    pub(crate) fn outcome(self, applicable: &Applicable) -> Outcome {
        let Self {
            permits,
            forbids,
            mut errors,
        } = self;
        errors.sort_unstable_by(|a, b| a.policy.cmp(&b.policy));
        let is_unsure = errors
            .iter()
            .any(|error| applicable.is_forbid(&error.policy));
        let (code, mut policies) = match (permits.is_empty(), forbids.is_empty()) {
            (_, false) => (Code::PolicyDenied, forbids),
            (false, true) if is_unsure => (Code::PolicyError, permits),
            (false, true) => (Code::Permitted, permits),
            (true, true) if errors.is_empty() => (Code::NoPermit, permits),
            (true, true) => (Code::PolicyError, permits),
        };
        policies.sort_unstable();
        Outcome {
            code,
            policies: policies.into(),
            errors: errors.into(),
            detail: None,
        }
    }
}

//! How a decision came out.

use std::{fmt, sync::Arc};

/// The part of a decision that depends on policies and inputs alone; equal inputs share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub(crate) code: Code,
    pub(crate) policies: Box<[Box<str>]>,
    pub(crate) errors: Box<[PolicyError]>,
    pub(crate) detail: Option<Box<str>>,
}

impl Outcome {
    pub(crate) fn refusal(code: Code, detail: impl Into<Box<str>>) -> Self {
        Self {
            code,
            policies: Box::default(),
            errors: Box::default(),
            detail: Some(detail.into()),
        }
    }

    /// Whether the request may go on.
    pub fn is_permit(&self) -> bool {
        matches!(self.code, Code::Permitted)
    }

    /// Why.
    pub fn code(&self) -> Code {
        self.code
    }

    /// `@id`s of the policies that determined it, sorted.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|id| &**id)
    }

    /// Policies that failed, sorted by `@id`.
    pub fn errors(&self) -> &[PolicyError] {
        &self.errors
    }

    /// For the operator: which input was not acceptable. Never contains its value.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

/// A policy that failed to evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// Its `@id`.
    pub policy: Box<str>,
    /// Cedar's message.
    pub message: Box<str>,
}

/// Why a decision came out as it did; stable names, for records and for callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A policy permits and none forbids.
    Permitted,
    /// A policy forbids.
    PolicyDenied,
    /// No policy permits.
    NoPermit,
    /// A policy failed to evaluate that might have forbidden, or, where none permits, might have permitted.
    PolicyError,
    /// There are no policies at all.
    NoPolicies,
    /// A claim has another type than the schema says, or a required one is missing.
    ClaimsInvalid,
    /// The request lacks what the schema requires.
    InputMissing,
    /// The request has something twice, or in a spelling with two readings, that the policies read as one value.
    InputAmbiguous,
}

impl Code {
    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::PolicyDenied => "policy_denied",
            Self::NoPermit => "no_permit",
            Self::PolicyError => "policy_error",
            Self::NoPolicies => "no_policies",
            Self::ClaimsInvalid => "claims_invalid",
            Self::InputMissing => "input_missing",
            Self::InputAmbiguous => "input_ambiguous",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands in the decision record about one decision.
#[derive(Debug, Clone)]
pub struct Decided {
    pub(crate) outcome: Arc<Outcome>,
    pub(crate) generation: u64,
    pub(crate) principal: Arc<str>,
    pub(crate) action: Arc<str>,
    pub(crate) resource: Arc<str>,
    pub(crate) memory: Memory,
}

impl Decided {
    /// How it came out.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The generation of the policies that decided.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The principal, as `PetStore::User::"us-east-1_PetStore1|4f1c…"`.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The action, as `PetStore::Action::"get /pets/{petId}"`.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The resource, as `PetStore::Pet::"1"`.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Whether an equal decision was remembered, so no policy was evaluated.
    pub fn is_remembered(&self) -> bool {
        self.memory == Memory::Hit
    }

    /// What part the memory of decisions had in it.
    pub fn memory(&self) -> Memory {
        self.memory
    }
}

/// What part the memory of decisions had in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// An equal one was found.
    Hit,
    /// None was found; from now on this one is.
    Miss,
    /// It was not looked for: a policy reads the time, the inputs are too long to be kept, or they are unacceptable.
    Bypass,
}

//! Whether a route's policies can have the effect they are there for: whether any of its callers can be permitted at all.
//!
//! What is found here holds for every request: it rests on what is fixed for a route, and takes everything else to be
//! possible.

mod can;

use std::fmt;

use cedar_policy::Effect;

use self::can::World;
use crate::{Guard, resource::entity_text};

/// Callers of one issuer with one kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Callers<'a> {
    /// What stands before the bar in their ids and in those of their groups; no bar when absent.
    pub prefix: Option<&'a str>,
    /// Whether they come with ID tokens, of which attributes are made, or with access tokens, of which `context.token` is.
    pub by_id_token: bool,
    /// Whether they may show a certificate.
    pub by_certificate: bool,
}

/// Why no request of some callers can be permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Never {
    /// There are no policies at all.
    NoPolicies,
    /// No `permit` applies to the action and type of resource.
    NoPermit {
        /// As `PetStore::Action::"get /pets"`.
        action: String,
        /// As `PetStore::Pet`.
        resource: String,
    },
    /// No `permit` can be satisfied.
    Unsatisfiable(Vec<Unmet>),
    /// This `forbid` is always satisfied.
    Forbidden(String),
    /// The schema requires what these callers do not give.
    Required(String),
}

/// A `permit` that can never be satisfied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Its `@id`.
    pub policy: String,
    /// What it asks for, where one part of it tells.
    pub asks: Option<String>,
}

impl Guard {
    /// Why none of these callers can ever be permitted; `None` where one may be.
    pub fn never(&self, callers: &Callers<'_>) -> Option<Never> {
        if self.shared.is_empty {
            return Some(Never::NoPolicies);
        }
        if let Some(lacking) = self.lacking(callers) {
            return Some(Never::Required(lacking));
        }
        let (mut unmet, mut satisfiable) = (Vec::new(), false);
        for policy in self.applicable.policies.policies() {
            let (can, asks) = self.world(callers).policy(policy);
            match policy.effect() {
                Effect::Forbid if !can.fail => {
                    return Some(Never::Forbidden(policy.id().to_string()));
                }
                Effect::Permit if can.hold => satisfiable = true,
                Effect::Permit => unmet.push(Unmet {
                    policy: policy.id().to_string(),
                    asks,
                }),
                Effect::Forbid => {}
            }
        }
        unmet.sort_unstable_by(|one, other| one.policy.cmp(&other.policy));
        match (satisfiable, unmet.is_empty()) {
            (true, _) => None,
            (false, true) => Some(Never::NoPermit {
                action: self.action_text.to_string(),
                resource: self.resource.ty().to_string(),
            }),
            (false, false) => Some(Never::Unsatisfiable(unmet)),
        }
    }

    /// The `permit`s that can be satisfied by none of all these callers.
    pub fn unmet(&self, callers: &[Callers<'_>]) -> Vec<Unmet> {
        let policies = self.applicable.policies.policies();
        let permits = policies.filter(|policy| policy.effect() == Effect::Permit);
        let unmet = permits.filter_map(|policy| {
            let mut found = None;
            for callers in callers {
                let (can, asks) = self.world(callers).policy(policy);
                if can.hold {
                    return None;
                }
                found = found.or(asks);
            }
            Some(Unmet {
                policy: policy.id().to_string(),
                asks: found,
            })
        });
        unmet.collect()
    }

    fn world<'w>(&'w self, callers: &'w Callers<'w>) -> World<'w> {
        let principal = self.shared.principal_type();
        let namespace = principal.rsplit_once("::").map(|(namespace, _)| namespace);
        World {
            callers,
            application: namespace.map_or_else(
                || "Application".to_owned(),
                |namespace| format!("{namespace}::Application"),
            ),
            principal,
            group: self.shared.group_type(),
            has_token: self.applicable.lens.token.is_some(),
            reads_certificate: self.inputs.read_certificate(),
            resource: &self.resource,
            parent: self.applicable.resource_parent.as_ref().map(entity_text),
        }
    }

    /// What the schema requires and these callers do not have.
    fn lacking(&self, callers: &Callers<'_>) -> Option<String> {
        if self.inputs.require_certificate() && !callers.by_certificate {
            return Some(
                "the action requires `context.certificate`, and no listener asks for certificates"
                    .into(),
            );
        }
        if callers.by_id_token {
            let required = matches!(&self.applicable.lens.token, Some((_, true)));
            return required.then(|| {
                "the action requires `context.token`, which is made of access tokens alone".into()
            });
        }
        let (name, _) = self
            .shared
            .attributes()
            .iter()
            .find(|(_, attribute)| attribute.required)?;
        let principal = self.shared.principal_type();
        Some(format!(
            "attribute `{name}` of `{principal}` is required, and attributes are made of ID tokens alone"
        ))
    }
}

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicies => f.write_str("there are no policies"),
            Self::NoPermit { action, resource } => {
                write!(
                    f,
                    "no `permit` applies to {action} and a resource of type `{resource}`"
                )
            }
            Self::Unsatisfiable(unmet) => {
                for (at, unmet) in unmet.iter().take(LISTED).enumerate() {
                    write!(f, "{}{unmet}", if at > 0 { "; " } else { "" })?;
                }
                match unmet.len().saturating_sub(LISTED) {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
            Self::Forbidden(policy) => write!(f, "policy `{policy}` forbids every request"),
            Self::Required(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.asks {
            Some(asks) => write!(f, "policy `{}` asks for {asks}", self.policy),
            None => write!(f, "policy `{}` contradicts itself there", self.policy),
        }
    }
}

/// How many policies a message names.
const LISTED: usize = 3;

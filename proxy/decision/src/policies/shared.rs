//! What all guards of a snapshot share: types, and what is remembered.

use std::sync::Arc;

use cedar_policy::{EntityId, EntityUid};
use moka::sync::Cache;

use super::index::Applicable;
use crate::{
    Caller, Outcome,
    identity::{Identity, Types},
    resource::entity_text,
};

/// Belongs to one snapshot, so whatever it remembers is of the snapshot's generation.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) generation: u64,
    /// Whether there are no policies.
    pub(crate) is_empty: bool,
    types: Types,
    /// Outcomes, by everything that they depend on.
    pub(crate) decisions: Cache<Box<[u8]>, Arc<Outcome>>,
    /// Callers, by the digest of their tokens and the number of a lens.
    identities: Cache<([u8; 32], usize), Known>,
}

/// A caller as policies see it, or why they cannot.
pub(crate) type Known = Arc<Result<Identity, Outcome>>;

impl Shared {
    pub(super) fn new(generation: u64, is_empty: bool, types: Types) -> Self {
        let decisions = Cache::builder().max_capacity(DECISIONS_BYTES);
        let identities = Cache::builder().max_capacity(IDENTITIES_BYTES);
        Self {
            generation,
            is_empty,
            types,
            decisions: decisions
                .weigher(|key: &Box<_>, outcome: &Arc<Outcome>| decision_weight(key, outcome))
                .build(),
            identities: identities
                .weigher(|_, known| identity_weight(known))
                .build(),
        }
    }

    /// The caller as policies see it; remembered for its tokens.
    pub(crate) fn identity(&self, caller: &impl Caller, applicable: &Applicable) -> Known {
        let fresh = || Arc::new(Identity::new(caller, &self.types, &applicable.lens));
        let Some(digest) = caller.digest() else {
            return fresh();
        };
        let key = (digest, applicable.lens_number);
        self.identities.get(&key).unwrap_or_else(|| {
            let identity = fresh();
            self.identities.insert(key, Arc::clone(&identity));
            identity
        })
    }

    /// How a principal of this id is written.
    pub(crate) fn principal_text(&self, id: &str) -> Arc<str> {
        let ty = self.types.principal.clone();
        entity_text(&EntityUid::from_type_name_and_id(ty, EntityId::new(id))).into()
    }

    /// The type of principals.
    pub(super) fn principal_type(&self) -> String {
        self.types.principal.to_string()
    }
}

/// Roughly how many bytes a remembered decision occupies.
fn decision_weight(key: &[u8], outcome: &Outcome) -> u32 {
    const FIXED: usize = 256;
    let ids: usize = outcome.policies().map(|id| id.len() + 16).sum();
    u32::try_from(FIXED + key.len() + ids + 256 * outcome.errors().len()).unwrap_or(u32::MAX)
}

/// Roughly how many bytes a remembered caller occupies.
fn identity_weight(known: &Known) -> u32 {
    known.as_ref().as_ref().map_or(512, Identity::weight)
}

/// Memory for remembered decisions.
const DECISIONS_BYTES: u64 = 32 << 20;
/// Memory for remembered callers.
const IDENTITIES_BYTES: u64 = 32 << 20;

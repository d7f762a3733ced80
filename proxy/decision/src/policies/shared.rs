//! What all guards of a snapshot share: types, and what is remembered.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::Arc,
};

use cedar_policy::{EntityId, EntityUid};
use moka::sync::Cache;

use super::index::Applicable;
use crate::{
    Caller, Outcome,
    identity::{Identity, Types},
    resource::entity_text,
    schema::Record,
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
    identities: Cache<Viewed, Known, BuildHasherDefault<Spread>>,
}

/// A caller's digest, and the number of a lens.
#[derive(PartialEq, Eq)]
struct Viewed([u8; 32], usize);

impl Hash for Viewed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
        state.write_usize(self.1);
    }
}

/// Shows nothing: digests of tokens are in no log.
impl fmt::Debug for Viewed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Viewed").finish_non_exhaustive()
    }
}

/// Digests are spread evenly already, so their first bytes are as good as a hash of them.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, digest: &[u8]) {
        self.0 = digest
            .first_chunk()
            .map_or(0, |first| u64::from_le_bytes(*first));
    }

    fn write_usize(&mut self, lens: usize) {
        self.0 = self.0.rotate_left(8) ^ lens as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
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
                .build_with_hasher(BuildHasherDefault::default()),
        }
    }

    /// The caller as policies see it; remembered for its tokens.
    pub(crate) fn identity(&self, caller: &impl Caller, applicable: &Applicable) -> Known {
        let fresh = || Arc::new(Identity::new(caller, &self.types, &applicable.lens));
        let Some(digest) = caller.digest() else {
            return fresh();
        };
        let key = Viewed(digest, applicable.lens_number);
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
    pub(crate) fn principal_type(&self) -> String {
        self.types.principal.to_string()
    }

    /// The type of callers' groups.
    pub(crate) fn group_type(&self) -> Option<String> {
        self.types.group.as_ref().map(ToString::to_string)
    }

    /// What the schema says of principals.
    pub(crate) fn attributes(&self) -> &Record {
        &self.types.attributes
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

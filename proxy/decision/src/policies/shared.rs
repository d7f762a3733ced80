//! What all guards of a snapshot share: types, and what is remembered.

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::Arc,
};

use cedar_policy::{EntityId, EntityUid};
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::index::Applicable;
use crate::{
    Caller, Outcome,
    identity::{Facts, Identity, Types},
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
    /// Outcomes, by everything that they depend on; `None` where each is to be evaluated.
    pub(crate) decisions: Option<Decisions>,
    /// Callers, and why some are none.
    identities: Cache<Viewed, Known, Weight, BuildHasherDefault<Spread>>,
    /// What Cedar evaluates, of the callers for whom it lately did.
    facts: Cache<Viewed, Arc<Facts>, Weight, BuildHasherDefault<Spread>>,
}

/// Outcomes by their keys.
pub(crate) type Decisions = Cache<Box<[u8]>, Arc<Outcome>, Weight, RandomState>;

/// A caller's digest, and the number of a lens.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Viewed([u8; 16], u32);

impl Hash for Viewed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
        state.write_u32(self.1);
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

    fn write_u32(&mut self, lens: u32) {
        self.0 = self.0.rotate_left(8) ^ u64::from(lens);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A caller as policies see it, or why they cannot.
type Known = Arc<Result<Identity, Outcome>>;

/// The caller of one request.
pub(crate) struct Met<'c, C> {
    caller: &'c C,
    pub(crate) identity: Known,
}

impl Shared {
    pub(super) fn new(generation: u64, is_empty: bool, types: Types, decisions: u64) -> Self {
        Self {
            generation,
            is_empty,
            types,
            decisions: (decisions > 0).then(|| memory(decisions, 256, RandomState::new())),
            identities: memory(IDENTITIES_BYTES, 256, BuildHasherDefault::default()),
            facts: memory(FACTS_BYTES, 4096, BuildHasherDefault::default()),
        }
    }

    /// Whose request it is; remembered for its tokens.
    pub(crate) fn meet<'c, C: Caller>(&self, caller: &'c C, applicable: &Applicable) -> Met<'c, C> {
        let key = viewed(caller, applicable);
        if let Some(identity) = key.and_then(|key| self.identities.get(&key)) {
            return Met { caller, identity };
        }
        let identity = Arc::new(Identity::new(caller, &self.types, &applicable.lens));
        if let Some(key) = key {
            self.identities.insert(key, Arc::clone(&identity));
        }
        Met { caller, identity }
    }

    /// The caller as Cedar evaluates policies against it; remembered for a while.
    pub(crate) fn facts<C: Caller>(
        &self,
        met: &Met<'_, C>,
        applicable: &Applicable,
    ) -> Result<Arc<Facts>, Outcome> {
        let key = viewed(met.caller, applicable);
        if let Some(facts) = key.and_then(|key| self.facts.get(&key)) {
            return Ok(facts);
        }
        let facts = Arc::new(Facts::new(met.caller, &self.types, &applicable.lens)?);
        if let Some(key) = key {
            self.facts.insert(key, Arc::clone(&facts));
        }
        Ok(facts)
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

fn viewed(caller: &impl Caller, applicable: &Applicable) -> Option<Viewed> {
    Some(Viewed(caller.digest()?, applicable.lens_number))
}

/// A memory of so many bytes, of which an entry usually takes so many.
fn memory<K: Eq + Hash, V: Clone, B: BuildHasher + Clone>(
    bytes: u64,
    usual: u64,
    hasher: B,
) -> Cache<K, V, Weight, B>
where
    Weight: Weighter<K, V>,
{
    let entries = usize::try_from(bytes / usual).unwrap_or(usize::MAX);
    Cache::with(entries, bytes, Weight, hasher, DefaultLifecycle::default())
}

/// How many bytes things take that are remembered: what they hold, and their place in a table.
#[derive(Debug, Clone)]
pub(crate) struct Weight;

impl Weighter<Box<[u8]>, Arc<Outcome>> for Weight {
    fn weight(&self, key: &Box<[u8]>, outcome: &Arc<Outcome>) -> u64 {
        let ids: usize = outcome.policies().map(|id| id.len() + 32).sum();
        (PLACE + key.len() + 128 + ids + 256 * outcome.errors().len()) as u64
    }
}

impl Weighter<Viewed, Known> for Weight {
    fn weight(&self, _: &Viewed, known: &Known) -> u64 {
        let texts = match &**known {
            Ok(identity) => identity.text.len(),
            Err(refusal) => refusal.detail().map_or(0, str::len),
        };
        (PLACE + 128 + texts) as u64
    }
}

impl Weighter<Viewed, Arc<Facts>> for Weight {
    fn weight(&self, _: &Viewed, facts: &Arc<Facts>) -> u64 {
        PLACE as u64 + facts.weight()
    }
}

/// A place in a table, of which a growing one has some that are empty.
const PLACE: usize = 96;
/// Memory for remembered callers.
const IDENTITIES_BYTES: u64 = 48 << 20;
/// Memory for what Cedar evaluates of them.
const FACTS_BYTES: u64 = 16 << 20;

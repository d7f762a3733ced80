//! The rings of all pools in use, and the key sets that verifiers see of them.

use std::collections::HashMap;
use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use token::{BoxFuture, KeySet, Keys};

use super::{Ring, store};
use crate::{Engine, Error, Inner, Result};

/// Rings by pool id.
pub(crate) struct Rings {
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    generation: AtomicU64,
}

/// A pool's place: its ring when it was asked for, and what verifiers see.
struct Slot {
    ring: ArcSwapOption<Ring>,
    public: ArcSwap<KeySet>,
    /// Held while the store is read, so that many who ask share one look.
    loading: tokio::sync::Mutex<Option<Instant>>,
    /// Whether the log has been told that the pool's keys are there and cannot be read.
    unreadable: AtomicBool,
}

impl Rings {
    pub(crate) fn new() -> Self {
        Self {
            slots: Mutex::default(),
            generation: AtomicU64::new(1),
        }
    }

    /// The pool's ring, from memory where possible.
    pub(crate) async fn load(&self, engine: &Engine, pool_id: &str) -> Result<Arc<Ring>> {
        if let Some(ring) = self.known(pool_id).and_then(|slot| slot.ring.load_full()) {
            return Ok(ring);
        }
        let slot = self.slot(pool_id);
        let mut loading = slot.loading.lock().await;
        match slot.ring.load_full() {
            Some(ring) => Ok(ring),
            None => self.read(engine, pool_id, &slot, &mut loading).await,
        }
    }

    /// Reads the pool's keys again if anybody here uses them; fails only if the store does.
    pub(crate) async fn reload(&self, engine: &Engine, pool_id: &str) -> Result<()> {
        let Some(slot) = self.known(pool_id) else {
            return Ok(());
        };
        let mut loading = slot.loading.lock().await;
        match self.read(engine, pool_id, &slot, &mut loading).await {
            Err(error @ Error::Store(_)) => Err(error),
            // The pool is gone, or unreadable here, and verifiers see so: other pools are not to suffer from it.
            Err(_) | Ok(_) => Ok(()),
        }
    }

    /// Reads the keys of every pool that is in use again.
    pub(crate) async fn reload_all(&self, engine: &Engine) -> Result<()> {
        for pool_id in self.pool_ids() {
            self.reload(engine, &pool_id).await?;
        }
        Ok(())
    }

    /// Forgets pools that are gone and that no verifier waits for.
    pub(super) fn forget_unused(&self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| {
            // INVARIANT: whoever uses a slot has it from here, under the lock, so one that nobody has stays so.
            let in_use = Arc::strong_count(slot) > 1 || slot.ring.load().is_some();
            // The log is told of unreadable keys once, which the slot remembers.
            in_use || slot.unreadable.load(Ordering::Relaxed)
        });
    }

    /// What verifiers of the pool's tokens ask.
    pub(crate) fn keys(&self, engine: &Engine, pool_id: &str) -> PoolKeys {
        PoolKeys {
            engine: Arc::downgrade(&engine.0),
            runtime: engine.0.runtime.clone(),
            pool_id: pool_id.to_owned(),
            slot: self.slot(pool_id),
        }
    }

    async fn read(
        &self,
        engine: &Engine,
        pool_id: &str,
        slot: &Slot,
        loading: &mut Option<Instant>,
    ) -> Result<Arc<Ring>> {
        *loading = Some(Instant::now());
        let generation = self.generation.fetch_add(1, Ordering::Relaxed);
        let ring = open(engine, pool_id, generation).await;
        match &ring {
            Ok(ring) => slot.hold(ring),
            Err(error) => slot.lack(pool_id, generation, error),
        }
        ring
    }

    fn pool_ids(&self) -> Vec<String> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.keys().cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn knows(&self, pool_id: &str) -> bool {
        self.known(pool_id).is_some()
    }

    fn known(&self, pool_id: &str) -> Option<Arc<Slot>> {
        self.slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(pool_id)
            .map(Arc::clone)
    }

    fn slot(&self, pool_id: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(pool_id.to_owned()).or_default())
    }
}

/// The pool's keys as stored; a pool without any is no pool.
async fn open(engine: &Engine, pool_id: &str, generation: u64) -> Result<Arc<Ring>> {
    let members = store::open(engine, pool_id).await?;
    if members.is_empty() {
        return Err(Error::pool_not_found(pool_id));
    }
    Ok(Arc::new(Ring::of(generation, members)?))
}

impl Slot {
    fn hold(&self, ring: &Arc<Ring>) {
        self.public.store(ring.public());
        self.ring.store(Some(Arc::clone(ring)));
        self.unreadable.store(false, Ordering::Relaxed);
    }

    /// Takes back what the slot held, unless the store is what failed: then it is no worse than before.
    fn lack(&self, pool_id: &str, generation: u64, error: &Error) {
        let public = match error {
            Error::Store(_) => return,
            error if error.refusal().is_some() => KeySet::new(generation, Vec::new()),
            error => {
                // A key that this process should have and has not: somebody must act, but need not be told twice.
                if !self.unreadable.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, pool = %pool_id, "The pool's keys are there and cannot be read");
                }
                KeySet::never_loaded()
            }
        };
        self.ring.store(None);
        self.public.store(Arc::new(public));
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            ring: ArcSwapOption::empty(),
            public: ArcSwap::from_pointee(KeySet::never_loaded()),
            loading: tokio::sync::Mutex::default(),
            unreadable: AtomicBool::new(false),
        }
    }
}

/// The key set of one embedded pool.
pub(crate) struct PoolKeys {
    /// Not the engine itself: whoever verifies tokens must not keep a closed store open.
    engine: Weak<Inner>,
    runtime: tokio::runtime::Handle,
    pool_id: String,
    slot: Arc<Slot>,
}

impl PoolKeys {
    async fn look(&self) -> Arc<KeySet> {
        if let Some(inner) = self.engine.upgrade() {
            let (engine, pool_id, slot) =
                (Engine(inner), self.pool_id.clone(), Arc::clone(&self.slot));
            // On the engine's runtime: the caller's is not the one that drives the store's connections.
            let task = self.runtime.spawn(async move {
                let mut loading = slot.loading.lock().await;
                if loading.is_some_and(|last| last.elapsed() < LOOK_AGAIN) {
                    return;
                }
                let rings = engine.rings();
                if let Err(error) = rings.read(&engine, &pool_id, &slot, &mut loading).await
                    && !slot.unreadable.load(Ordering::Relaxed)
                {
                    tracing::warn!(%error, pool = %pool_id, "The pool's keys cannot be read");
                }
            });
            drop(task.await);
        }
        self.slot.public.load_full()
    }
}

impl Keys for PoolKeys {
    fn current(&self) -> Arc<KeySet> {
        self.slot.public.load_full()
    }

    fn fetch_unknown<'a>(&'a self, _kid: Option<&'a str>) -> BoxFuture<'a, Arc<KeySet>> {
        Box::pin(self.look())
    }
}

/// Tokens with made-up `kid`s cause one look at the store in this time; a change made elsewhere arrives by the feed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

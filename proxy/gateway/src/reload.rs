//! Reloads: the next snapshot whole, or the last good one goes on and everybody is told why.

mod ask;
mod fixed;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use api::Reloaded;
use arc_swap::ArcSwap;
use settings::{Problems, Settings};
use tokio::time::{Instant, sleep};

use crate::{
    listen::Tls,
    mount::Mount,
    serve::{Overrides, Secured, router, secured},
    snapshot::{Maker, Snapshot},
    status::{Degraded, Status},
};
pub(crate) use ask::{Asked, Asks};
pub(crate) use fixed::Fixed;
pub(crate) use watch::Watch;

/// Makes new snapshots for as long as the process runs.
pub(crate) struct Reloader {
    pub(crate) file: PathBuf,
    pub(crate) overrides: Overrides,
    pub(crate) maker: Maker,
    pub(crate) current: Arc<ArcSwap<Snapshot>>,
    /// Its operators change with the settings.
    pub(crate) mount: Option<Mount>,
    /// Tells whether certificates are valid.
    pub(crate) clock: Arc<dyn engine::Clock>,
    pub(crate) status: Arc<Status>,
    /// The listeners, as they were at the start but for what their TLS shows and asks for.
    pub(crate) secured: Vec<Secured>,
    /// What only a restart changes, as it was at the start.
    pub(crate) fixed: Fixed,
    /// INVARIANT: follows each file from before it was read, so no change is lost.
    pub(crate) watch: Watch,
    /// What has changed and waits for a restart.
    pub(crate) awaiting: Vec<Degraded>,
    /// When to try again by itself, as a certificate is valid then.
    pub(crate) due: Option<SystemTime>,
    pub(crate) asked: Asked,
    /// For those who serve with what is put in force.
    pub(crate) asks: Asks,
}

/// The TLS of a listener, and what is to be in its place.
struct Renewed {
    ours: Arc<Tls>,
    fresh: Arc<Tls>,
}

impl Reloader {
    /// Reloads when `asked`, and when a file that matters changes.
    pub(crate) async fn run(mut self) {
        loop {
            let callers = tokio::select! {
                callers = self.asked.next() => callers,
                () = self.watch.wait() => Vec::new(),
            };
            if self.status.is_leaving() {
                ask::answer(callers, &Err(degraded("settings", LEAVING.to_owned())));
                continue;
            }
            let is_due = self.due.is_some_and(|due| self.clock.now() >= due);
            if self.watch.has_changed() || !callers.is_empty() || is_due {
                let begun = Instant::now();
                // It reads files and policies; what shares the runtime goes on beside it.
                let outcome = tokio::task::block_in_place(|| self.reload());
                if let Err(problems) = &outcome {
                    self.keep(problems.clone());
                }
                ask::answer(callers, &outcome);
                // However often it is asked for, it takes half of a processor at most.
                sleep(begun.elapsed()).await;
            }
        }
    }

    fn reload(&mut self) -> Result<Reloaded, Vec<Degraded>> {
        self.due = None;
        let mut settings = load(&self.file, &mut self.watch)
            .map_err(|problems| degraded("settings", problems.to_string()))?;
        self.overrides.apply(&mut settings);
        let before = self.current.load_full();
        let made = self
            .maker
            .make(&settings, before.generation + 1, Some(&before));
        let next =
            made.map_err(|problems| problems.into_iter().map(Degraded::from).collect::<Vec<_>>())?;
        let fresh = secured(&settings).map_err(|why| degraded("listeners", format!("{why:#}")))?;
        let renewed = self.renewed(fresh)?;
        for one in renewed {
            one.ours.replace(&one.fresh);
        }
        Ok(self.put_in_force(&settings, next))
    }

    fn put_in_force(&mut self, settings: &Settings, next: Snapshot) -> Reloaded {
        self.admit_operators(settings);
        let generation = next.generation;
        next.tell();
        next.export();
        self.maker
            .metrics
            .generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.current.store(Arc::new(next));
        self.maker.metrics.keep_servers(&settings.upstreams);
        self.count("success");
        let waiting = self.fixed.waiting(&Fixed::of(settings));
        for entry in &waiting {
            tracing::warn!(what = %entry.what, "A change takes a restart");
        }
        let awaiting_restart = waiting.iter().map(|entry| entry.what.clone()).collect();
        self.awaiting.clone_from(&waiting);
        self.status.set_degraded(waiting);
        tracing::info!(generation, "Reloaded");
        Reloaded {
            generation,
            awaiting_restart,
        }
    }

    /// The TLS of each listener, and what is to be in its place: one that is new, or gone, in the settings takes a restart.
    /// Those of one address, as where the kernel chooses ports, are told apart by their order.
    fn renewed(&mut self, mut fresh: Vec<Secured>) -> Result<Vec<Renewed>, Vec<Degraded>> {
        let pair = |ours: &Secured| {
            let at = fresh.iter().position(|one| one.address == ours.address)?;
            let fresh = fresh.remove(at).tls?;
            let ours = ours.tls.clone()?;
            Some(Renewed { ours, fresh })
        };
        let pairs: Vec<_> = self.secured.iter().filter_map(pair).collect();
        let now = self.clock.now();
        let due = pairs
            .iter()
            .filter_map(|one| one.ours.valid_from(&one.fresh, now));
        self.due = due.min();
        let invalid = pairs
            .iter()
            .flat_map(|one| one.ours.newly_invalid(&one.fresh, now));
        let invalid: Vec<_> = invalid.map(Degraded::from).collect();
        if invalid.is_empty() {
            Ok(pairs)
        } else {
            Err(invalid)
        }
    }

    /// Signatures are checked against these settings' operators from the next call on.
    fn admit_operators(&self, settings: &Settings) {
        let (mount, engine) = (self.mount.as_ref(), self.maker.engine.as_ref());
        if let (Some(mount), Some(engine), Some(pools)) = (mount, engine, &settings.pools) {
            mount.replace(router(pools, engine, &self.maker.metrics, &self.asks));
        }
    }

    fn keep(&self, problems: Vec<Degraded>) {
        for problem in &problems {
            tracing::error!(what = %problem.what, why = %problem.why, "Reload failed; the last good state stays in force");
        }
        let awaiting = self.awaiting.iter().cloned();
        self.status
            .set_degraded(problems.into_iter().chain(awaiting).collect());
        self.count("failure");
    }

    fn count(&self, result: &str) {
        self.maker
            .metrics
            .reloads
            .with_label_values(&[result])
            .inc();
    }
}

fn degraded(what: &str, why: String) -> Vec<Degraded> {
    vec![Degraded {
        what: what.to_owned(),
        why,
    }]
}

/// Reads the settings, and follows what counts for them, whether they are good or not, from before it was read.
pub(crate) fn load(file: &Path, watch: &mut Watch) -> Result<Settings, Problems> {
    loop {
        let loaded = settings::load(file);
        let files = match &loaded {
            Ok(settings) => &settings.files,
            Err(problems) => problems.files(),
        };
        // What was not followed when it was read may have changed since.
        if !watch.follow(files.to_vec()) {
            return loaded;
        }
    }
}

const LEAVING: &str = "the process is on its way out";
/// Editors write a file in several steps; what they leave is read this long after the last one.
const SETTLE: Duration = Duration::from_millis(100);

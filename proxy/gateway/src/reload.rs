//! Reloads: the next snapshot whole, or the last good one goes on and everybody is told why.

mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use settings::Settings;
use tokio::sync::mpsc;

use crate::{
    listen::Certificates,
    serve::{Overrides, certificates},
    snapshot::{Maker, Snapshot},
    status::{Degraded, Status},
};
pub(crate) use watch::Watch;

/// Makes new snapshots for as long as the process runs.
pub(crate) struct Reloader {
    pub(crate) file: PathBuf,
    pub(crate) overrides: Overrides,
    pub(crate) maker: Maker,
    pub(crate) current: Arc<ArcSwap<Snapshot>>,
    pub(crate) status: Arc<Status>,
    /// Those of the listeners that speak TLS, in the order of the settings.
    pub(crate) certificates: Vec<Option<Arc<Certificates>>>,
    /// What only a restart changes, as it was at the start.
    pub(crate) fixed: Fixed,
    /// INVARIANT: follows each file from before it was read, so no change is lost.
    pub(crate) watch: Watch,
}

/// Settings that are in force from start to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed(Vec<(&'static str, String)>);

impl Fixed {
    /// Of these settings. Compared as text, so that whatever is added to them is compared too; it holds no secret's value.
    pub(crate) fn of(settings: &Settings) -> Self {
        let listeners: Vec<_> = settings
            .listeners
            .iter()
            .map(|listener| (listener.address, listener.tls.is_some()))
            .collect();
        Self(vec![
            ("listeners", format!("{listeners:?}")),
            ("admin", format!("{:?}", settings.admin)),
            ("log", format!("{:?}", settings.log)),
            ("limits", format!("{:?}", settings.limits)),
            ("data", settings.data.display().to_string()),
            (
                "pools",
                format!("{:?}", settings.pools.as_ref().map(|pools| &pools.config)),
            ),
        ])
    }

    fn changed_in<'f>(&'f self, other: &'f Self) -> impl Iterator<Item = &'static str> + 'f {
        let pairs = self.0.iter().zip(&other.0);
        pairs
            .filter(|(ours, theirs)| ours != theirs)
            .map(|((name, _), _)| *name)
    }
}

impl Reloader {
    /// Reloads when `asked`, and when a file that matters changes.
    pub(crate) async fn run(mut self, mut asked: mpsc::Receiver<()>) {
        loop {
            let forced = tokio::select! {
                ask = asked.recv() => match ask {
                    Some(()) => true,
                    None => return,
                },
                () = self.watch.wait() => false,
            };
            if (self.watch.has_changed() || forced)
                && let Err(problems) = self.reload()
            {
                self.keep(problems);
            }
        }
    }

    fn reload(&mut self) -> Result<(), Vec<Degraded>> {
        let degraded = |what: &str, why: String| {
            vec![Degraded {
                what: what.to_owned(),
                why,
            }]
        };
        let mut settings = settings::load(&self.file)
            .map_err(|problems| degraded("settings", problems.to_string()))?;
        self.overrides.apply(&mut settings);
        self.watch.follow(files(&settings));
        let before = self.current.load_full();
        let next = self
            .maker
            .make(&settings, before.generation + 1, Some(&before))?;
        let fresh =
            certificates(&settings).map_err(|why| degraded("listeners", format!("{why:#}")))?;
        self.put_in_force(&settings, next, &fresh);
        Ok(())
    }

    fn put_in_force(
        &self,
        settings: &Settings,
        next: Snapshot,
        fresh: &[Option<Arc<Certificates>>],
    ) {
        for (ours, fresh) in self.certificates.iter().zip(fresh) {
            if let (Some(ours), Some(fresh)) = (ours, fresh) {
                ours.replace(fresh);
            }
        }
        let generation = next.generation;
        self.maker
            .metrics
            .generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.current.store(Arc::new(next));
        self.count("success");
        let restart = |name: &str| Degraded {
            what: name.to_owned(),
            why: "has changed in the settings; restart to put it in force".into(),
        };
        let waiting: Vec<_> = self
            .fixed
            .changed_in(&Fixed::of(settings))
            .map(restart)
            .collect();
        for entry in &waiting {
            tracing::warn!(what = %entry.what, "A change takes a restart");
        }
        self.status.set_degraded(waiting);
        tracing::info!(generation, "Reloaded");
    }

    fn keep(&self, problems: Vec<Degraded>) {
        for problem in &problems {
            tracing::error!(what = %problem.what, why = %problem.why, "Reload failed; the last good state stays in force");
        }
        self.status.set_degraded(problems);
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

/// The files and folders whose change matters.
pub(crate) fn files(settings: &Settings) -> Vec<PathBuf> {
    let policies = settings
        .policies
        .iter()
        .map(|(_, config)| config.path.clone());
    let certificates = settings
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref())
        .flat_map(|tls| &tls.certificates)
        .flat_map(|files| [files.cert.clone(), files.key.clone()]);
    std::iter::once(settings.file.clone())
        .chain(policies)
        .chain(certificates)
        .collect()
}

/// Editors write a file in several steps; what they leave is read this long after the last one.
const SETTLE: Duration = Duration::from_millis(100);

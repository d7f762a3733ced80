//! What the gate, its reloads and its operators' views share.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use settings::{Problems, Settings};

use super::super::{
    Overrides, Secured, limits::idle_connections, pools, runtimes::Runtimes, signals::Signals,
};
use crate::{
    admin::Views,
    gateway::{Direct, Gateway, Pace, Streams, record::Recorders},
    listen::Connections,
    metrics::Metrics,
    mount::Mount,
    reload::{Asked, Asks, Fixed, Reloader, Watch},
    snapshot::{Maker, Snapshot},
    status::Status,
    traces::{Exporter, Outlet},
};

pub(super) struct Shared {
    pub(super) metrics: Metrics,
    pub(super) current: Arc<ArcSwap<Snapshot>>,
    pub(super) clock: Arc<dyn engine::Clock>,
    engine: Option<engine::Engine>,
    mount: Option<Mount>,
    maker: Maker,
    status: Arc<Status>,
    streams: Arc<Streams>,
    outlet: Outlet,
    asks: Asks,
    asked: Asked,
}

impl Shared {
    /// Opens the engine, and makes the first snapshot.
    pub(super) fn open(
        settings: &Settings,
        runtimes: &Runtimes,
        signals: Option<&mut Signals>,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        let clock: Arc<dyn engine::Clock> = Arc::new(engine::SystemClock);
        let runtime = runtimes.engine.handle();
        let engine = pools::open(settings, &clock, runtime, &metrics, signals)?;
        let (asks, asked) = Asks::channel();
        let mount = pools::mount(settings, engine.as_ref(), runtime, &metrics, &asks);
        let outlet = Outlet::new(&metrics);
        let maker = Maker {
            outlet: outlet.clone(),
            metrics: metrics.clone(),
            limits: settings.limits,
            engine: engine.clone(),
            background: Some(runtimes.background.handle().clone()),
        };
        let current = Arc::new(ArcSwap::from_pointee(first(&maker, settings)?));
        Ok(Self {
            metrics,
            current,
            clock,
            engine,
            mount,
            maker,
            status: Arc::default(),
            streams: Arc::default(),
            outlet,
            asks,
            asked,
        })
    }

    /// Sends what requests are traced with, for as long as what this gives lives.
    pub(super) fn export(&self, runtimes: &Runtimes) -> Exporter {
        Exporter::start(self.outlet.clone(), runtimes.background.handle())
    }

    /// Ends streams that are permitted no more, for as long as it is asked.
    pub(super) fn review(&self) -> impl Future<Output = ()> + Send + use<> {
        let (current, clock) = (self.current.clone(), self.clock.clone());
        self.streams.clone().watch(current, clock)
    }

    pub(super) fn gateway(
        &self,
        limits: &settings::Limits,
        recorders: Recorders,
        requests: Arc<Connections>,
    ) -> Gateway {
        let silence = Duration::from_secs(limits.body_idle_seconds.into());
        Gateway {
            current: self.current.clone(),
            mount: self.mount.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            recorders,
            pace: Pace::with_silence(silence),
            requests,
            direct: Direct::keeping(idle_connections().1),
            streams: self.streams.clone(),
            status: self.status.clone(),
        }
    }

    pub(super) fn views(&self, secured: &[Secured]) -> Views {
        Views {
            current: self.current.clone(),
            status: self.status.clone(),
            metrics: self.metrics.clone(),
            engine: self.engine.clone(),
            clock: self.clock.clone(),
            tls: secured.iter().filter_map(|one| one.tls.clone()).collect(),
        }
    }

    /// What reloads the settings in a file.
    pub(super) fn reloader(
        self,
        file: PathBuf,
        overrides: Overrides,
        watch: Watch,
        fixed: Fixed,
        secured: Vec<Secured>,
    ) -> Reloader {
        Reloader {
            file,
            overrides,
            maker: self.maker,
            current: self.current,
            mount: self.mount,
            clock: self.clock,
            status: self.status,
            secured,
            fixed,
            watch,
            awaiting: Vec::new(),
            due: None,
            asked: self.asked,
            asks: self.asks,
        }
    }
}

fn first(maker: &Maker, settings: &Settings) -> anyhow::Result<Snapshot> {
    let made = maker.make(settings, 1, None);
    let snapshot = made.map_err(|problems| Problems::new(&settings.file, problems))?;
    snapshot.tell();
    snapshot.export();
    maker.metrics.generation.set(1);
    Ok(snapshot)
}

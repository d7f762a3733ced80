//! Settings and secrets that are in force from start to end.

use engine::{Config, Secret, StoreUrl};
use secrecy::{ExposeSecret as _, SecretString};
use settings::Settings;

use crate::status::Degraded;

/// What only a restart changes, as some settings have it.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    /// Compared as text, so that whatever is added to them is compared too.
    settings: Vec<(&'static str, String)>,
    /// Compared by what they hold, wherever they are read from.
    secrets: Vec<(&'static str, Vec<SecretString>)>,
}

impl Fixed {
    /// Of these settings.
    pub(crate) fn of(settings: &Settings) -> Self {
        let listeners: Vec<_> = settings
            .listeners
            .iter()
            .map(|listener| {
                let tls = listener.tls.is_some();
                let senders = listener.proxy_protocol.as_ref();
                (listener.address, tls, senders, listener.redirect)
            })
            .collect();
        let pools = settings.pools.as_ref();
        let rest = pools.map(|pools| without_secrets(&pools.config));
        let secrets = pools.map(|pools| &pools.secrets);
        let store = secrets.map(|secrets| vec![secrets.store.clone()]);
        let seal = secrets.map(|secrets| secrets.seal.clone());
        Self {
            settings: vec![
                ("listeners", format!("{listeners:?}")),
                ("workers", format!("{:?}", settings.workers)),
                ("admin", format!("{:?}", settings.admin)),
                ("log", format!("{:?}", settings.log)),
                ("limits", format!("{:?}", settings.limits)),
                ("data", settings.data.display().to_string()),
                ("pools", format!("{rest:?}")),
            ],
            secrets: vec![
                ("pools.store", store.unwrap_or_default()),
                ("pools.seal", seal.unwrap_or_default()),
            ],
        }
    }

    /// What is otherwise in newer settings, and so waits for a restart.
    pub(super) fn waiting(&self, newer: &Self) -> Vec<Degraded> {
        let settings = self.settings.iter().zip(&newer.settings);
        let settings = settings
            .filter(|((_, ours), (_, theirs))| ours != theirs)
            .map(|((name, _), _)| *name);
        let secrets = self.secrets.iter().zip(&newer.secrets);
        let secrets = secrets
            .filter(|((_, ours), (_, theirs))| !hold_the_same(ours, theirs))
            .map(|((name, _), _)| *name);
        settings
            .chain(secrets)
            .map(|name| Degraded {
                what: name.to_owned(),
                why: "has changed; restart to put it in force".into(),
            })
            .collect()
    }
}

/// The engine's settings without operators, which change with every reload, and without where its secrets are.
fn without_secrets(config: &Config) -> Config {
    Config {
        store: StoreUrl::Url(String::new()),
        seal: Secret::Env(String::new()),
        seal_previous: Vec::new(),
        operators: Vec::new(),
        ..config.clone()
    }
}

fn hold_the_same(ours: &[SecretString], theirs: &[SecretString]) -> bool {
    let theirs = theirs.iter().map(SecretString::expose_secret);
    ours.iter().map(SecretString::expose_secret).eq(theirs)
}

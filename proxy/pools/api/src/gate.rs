//! The gate that the service is answered from, as far as operators may tell it what to do.

use std::future::Future;
use std::pin::Pin;

/// Does what operators ask of the process itself.
pub trait Gate: Send + Sync + 'static {
    /// Reads the settings and all they name again.
    ///
    /// # Errors
    ///
    /// What is wrong with them, a line for each, without secrets; then nothing has changed.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reloaded, Vec<String>>> + Send + '_>>;
}

/// None: the service stands by itself, and has no settings to read again.
#[derive(Debug, Default, Clone, Copy)]
pub struct Ungated;

impl Gate for Ungated {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Reloaded, Vec<String>>> + Send + '_>> {
        let why = vec!["there is no gate around this service".to_owned()];
        Box::pin(std::future::ready(Err(why)))
    }
}

/// What a reload put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Counts what was put in force since the process started.
    pub generation: u64,
    /// What has changed and waits for a restart, by its place in the settings.
    pub awaiting_restart: Vec<String>,
}

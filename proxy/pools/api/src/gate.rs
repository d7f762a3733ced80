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

/// What a reload put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Counts what was put in force since the process started.
    pub generation: u64,
    /// What has changed and waits for a restart, by its place in the settings.
    pub awaiting_restart: Vec<String>,
}

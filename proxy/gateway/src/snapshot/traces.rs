//! A snapshot's traces: those that the settings left alone go on with the connections they have.

use std::sync::Arc;

use settings::{Place, Problem, Settings};

use super::{Maker, Snapshot};
use crate::traces::Traces;

impl Maker {
    /// As the settings say; nothing where they are off, or only checked.
    pub(super) fn traces(
        &self,
        settings: &Settings,
        previous: Option<&Snapshot>,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<Traces>> {
        self.background.as_ref()?;
        let asked = settings.traces.as_ref()?;
        let known = previous.and_then(|previous| previous.traces.as_ref());
        if let Some(known) = known.filter(|known| known.is_made_of(asked)) {
            return Some(known.clone());
        }
        let made = Traces::new(asked, &self.outlet).map_err(|error| {
            let place = Place::from("traces");
            problems.push(settings.lines.problem(&place, error.to_string()));
        });
        made.ok().map(Arc::new)
    }
}

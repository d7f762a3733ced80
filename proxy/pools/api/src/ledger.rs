//! The ledger: how far each operation is built, as the tables say it.

use std::fmt;

use crate::dispatch::Target;
pub use crate::table::{State, Who};

/// One operation of AWS's.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The service, as AWS calls its endpoint.
    pub service: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// How far it is built.
    pub state: State,
}

/// Every operation of the five services, by service and name.
pub fn entries() -> Vec<Entry> {
    let aws = Target::all().filter(|target| !matches!(target, Target::Operator(_)));
    aws.map(|target| Entry {
        service: target.service().name,
        operation: target.name(),
        state: target.state(),
    })
    .collect()
}

/// The lines of a ledger file: `service operation`, for the operations of one state.
pub fn lines(wanted: fn(State) -> bool) -> String {
    let found = entries().into_iter().filter(|entry| wanted(entry.state));
    found
        .flat_map(|entry| [entry.service, " ", entry.operation, "\n"])
        .collect()
}

impl State {
    /// Whether it answers 501.
    pub fn is_not_built(self) -> bool {
        self == Self::NotBuilt
    }

    /// Whether it is stored without effect.
    pub fn is_recorded(self) -> bool {
        matches!(self, Self::Recorded(_))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Built(_) => "built",
            Self::Recorded(_) => "recorded",
            Self::NotBuilt => "not built",
        })
    }
}

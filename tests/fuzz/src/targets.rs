//! The targets, by name.

mod admission;
mod admission2;
mod bearer;
mod calls;
mod certificates;
mod chunks;
mod collector;
mod frames;
mod head;
mod keys;
mod policies;
mod proxy;
mod routes;
mod settings;
mod sigv4;
mod texts;
mod tokens;
mod traces;
mod wire;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus and its dictionary.
    pub name: &'static str,
    /// Holds one case against the oracle; panics where something does not hold.
    pub run: fn(&[u8]),
    /// How many mutated cases `make test` runs; what it takes to load a folder of policies is a thousand of other cases.
    pub quick: u32,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "admission",
        run: admission::run,
        quick: 8000,
    },
    Target {
        name: "admission2",
        run: admission2::run,
        quick: 8000,
    },
    Target {
        name: "chunks",
        run: chunks::run,
        quick: 8000,
    },
    Target {
        name: "certificates",
        run: certificates::run,
        quick: 8000,
    },
    Target {
        name: "proxy",
        run: proxy::run,
        quick: 8000,
    },
    Target {
        name: "routes",
        run: routes::run,
        quick: 8000,
    },
    Target {
        name: "tokens",
        run: tokens::run,
        quick: 6000,
    },
    Target {
        name: "keys",
        run: keys::run,
        quick: 4000,
    },
    Target {
        name: "bearer",
        run: bearer::run,
        quick: 8000,
    },
    Target {
        name: "sigv4",
        run: sigv4::run,
        quick: 4000,
    },
    Target {
        name: "settings",
        run: settings::run,
        quick: 1500,
    },
    Target {
        name: "policies",
        run: policies::run,
        quick: 300,
    },
    Target {
        name: "wire",
        run: wire::run,
        quick: 6000,
    },
    Target {
        name: "texts",
        run: texts::run,
        quick: 8000,
    },
    Target {
        name: "traces",
        run: traces::run,
        quick: 8000,
    },
    Target {
        name: "collector",
        run: collector::run,
        quick: 8000,
    },
    Target {
        name: "frames",
        run: frames::run,
        quick: 8000,
    },
    Target {
        name: "calls",
        run: calls::run,
        quick: 8000,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

//! Instructions of each stage of a request's way, counted by callgrind and held against `benches/instructions.txt`:
//! `make bench-check`, with `UPDATE=1` to write down what was counted.

use std::{
    env, fs,
    hint::black_box,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use decision::Guard;
use http::Method;
use portcullis::probe::{Admission, Stages};
use portcullis_benches::{Budgets, Gate, Head, Pool, Stage, Who, at_once, callgrind, guard_among};
use route::Found;
use tokio::runtime::{Builder, Runtime};

fn main() -> Result<ExitCode> {
    if callgrind::is_counting() {
        callgrind::run(&mut World::new()?.stages())?;
        return Ok(ExitCode::SUCCESS);
    }
    // `cargo test --benches` runs this too, without `--bench`: then that each stage runs is enough.
    if !env::args().any(|argument| argument == "--bench") {
        let world = World::new()?;
        world
            .stages()
            .iter_mut()
            .try_for_each(|stage| stage.run(1))?;
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        is_as_budgets_want(),
        "the budgets are those of x86-64 with AVX2, which this machine is not"
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    check(file, &callgrind::count()?)
}

/// What libraries do depends on the processor: they choose among implementations when they start. Valgrind shows them the
/// same one on every machine of this kind.
fn is_as_budgets_want() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Compares with the budgets, or writes them anew.
fn check(file: PathBuf, counted: &[(String, u64)]) -> Result<ExitCode> {
    let shown = file.display().to_string();
    let text = fs::read_to_string(&file).with_context(|| format!("no `{shown}`"))?;
    let budgets = Budgets::parse(&text).with_context(|| format!("in `{shown}`"))?;
    println!(
        "\n{:<42} {:>10} {:>10} {:>9}",
        "", "counted", "budget", "change"
    );
    let verdicts = budgets.verdicts(counted);
    for verdict in &verdicts {
        println!("{verdict}");
    }
    if env::var_os("UPDATE").is_some_and(|update| update == "1") {
        fs::write(file, budgets.updated(counted))?;
        println!("\nwrote `{shown}`");
        return Ok(ExitCode::SUCCESS);
    }
    let failed: Vec<_> = verdicts.iter().filter(|it| !it.holds()).collect();
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nnot as budgeted:");
    for verdict in failed {
        println!("{verdict}");
    }
    println!(
        "win it back, or say in review why it is worth it and run `UPDATE=1 make bench-check`"
    );
    Ok(ExitCode::FAILURE)
}

/// All that the stages need.
struct World {
    gate: Gate,
    token: String,
    known: Who,
    stranger: Who,
    of_ten: Guard,
    of_thousand: Guard,
    way: Stages,
    /// Whose tokens are verified, and what follows its revocations.
    _pool: (Pool, Runtime),
}

impl World {
    fn new() -> Result<Self> {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build()?;
        let pool = runtime.block_on(Pool::new())?;
        let token = runtime.block_on(pool.sign_in())?;
        let gate = runtime.block_on(Gate::new(&pool))?;
        let verified = runtime.block_on(gate.verify(&token))?;
        let who = |remember| Who {
            verified: verified.clone(),
            remember,
        };
        let way = Stages::new(Admission::default(), REQUEST, IpAddr::from([192, 0, 2, 7]));
        Ok(Self {
            gate,
            token,
            known: who(true),
            stranger: who(false),
            of_ten: guard_among(10)?,
            of_thousand: guard_among(1000)?,
            way: way.context("the request is refused")?,
            _pool: (pool, runtime),
        })
    }

    /// In the order of the way.
    fn stages(&self) -> Vec<Stage<'_>> {
        let mut stages = vec![
            Stage::new("admit a head of ten fields", || self.way.admit().is_some()),
            Stage::new("find a route among 100", || {
                let (host, path) = (black_box("api5.example.com"), black_box("/pets/1/photos/2"));
                let found = self.gate.table.find(host, path, &Method::GET);
                matches!(found, Found::Route { .. })
            }),
            Stage::new("verify first-seen", || {
                at_once(self.gate.verify_first_seen())
                    .is_some_and(|verified| verified.is_ok_and(|it| !it.remembered))
            }),
            Stage::new("verify remembered", || {
                at_once(self.gate.verify(black_box(&self.token)))
                    .is_some_and(|verified| verified.is_ok_and(|it| it.remembered))
            }),
        ];
        stages.extend(self.decisions());
        stages.push(Stage::new("build the upstream's head", || {
            self.way.upstream_head().is_some()
        }));
        let mut line = Vec::with_capacity(1024);
        stages.push(Stage::new("write a decision record", move || {
            let policies = black_box(&["readers-read"]);
            self.way.record(self.gate.now, policies, &mut line)
        }));
        stages
    }

    fn decisions(&self) -> [Stage<'_>; 6] {
        let afresh = |guard: &Guard, who: &Who| {
            let decided = guard.decide_afresh(black_box(Head), who, self.gate.now);
            decided.is_ok()
        };
        [
            Stage::new("decide afresh", move || {
                afresh(&self.gate.guard, &self.known)
            }),
            Stage::new("decide afresh, new caller", move || {
                afresh(&self.gate.guard, &self.stranger)
            }),
            Stage::new("decide by roles", move || {
                afresh(&self.gate.roles, &self.known)
            }),
            Stage::new("decide afresh, 10 policies", move || {
                afresh(&self.of_ten, &self.known)
            }),
            Stage::new("decide afresh, the same 10 of 1000", move || {
                afresh(&self.of_thousand, &self.known)
            }),
            Stage::new("decide remembered", || {
                let guard = &self.gate.guard;
                guard
                    .decide(black_box(Head), &self.known, self.gate.now)
                    .is_ok()
            }),
        ]
    }
}

/// A browser's, with a token.
const REQUEST: &[u8] = b"GET /pets/1?with=photos HTTP/1.1\r\n\
    Host: api5.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: application/json, text/plain;q=0.9, */*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.7\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Referer: https://app.example.com/pets\r\n\
    Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl\r\n\
    Cookie: theme=dark; language=en\r\n\
    Cache-Control: no-cache\r\n\
    Connection: keep-alive\r\n\
    \r\n";

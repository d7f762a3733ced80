//! What is asked of the gate and of the pools, as ratios within one run: `cargo bench -p portcullis-benches --bench ratios`.
//!
//! Prints a table and fails if a target is missed. With `-- request`, `signatures` or `sign-in` it measures only these.

use std::{hint::black_box, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, ensure};
use decision::Guard;
use http::Method;
use portcullis_benches::{
    BareDecision, BareSigner, BareVerifier, Gate, Head, Lane, Pool, Who, at_once, duel,
    guard_among, openssl_sign_seconds, race,
};
use tokio::runtime::{Builder, Runtime};

fn main() -> Result<ExitCode> {
    // `cargo test --benches` runs this too, without `--bench`: then that it can be set up is enough.
    let measured = std::env::args().any(|argument| argument == "--bench");
    // As in the product.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut rows = Vec::new();
    let pool = runtime.block_on(Pool::new())?;
    let token = runtime.block_on(pool.sign_in())?;
    let gate = runtime.block_on(Gate::new(&pool))?;
    if !measured {
        runtime.block_on(gate.verify(&token))?;
        return Ok(ExitCode::SUCCESS);
    }
    if is_asked("request") {
        rows.extend(request(&runtime, &pool, &gate, &token)?);
    }
    if is_asked("signatures") {
        rows.extend(signatures(&runtime, &pool)?);
    }
    if is_asked("sign-in") {
        rows.extend(sign_in(&runtime, &pool)?);
    }
    println!(
        "\n{:<58} {:>12} {:>12} {:>7} {:>8}",
        "", "ours", "beside", "ratio", "asked"
    );
    for row in &rows {
        println!("{row}");
    }
    Ok(if rows.iter().all(Row::holds) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether the arguments name this part, or none.
fn is_asked(part: &str) -> bool {
    let mut parts = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .peekable();
    parts.peek().is_none() || parts.any(|asked| asked == part)
}

/// The gate's stages. All of them run in turns, so that the ratios are of one minute.
fn request(runtime: &Runtime, pool: &Pool, gate: &Gate, token: &str) -> Result<Vec<Row>> {
    let bare_verifier = runtime.block_on(BareVerifier::new(pool, token))?;
    let verified = runtime.block_on(gate.verify(token))?;
    let bare_decision = BareDecision::new(&verified)?;
    let who = Who {
        verified: verified.clone(),
        remember: true,
    };
    let stranger = Who {
        verified,
        remember: false,
    };
    ensure!(
        bare_verifier.verify() && bare_decision.decide(),
        "the bare calls do not agree"
    );
    ensure!(
        gate.guard.decide(Head, &who, gate.now).is_ok(),
        "the reader is not permitted"
    );
    ensure!(
        (0..1000).all(|_| {
            at_once(gate.verify_first_seen())
                .is_some_and(|verified| verified.is_ok_and(|it| !it.remembered))
        }),
        "tokens are refused, or not seen for the first time"
    );
    let (ten, thousand) = (guard_among(10)?, guard_among(1000)?);
    for guard in [&ten, &thousand] {
        let permit = guard.decide_afresh(Head, &who, gate.now);
        ensure!(permit.is_ok(), "ten policies do not permit the reader");
    }
    let among = |guard: &Guard| {
        black_box(guard.decide_afresh(black_box(Head), &who, gate.now).is_ok());
    };
    let first_seen = || {
        black_box(at_once(gate.verify_first_seen()));
    };
    let known = || {
        black_box(at_once(gate.verify(black_box(token))));
    };
    let afresh = |who: &Who| {
        black_box(
            gate.guard
                .decide_afresh(black_box(Head), who, gate.now)
                .is_ok(),
        );
    };
    let remembered = || {
        black_box(gate.guard.decide(black_box(Head), &who, gate.now).is_ok());
    };
    let find = || {
        black_box(gate.table.find(
            black_box("api5.example.com"),
            black_box("/pets/1/photos/2"),
            &Method::GET,
        ));
    };
    let mut lanes = [
        Lane::new("route", find),
        Lane::new("bare verify", || {
            black_box(bare_verifier.verify());
        }),
        Lane::new("verify first-seen", first_seen),
        Lane::new("verify remembered", known),
        Lane::new("bare decide", || {
            black_box(bare_decision.decide());
        }),
        Lane::new("decide afresh", || afresh(&who)),
        Lane::new("decide afresh, new caller", || afresh(&stranger)),
        Lane::new("decide by roles", || among(&gate.roles)),
        Lane::new("decide, 10 policies", || among(&ten)),
        Lane::new("decide, 1000 policies", || among(&thousand)),
        Lane::new("decide remembered", remembered),
        Lane::new("both afresh", || {
            first_seen();
            afresh(&who);
        }),
        Lane::new("both remembered", || {
            known();
            remembered();
        }),
    ];
    let times = race(&mut lanes, 201, Duration::from_millis(4));
    let time = |name| {
        times
            .iter()
            .find(|(found, _)| *found == name)
            .map_or(f64::NAN, |(_, cost)| cost.wall)
    };
    let row = |(what, ours, beside, asked)| Row {
        what,
        ours: time(ours),
        beside: time(beside),
        asked,
    };
    Ok(REQUEST.map(row).into())
}

/// What of a request's stages is compared: the line, ours, what is beside it, and what is asked.
const REQUEST: [(&str, &str, &str, Option<f64>); 10] = [
    (
        "find a route among 100 : decide afresh",
        "route",
        "decide afresh",
        None,
    ),
    (
        "verify first-seen : bare aws-lc-rs check",
        "verify first-seen",
        "bare verify",
        Some(1.3),
    ),
    (
        "decide afresh : bare is_authorized, prepared",
        "decide afresh",
        "bare decide",
        Some(1.5),
    ),
    (
        "  of a caller not seen before : the same",
        "decide afresh, new caller",
        "bare decide",
        None,
    ),
    (
        "  by roles alone, without evaluating : the same",
        "decide by roles",
        "bare decide",
        None,
    ),
    (
        "  among 1000 policies of which 10 can apply : among 10",
        "decide, 1000 policies",
        "decide, 10 policies",
        Some(2.0),
    ),
    (
        "decide remembered : decide afresh",
        "decide remembered",
        "decide afresh",
        Some(0.2),
    ),
    (
        "verify remembered : verify first-seen",
        "verify remembered",
        "verify first-seen",
        None,
    ),
    (
        "verify and decide remembered : decide afresh",
        "both remembered",
        "decide afresh",
        Some(0.2),
    ),
    (
        "  the same : verify first-seen and decide afresh",
        "both remembered",
        "both afresh",
        None,
    ),
];

/// How many pairs of tokens are issued before the thread is changed, as a sign-in does not change it for them.
const AT_ONCE: u32 = 20;

/// Signatures, ours in issued tokens.
///
/// OpenSSL measures itself, in a process of its own, so it cannot run in the turns of [`race`]. Each side has many turns of a
/// second in between those of the others, and its best one counts: the one that was least disturbed.
fn signatures(runtime: &Runtime, pool: &Pool) -> Result<Vec<Row>> {
    let mut bare = BareSigner::new()?;
    ensure!(bare.sign(), "the bare key does not sign");
    runtime.block_on(pool.issue_in_place(1))?;
    let mut issue = Lane::new("issue", || {
        black_box(runtime.block_on(pool.issue_in_place(AT_ONCE)).is_ok());
    });
    let mut sign = Lane::new("sign", || {
        black_box(bare.sign());
    });
    let (mut ours, mut alone, mut openssl) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    for _ in 0..TURNS {
        // Time on processors, as OpenSSL's.
        ours = ours.min(issue.turn(TURN).cpu / f64::from(2 * AT_ONCE));
        openssl = openssl.min(openssl_sign_seconds().context("`openssl speed rsa2048`")?);
        alone = alone.min(sign.turn(TURN).cpu);
    }
    let row = |what, beside, asked| Row {
        what,
        ours,
        beside,
        asked,
    };
    Ok(vec![
        row(
            "a token signed, claims and all : openssl speed rsa2048",
            openssl,
            Some(1.2),
        ),
        row("  the same : aws-lc-rs signature alone", alone, None),
    ])
}

/// How many each side has, and how long one is.
const TURNS: usize = 12;
const TURN: Duration = Duration::from_secs(1);

/// A sign-in through the API, on SQLite with every commit on disk, without its password hash.
fn sign_in(runtime: &Runtime, pool: &Pool) -> Result<Vec<Row>> {
    let mut bare = BareSigner::new()?;
    // As in a store that is in use: its log has grown to its full length and is written over from the start.
    for _ in 0..WARM_UP {
        runtime.block_on(pool.sign_in_unread())?;
    }
    let mut lanes = [
        Lane::new("sign-in", || {
            black_box(runtime.block_on(pool.sign_in_unread()).is_ok());
        })
        .apart(|| pool.engine.hasher().spent()),
        Lane::new("signature", || {
            black_box(bare.sign());
        }),
    ];
    // In long turns: the first sign-in after another lane finds cold caches and costs twice the time.
    let [whole, signature] = duel(&mut lanes, TURNS, TURN);
    ensure!(whole.apart > signature.mean, "the hash was not told apart");
    let row = |what, ours, beside, asked| Row {
        what,
        ours,
        beside,
        asked,
    };
    Ok(vec![
        row(
            "USER_PASSWORD_AUTH without its hash : an RSA signature",
            whole.median,
            signature.median,
            Some(6.0),
        ),
        row("  the same, means", whole.mean, signature.mean, None),
        row(
            "  the same, means of time on processors",
            whole.cpu,
            signature.cpu,
            None,
        ),
    ])
}

/// Sign-ins that together write more than the thousand pages after which SQLite empties its log.
const WARM_UP: usize = 200;

/// One line of the table; times in seconds.
struct Row {
    what: &'static str,
    ours: f64,
    beside: f64,
    asked: Option<f64>,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.beside
    }

    fn holds(&self) -> bool {
        self.asked.is_none_or(|asked| self.ratio() <= asked)
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = |seconds: f64| format!("{:.2} µs", seconds * 1e6);
        write!(
            f,
            "{:<58} {:>12} {:>12} {:>7.3}",
            self.what,
            micros(self.ours),
            micros(self.beside),
            self.ratio()
        )?;
        match self.asked {
            Some(asked) => write!(
                f,
                " {:>8}{}",
                format!("≤ {asked}"),
                if self.holds() { "" } else { "  missed" }
            ),
            None => Ok(()),
        }
    }
}

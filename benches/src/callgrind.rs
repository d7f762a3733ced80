//! Counting instructions: this program run again under callgrind, which counts within one function and nowhere else.

use std::{
    env, fs,
    hint::black_box,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// What is counted.
pub struct Stage<'a> {
    name: &'static str,
    once: Box<dyn FnMut() -> bool + 'a>,
}

impl<'a> Stage<'a> {
    /// `once` is run many times, and says whether it did what the stage is named for.
    pub fn new(name: &'static str, once: impl FnMut() -> bool + 'a) -> Self {
        let once = Box::new(once);
        Self { name, once }
    }

    /// Runs it so many times; fails if it does not do what it is named for.
    pub fn run(&mut self, times: u64) -> Result<()> {
        ensure!(sampled(times, &mut *self.once), "`{}` fails", self.name);
        Ok(())
    }
}

/// Whether this is the process that is counted.
pub fn is_counting() -> bool {
    env::var_os(COUNTING).is_some()
}

/// Runs this program anew under callgrind, which must lead to [`run`]; gives the instructions of one run of each stage.
pub fn count() -> Result<Vec<(String, u64)>> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let child = Command::new("valgrind")
        // Threads in the background must get on: one of them follows revocations.
        .args([
            "--quiet",
            "--fair-sched=try",
            "--tool=callgrind",
            "--collect-atstart=no",
        ])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--dump-after={SAMPLED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .env(COUNTING, "1")
        .stderr(Stdio::inherit())
        .output()
        .context("valgrind cannot be run; `scripts/setup bench-check` installs it")?;
    let status = child.status;
    ensure!(status.success(), "callgrind or a stage failed: {status}");
    let names = String::from_utf8(child.stdout)?;
    let mut stages = Vec::<(String, Vec<u64>)>::new();
    for (at, name) in names.lines().enumerate() {
        // A dump is named by its number, from 1.
        let count = total(&out.with_extension((at + 1).to_string()))?;
        match stages.last_mut().filter(|(last, _)| last == name) {
            Some((_, samples)) => samples.push(count),
            None => stages.push((name.to_owned(), vec![count])),
        }
    }
    ensure!(!stages.is_empty(), "nothing was counted");
    let each = |(name, samples)| (name, middle(samples) / RUNS);
    Ok(stages.into_iter().map(each).collect())
}

/// Runs each stage in samples of many runs, and prints the name of the stage for each.
pub fn run(stages: &mut [Stage<'_>]) -> Result<()> {
    for stage in stages {
        for _ in 0..WARM_UP + SAMPLES {
            stage.run(RUNS)?;
            println!("{}", stage.name);
        }
    }
    Ok(())
}

/// After which callgrind writes what it counted to a file. It cannot be told both of one function.
#[inline(never)]
fn sampled(times: u64, once: &mut dyn FnMut() -> bool) -> bool {
    black_box(counted(times, once))
}

/// What callgrind counts.
#[inline(never)]
fn counted(times: u64, once: &mut dyn FnMut() -> bool) -> bool {
    let mut holds = true;
    for _ in 0..times {
        holds &= once();
    }
    holds
}

/// The instructions in one of callgrind's dumps.
fn total(dump: &Path) -> Result<u64> {
    let text = fs::read_to_string(dump)
        .with_context(|| format!("callgrind wrote no `{}`", dump.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total
        .with_context(|| format!("no totals in `{}`", dump.display()))?
        .trim()
        .parse()?;
    ensure!(total > 0, "nothing was counted in `{}`", dump.display());
    Ok(total)
}

/// The sample in the middle of those after the warm-up: what is done once in a while, as tidying a cache, is in few.
fn middle(samples: Vec<u64>) -> u64 {
    let mut samples = samples.into_iter().skip(WARM_UP).collect::<Vec<_>>();
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or(0)
}

/// [`sampled`] and [`counted`], as callgrind names them. Two patterns that begin alike would be one to it.
const SAMPLED: &str = "portcullis_benches::callgrind::sampled";
const COUNTED: &str = "portcullis_benches::callgrind::counted";
/// Set for the process that is counted.
const COUNTING: &str = "PORTCULLIS_COUNTING";
const RUNS: u64 = 20;
const SAMPLES: usize = 11;
/// Samples that are not looked at.
const WARM_UP: usize = 2;

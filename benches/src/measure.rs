//! Timing that compares: what is compared runs in turns, so that a slower minute of the machine slows all of it.

use std::{
    fs,
    path::Path,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

/// What a run costs: the time that passes, and the time that the threads of this process spend on a processor. A wait for
/// the disk, or for a processor that others hold, is in the first alone.
#[derive(Debug, Clone, Copy)]
pub struct Cost<T = f64> {
    /// By the clock on the wall.
    pub wall: T,
    /// On processors.
    pub cpu: T,
    /// On processors, what is told apart from both ([`Lane::apart`]).
    pub apart: T,
}

impl Cost<Duration> {
    fn each(&self, count: u32) -> Cost {
        let each = |time: Duration| time.as_secs_f64() / f64::from(count);
        Cost {
            wall: each(self.wall),
            cpu: each(self.cpu),
            apart: each(self.apart),
        }
    }
}

/// One thing to measure.
pub struct Lane<'a> {
    name: &'static str,
    once: Box<dyn FnMut() + 'a>,
    apart: Box<dyn Fn() -> Duration + 'a>,
}

impl<'a> Lane<'a> {
    /// `once` is run many times; it must not get faster or slower by being repeated.
    pub fn new(name: &'static str, once: impl FnMut() + 'a) -> Self {
        Self {
            name,
            once: Box::new(once),
            apart: Box::new(Duration::default),
        }
    }

    /// Tells apart what `spent` says of the time on processors so far. How fast a password's hash is depends on who else
    /// uses the memory, by more than all else that is measured beside it, so that it is taken from the very run that it is
    /// a part of.
    #[must_use]
    pub fn apart(self, spent: impl Fn() -> Duration + 'a) -> Self {
        Self {
            apart: Box::new(spent),
            ..self
        }
    }

    fn time(&mut self, count: u32) -> Cost<Duration> {
        let start = self.start();
        for _ in 0..count {
            (self.once)();
        }
        self.passed(start)
    }

    /// The time, and what was spent up to it.
    fn start(&self) -> (Instant, Duration, Duration) {
        let (cpu, apart) = (spent(), (self.apart)());
        (Instant::now(), cpu, apart)
    }

    fn passed(&self, (start, cpu, apart): (Instant, Duration, Duration)) -> Cost<Duration> {
        let wall = start.elapsed();
        let apart = (self.apart)().saturating_sub(apart);
        Cost {
            wall: wall.saturating_sub(apart),
            cpu: spent().saturating_sub(cpu + apart),
            apart,
        }
    }

    /// Runs for about this long, as `openssl speed` does; gives what one run costs.
    pub fn turn(&mut self, length: Duration) -> Cost {
        let mut count = 0_u32;
        let start = self.start();
        while start.0.elapsed() < length || count == 0 {
            (self.once)();
            count += 1;
        }
        self.passed(start).each(count)
    }

    /// Likewise, each run by itself: adds its time by the clock, in seconds, to `singles`.
    fn time_each(&mut self, count: u32, singles: &mut Vec<f64>) -> Cost<Duration> {
        let all = self.start();
        for _ in 0..count {
            let (start, apart) = (Instant::now(), (self.apart)());
            (self.once)();
            let apart = (self.apart)().saturating_sub(apart);
            singles.push(start.elapsed().saturating_sub(apart).as_secs_f64());
        }
        self.passed(all)
    }

    /// How many runs take about `slice`.
    fn calibrate(&mut self, slice: Duration) -> u32 {
        let mut count = 1;
        loop {
            let cost = self.time(count);
            let took = cost.wall + cost.apart;
            if took >= slice / 2 || count >= 1 << 24 {
                let ratio = slice.as_secs_f64() / took.as_secs_f64().max(1e-9);
                return to_count(f64::from(count) * ratio);
            }
            count *= 2;
        }
    }
}

/// Runs the lanes in turns, `rounds` slices of time each; gives each lane's medians in seconds a run.
pub fn race(lanes: &mut [Lane<'_>], rounds: usize, slice: Duration) -> Vec<(&'static str, Cost)> {
    let counts: Vec<u32> = lanes.iter_mut().map(|lane| lane.calibrate(slice)).collect();
    let mut costs = vec![Vec::with_capacity(rounds); lanes.len()];
    for _ in 0..rounds {
        for ((lane, count), costs) in lanes.iter_mut().zip(&counts).zip(&mut costs) {
            costs.push(lane.time(*count).each(*count));
        }
    }
    lanes
        .iter()
        .zip(costs)
        .map(|(lane, costs)| {
            let median = |of: fn(&Cost) -> f64| median(costs.iter().map(of).collect());
            let cost = Cost {
                wall: median(|cost| cost.wall),
                cpu: median(|cost| cost.cpu),
                apart: median(|cost| cost.apart),
            };
            (lane.name, cost)
        })
        .collect()
}

/// What a thing costs that takes so long that each run of it is timed by itself; times in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Single {
    /// The median of single runs, by the clock. A run in fifty that waits for a disk which stalls does not move it.
    pub median: f64,
    /// Of a turn's runs, by the clock, in the median of all turns.
    pub mean: f64,
    /// Likewise, on processors.
    pub cpu: f64,
    /// Likewise, what was told apart.
    pub apart: f64,
}

/// Runs two lanes in turns, `rounds` of about `slice` each.
pub fn duel(lanes: &mut [Lane<'_>; 2], rounds: usize, slice: Duration) -> [Single; 2] {
    let counts = lanes.each_mut().map(|lane| lane.calibrate(slice));
    let mut runs = [const { (Vec::new(), Vec::new()) }; 2];
    for _ in 0..rounds {
        for ((lane, count), (turns, singles)) in lanes.iter_mut().zip(counts).zip(&mut runs) {
            turns.push(lane.time_each(count, singles).each(count));
        }
    }
    runs.map(|(turns, singles)| {
        let of_turns = |of: fn(&Cost) -> f64| median(turns.iter().map(of).collect());
        Single {
            median: median(singles),
            mean: of_turns(|cost| cost.wall),
            cpu: of_turns(|cost| cost.cpu),
            apart: of_turns(|cost| cost.apart),
        }
    })
}

/// The result of a future that waits for nothing, without a runtime around it; `None` if it does wait.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// What the threads of this process have spent on processors (proc(5), `schedstat`).
fn spent() -> Duration {
    // The time of a thread that runs is counted up to the last tick, milliseconds ago; a pause counts it.
    thread::sleep(Duration::from_micros(1));
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks.filter_map(|task| spent_by(&task.ok()?.path())).sum()
}

fn spent_by(task: &Path) -> Option<Duration> {
    let stat = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanos = stat.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// At least one run.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of the type"
)]
fn to_count(count: f64) -> u32 {
    count.clamp(1.0, f64::from(1 << 24)) as u32
}

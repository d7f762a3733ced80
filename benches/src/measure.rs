//! Timing that compares: what is compared runs in turns, so that a slower minute of the machine slows all of it.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// One thing to measure.
pub struct Lane<'a> {
    name: &'static str,
    once: Box<dyn FnMut() + 'a>,
}

impl<'a> Lane<'a> {
    /// `once` is run many times; it must not get faster or slower by being repeated.
    pub fn new(name: &'static str, once: impl FnMut() + 'a) -> Self {
        Self {
            name,
            once: Box::new(once),
        }
    }

    fn time(&mut self, count: u32) -> Duration {
        let start = Instant::now();
        for _ in 0..count {
            (self.once)();
        }
        start.elapsed()
    }

    /// How many runs take about `slice`.
    fn calibrate(&mut self, slice: Duration) -> u32 {
        let mut count = 1;
        loop {
            let took = self.time(count);
            if took >= slice / 2 || count >= 1 << 24 {
                let ratio = slice.as_secs_f64() / took.as_secs_f64().max(1e-9);
                return to_count(f64::from(count) * ratio);
            }
            count *= 2;
        }
    }
}

/// Runs the lanes in turns, `rounds` slices of time each; gives each lane's median in seconds a run.
pub fn race(lanes: &mut [Lane<'_>], rounds: usize, slice: Duration) -> Vec<(&'static str, f64)> {
    let counts: Vec<u32> = lanes.iter_mut().map(|lane| lane.calibrate(slice)).collect();
    let mut times = vec![Vec::with_capacity(rounds); lanes.len()];
    for _ in 0..rounds {
        for ((lane, count), times) in lanes.iter_mut().zip(&counts).zip(&mut times) {
            times.push(lane.time(*count).as_secs_f64() / f64::from(*count));
        }
    }
    lanes
        .iter()
        .zip(times)
        .map(|(lane, times)| (lane.name, median(times)))
        .collect()
}

/// The result of a future that waits for nothing, without a runtime around it; `None` if it does wait.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
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

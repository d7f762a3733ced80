//! Password hashing: argon2id on a few threads of its own, so that sign-ins never starve what else the machine does.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
    mpsc,
};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::config::Hashing;
use crate::error::{Error, Result};
use crate::rng::{self, Rng};

/// What a password is to a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Another than the one that was hashed.
    Wrong,
    /// The one that was hashed.
    Right,
    /// The one that was hashed, with other parameters than those now in force.
    Outdated,
}

impl Comparison {
    /// Whether it is the one that was hashed.
    pub fn is_right(self) -> bool {
        self != Self::Wrong
    }
}

/// Hashes and verifies passwords on a bounded pool of niced threads, and begins the steps that do.
///
/// A full queue refuses with `TooManyRequests`: a caller who waits too long is gone anyway, and its work is in vain.
pub struct Hasher {
    jobs: mpsc::Sender<Job>,
    queue: Arc<AtomicUsize>,
    limit: usize,
    params: Params,
    rng: Arc<dyn Rng>,
    spent: Arc<Spent>,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Hasher")
            .field("params", &self.params)
            .field("queue", &self.queue())
            .finish_non_exhaustive()
    }
}

impl Hasher {
    /// Starts the threads; they end when the hasher is dropped.
    pub fn start(config: &Hashing, rng: Arc<dyn Rng>) -> Result<Self> {
        let params = config
            .params()
            .map_err(|_| Error::Crypto("setting up argon2id"))?;
        let (jobs, inbox) = mpsc::channel();
        let inbox = Arc::new(Mutex::new(inbox));
        for number in 0..config.threads() {
            let inbox = Arc::clone(&inbox);
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&inbox))
                .map_err(|source| Error::Io {
                    what: "starting a hashing thread",
                    source,
                })?;
        }
        Ok(Self {
            jobs,
            queue: Arc::new(AtomicUsize::new(0)),
            limit: config.queue.max(1),
            params,
            rng,
            spent: Arc::default(),
        })
    }

    /// The password's hash as a PHC string, with a fresh salt.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let salt: [u8; 16] = rng::bytes(&*self.rng);
        let salt = Salt::new(&salt).map_err(|_| Error::Crypto("making a salt"))?;
        let output = self.run(
            password,
            Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone()),
            salt,
        );
        let hash =
            Output::new(output.await?.as_slice()).map_err(|_| Error::Crypto("password hashing"))?;
        Ok(PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params)
                .map_err(|_| Error::Crypto("password hashing"))?,
            salt: Some(salt),
            hash: Some(hash),
        }
        .to_string())
    }

    /// Compares the password with the one behind the PHC string.
    pub async fn verify(&self, password: &str, phc: &str) -> Result<Comparison> {
        let stored =
            PasswordHash::new(phc).map_err(|source| Error::corrupt("password hash", source))?;
        let algorithm = Algorithm::try_from(stored.algorithm.as_str())
            .map_err(|source| Error::corrupt("password hash", source))?;
        let version = stored
            .version
            .and_then(|version| Version::try_from(version).ok())
            .unwrap_or(Version::V0x13);
        let params =
            Params::try_from(&stored).map_err(|source| Error::corrupt("password hash", source))?;
        let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else {
            return Err(Error::Corrupt {
                what: "password hash",
                source: None,
            });
        };
        let is_outdated = self.is_outdated(&params);
        let output = self
            .run(password, Argon2::new(algorithm, version, params), salt)
            .await?;
        Ok(
            match verify_slices_are_equal(&output, expected.as_bytes()) {
                Err(_) => Comparison::Wrong,
                Ok(()) if is_outdated => Comparison::Outdated,
                Ok(()) => Comparison::Right,
            },
        )
    }

    /// Costs what [`verify`](Self::verify) costs and is always wrong: for users who are absent or have no password, so
    /// that the time of an answer does not tell them apart.
    pub async fn verify_absent(&self, password: &str) -> Result<Comparison> {
        let salt = Salt::new(&[0; 16]).map_err(|_| Error::Crypto("making a salt"))?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        self.run(password, argon, salt).await?;
        Ok(Comparison::Wrong)
    }

    fn is_outdated(&self, params: &Params) -> bool {
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        costs(params) != costs(&self.params)
    }

    /// Hashes and steps that wait or are being done; the metric `portcullis_hash_queue`.
    pub fn queue(&self) -> usize {
        self.queue.load(Ordering::Relaxed)
    }

    /// What hashes have cost on processors so far, without what else these threads do: who measures a sign-in can tell the
    /// two apart.
    pub fn spent(&self) -> Duration {
        self.spent.total()
    }

    /// Runs a step whose largest part is work for these threads: on one of them until it first waits for something, with
    /// what blocks done in place, and then where the caller is.
    ///
    /// A sign-in is read, hashed, sent to the store and signed so without a change of threads in between, of which each
    /// costs as much as reading the user.
    pub async fn begin<T: Send + 'static>(
        &self,
        step: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let mut step: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(step);
        let first = move || {
            // Nobody is to be woken yet: the caller polls again, with a waker of its own.
            let end = step.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            (end, step)
        };
        match self.off_thread(first).await? {
            (Poll::Ready(end), _) => Ok(end),
            (Poll::Pending, rest) => Ok(rest.await),
        }
    }

    /// Does other work that costs milliseconds and that anybody may ask for, in the same queue; in place if this is one of
    /// its threads.
    pub(crate) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        if is_hashing_thread() {
            return Ok(work());
        }
        let ticket = Ticket::take(&self.queue, self.limit)?;
        let (reply, answer) = oneshot::channel();
        let runtime = Handle::current();
        let job = move || {
            // Up to the end, as what is left of a step may need it when it is dropped.
            let _entered = runtime.enter();
            // The place is free before the answer is out, so whoever asks again at once finds it; also after a panic, which
            // drops what is declared last first.
            let (reply, ticket) = (reply, ticket);
            // Whoever asked may have left while the job waited.
            if !reply.is_closed() {
                let output = work();
                drop(ticket);
                drop(reply.send(output));
            }
        };
        self.jobs
            .send(Box::new(job))
            .map_err(|_| Error::Crypto("password hashing"))?;
        answer.await.map_err(|_| Error::Crypto("password hashing"))
    }

    async fn run(
        &self,
        password: &str,
        argon: Argon2<'static>,
        salt: Salt,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let spent = Arc::clone(&self.spent);
        self.off_thread(move || spent.add(|| digest(&argon, &password, &salt)))
            .await?
            .ok_or(Error::Crypto("password hashing"))
    }
}

/// Work for a thread.
type Job = Box<dyn FnOnce() + Send>;

/// A place in the queue, given back when the work is done or dropped.
struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    fn take(queue: &Arc<AtomicUsize>, limit: usize) -> Result<Self> {
        queue
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < limit).then_some(waiting + 1)
            })
            .map(|_| Self(Arc::clone(queue)))
            .map_err(|_| Error::too_many_requests())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Time on processors, in nanoseconds.
#[derive(Default)]
struct Spent(AtomicU64);

impl Spent {
    fn add<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Self::of_thread();
        let end = work();
        let passed = Self::of_thread().saturating_sub(start);
        let nanos = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
        end
    }

    fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn of_thread() -> Duration {
        clock_gettime(ClockId::ThreadCPUTime)
            .try_into()
            .unwrap_or_default()
    }
}

thread_local! {
    /// A hashing thread's memory, kept between hashes: mapping 19 MiB anew costs page faults worth a quarter of the hash.
    /// `None` on all other threads.
    static MEMORY: RefCell<Option<Vec<Block>>> = const { RefCell::new(None) };
}

/// Whether this thread serves no calls, so that an RSA signature may be made in place too.
pub(crate) fn is_hashing_thread() -> bool {
    MEMORY.with_borrow(Option::is_some)
}

fn work(inbox: &Mutex<mpsc::Receiver<Job>>) {
    // On Linux this is the thread's own nice value. A kernel that refuses it leaves the thread at normal priority.
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "A hashing thread keeps its normal priority");
    }
    MEMORY.set(Some(Vec::new()));
    store::may_block_here();
    loop {
        let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A panic is its caller's, who gets an error; the thread serves the others. What it leaves half changed is dropped
        // with the job, or behind locks that are taken all the same.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}

fn digest(argon: &Argon2<'static>, password: &[u8], salt: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let blocks = argon.params().block_count();
    let length = argon
        .params()
        .output_len()
        .unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut output = Zeroizing::new(vec![0; length]);
    MEMORY.with_borrow_mut(|memory| {
        let memory = memory.as_mut()?;
        if memory.len() < blocks {
            memory.resize(blocks, Block::default());
        }
        argon
            .hash_password_into_with_memory(password, salt, &mut output, memory.get_mut(..blocks)?)
            .ok()
    })?;
    Some(output)
}

/// Below the gate's threads, above nothing.
const NICE: i32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;
    use crate::config::HashProfile;
    use crate::testing::SeededRng;

    fn hasher(config: Hashing) -> Hasher {
        Hasher::start(&config, Arc::new(SeededRng::new(1))).unwrap()
    }

    fn one_thread() -> Hashing {
        Hashing {
            threads: Some(1),
            ..Hashing::default()
        }
    }

    #[tokio::test]
    async fn only_the_same_password_verifies() {
        let hasher = hasher(one_thread());
        let phc = hasher.hash("correct horse").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(
            hasher.verify("correct horse", &phc).await.unwrap(),
            Comparison::Right
        );
        for wrong in [
            "correct hors",
            "correct horse ",
            "Correct horse",
            "correct horse\0",
            "",
        ] {
            let compared = hasher.verify(wrong, &phc).await.unwrap();
            assert_eq!(compared, Comparison::Wrong, "{wrong}");
        }
        assert_ne!(
            hasher.hash("correct horse").await.unwrap(),
            phc,
            "the salt is the same"
        );
        let absent = hasher.verify_absent("correct horse").await.unwrap();
        assert_eq!(absent, Comparison::Wrong);
        assert_eq!(hasher.queue(), 0);
    }

    #[tokio::test]
    async fn hashes_of_another_profile_verify_and_are_outdated() {
        let nist = hasher(Hashing {
            profile: HashProfile::Nist,
            ..one_thread()
        });
        let phc = nist.hash("correct horse").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"), "{phc}");
        let usual = hasher(one_thread());
        for (hasher, expected) in [(usual, Comparison::Outdated), (nist, Comparison::Right)] {
            let compared = hasher.verify("correct horse", &phc).await.unwrap();
            assert_eq!(compared, expected);
            let compared = hasher.verify("correct house", &phc).await.unwrap();
            assert_eq!(compared, Comparison::Wrong);
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_empties_again() {
        let hasher = hasher(Hashing {
            queue: 1,
            ..one_thread()
        });
        let (first, second) = tokio::join!(hasher.hash("a"), hasher.hash("b"));
        first.unwrap();
        assert_eq!(
            second.unwrap_err().refusal(),
            Some(Refusal::TooManyRequests)
        );
        hasher.hash("c").await.unwrap();
    }

    #[tokio::test]
    async fn other_work_waits_in_the_same_queue() {
        let hasher = hasher(Hashing {
            queue: 1,
            ..one_thread()
        });
        let name = || thread::current().name().map(str::to_owned);
        let (first, second) = tokio::join!(hasher.off_thread(name), hasher.off_thread(name));
        assert_eq!(first.unwrap().as_deref(), Some("hash-0"));
        assert_eq!(
            second.unwrap_err().refusal(),
            Some(Refusal::TooManyRequests)
        );
        hasher.hash("a").await.unwrap();
    }

    #[tokio::test]
    async fn a_step_goes_on_where_it_was_asked_for_once_it_waits() {
        let hasher = Arc::new(hasher(one_thread()));
        let name = || thread::current().name().map(str::to_owned);
        let inner = Arc::clone(&hasher);
        let step = hasher.begin(async move {
            let first = name();
            // In place: the only thread could not do it otherwise.
            let within = inner.off_thread(name).await.unwrap();
            let done = inner.hash("a").await;
            tokio::task::yield_now().await;
            (first, within, done.is_ok(), name())
        });
        let (first, within, done, last) = step.await.unwrap();
        assert_eq!(first.as_deref(), Some("hash-0"));
        assert_eq!(within.as_deref(), Some("hash-0"));
        assert!(done);
        assert_eq!(last, name());
        assert!(hasher.spent() > Duration::ZERO);
        assert_eq!(hasher.queue(), 0);
    }

    #[tokio::test]
    async fn a_step_whose_caller_left_ends_with_its_runtime_around_it() {
        struct Spawns(Arc<AtomicUsize>);
        impl Drop for Spawns {
            fn drop(&mut self) {
                // Panics without a runtime.
                tokio::spawn(std::future::ready(()));
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let hasher = Arc::new(hasher(one_thread()));
        let dropped = Arc::new(AtomicUsize::new(0));
        let (begun, wait) = mpsc::channel();
        let (release, go) = mpsc::channel::<()>();
        let asked = tokio::spawn({
            let (hasher, spawns) = (Arc::clone(&hasher), Spawns(Arc::clone(&dropped)));
            async move {
                let step = hasher.begin(async move {
                    begun.send(()).unwrap();
                    assert!(go.recv().is_err());
                    std::future::pending::<()>().await;
                    drop(spawns);
                });
                step.await
            }
        });
        let waited = tokio::task::spawn_blocking(move || wait.recv());
        waited.await.unwrap().unwrap();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        drop(release);
        hasher.hash("a").await.unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert_eq!(hasher.queue(), 0);
    }

    #[tokio::test]
    async fn a_panic_within_a_step_is_an_error() {
        let hasher = hasher(one_thread());
        let step = hasher.begin(async { panic!("a bug") });
        let end: Result<()> = step.await;
        end.unwrap_err();
        hasher.hash("a").await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_costs_its_caller_an_error_and_nobody_a_thread() {
        let hasher = hasher(one_thread());
        let end = hasher.off_thread(|| panic!("a bug")).await;
        end.unwrap_err();
        assert_eq!(hasher.queue(), 0);
        hasher.hash("a").await.unwrap();
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_not_a_yes() {
        let hasher = hasher(one_thread());
        for damaged in [
            "",
            "x",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ",
            "$scrypt$ln=1$c29tZXNhbHQ$c29tZWhhc2g",
        ] {
            assert!(hasher.verify("", damaged).await.is_err(), "{damaged}");
        }
    }
}

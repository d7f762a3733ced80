//! Watching files: the system tells of changes where it can, and the files are looked at in any case.
//!
//! Looking is what decides whether anything changed; being told only makes it happen sooner. Network file systems and some
//! containers tell nothing.

mod told;

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, timeout, timeout_at};

use super::SETTLE;
use told::Told;

/// Follows files and folders.
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    seen: Fingerprint,
    told: Told,
}

/// Inode, size, and times of every file.
type Fingerprint = BTreeMap<PathBuf, (u64, u64, i64, i64, i64)>;

impl Watch {
    /// Follows these from now on.
    pub(crate) fn start(paths: Vec<PathBuf>) -> Self {
        let mut watch = Self {
            seen: Fingerprint::new(),
            paths: Vec::new(),
            told: Told::start(),
        };
        watch.follow(paths);
        watch
    }

    /// Follows these instead, and says whether any is new. What has been followed before is still compared with its last
    /// look.
    pub(crate) fn follow(&mut self, paths: Vec<PathBuf>) -> bool {
        self.told.follow(&folders(&paths));
        let known: Vec<_> = paths
            .iter()
            .filter(|path| self.paths.contains(path))
            .cloned()
            .collect();
        let fresh: Vec<_> = paths
            .iter()
            .filter(|path| !known.contains(path))
            .cloned()
            .collect();
        self.seen
            .retain(|file, _| known.iter().any(|path| file.starts_with(path)));
        self.seen.extend(fingerprint(&fresh));
        self.paths = paths;
        !fresh.is_empty()
    }

    /// Waits until it is time to look.
    pub(super) async fn wait(&mut self) {
        let look = Instant::now() + LOOK;
        if timeout_at(look, self.told.next()).await.is_ok() {
            self.settle().await;
        }
    }

    /// Whether anything has changed since the last look.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = fingerprint(&self.paths);
        let changed = now != self.seen;
        self.seen = now;
        if changed {
            // Folders may be new, or others in the place of those that were told of.
            self.told.follow(&folders(&self.paths));
        }
        changed
    }

    /// Until nothing has happened for a while, though not for ever.
    async fn settle(&mut self) {
        let end = Instant::now() + SETTLE * 4;
        while Instant::now() < end && timeout(SETTLE, self.told.next()).await.is_ok() {}
    }
}

/// What the system is asked to tell of: the folders of files, since editors replace files, and folders with all in them.
fn folders(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found, 0);
        } else {
            found.extend(path.parent().map(Path::to_owned));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>, depth: usize) {
    found.push(folder.to_owned());
    if depth < MAX_DEPTH
        && let Ok(entries) = fs::read_dir(folder)
    {
        let inner = entries.flatten().map(|entry| entry.path());
        for inner in inner.filter(|path| path.is_dir()) {
            walk(&inner, found, depth + 1);
        }
    }
}

fn fingerprint(paths: &[PathBuf]) -> Fingerprint {
    let mut found = Fingerprint::new();
    for path in paths {
        look(path, &mut found, 0);
    }
    found
}

fn look(path: &Path, found: &mut Fingerprint, depth: usize) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    if !metadata.is_dir() {
        found.insert(path.to_owned(), print(&metadata));
    } else if depth < MAX_DEPTH
        && let Ok(entries) = fs::read_dir(path)
    {
        for entry in entries.flatten() {
            look(&entry.path(), found, depth + 1);
        }
    }
}

fn print(metadata: &Metadata) -> (u64, u64, i64, i64, i64) {
    (
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime_nsec(),
    )
}

const LOOK: Duration = Duration::from_millis(500);
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn changes_are_seen_once() {
        let dir = tempfile::tempdir().unwrap();
        let (settings, policies) = (dir.path().join("a.yaml"), dir.path().join("policies"));
        fs::create_dir(&policies).unwrap();
        fs::write(&settings, "1").unwrap();
        let mut watch = Watch::start(vec![settings.clone(), policies.clone()]);
        assert!(!watch.has_changed());
        fs::write(policies.join("p.cedar"), "permit").unwrap();
        watch.wait().await;
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        fs::rename(policies.join("p.cedar"), policies.join("q.cedar")).unwrap();
        assert!(watch.has_changed());
        fs::write(&settings, "22").unwrap();
        assert!(watch.has_changed());
        fs::remove_file(&settings).unwrap();
        assert!(watch.has_changed());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_what_ends_a_change_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (settings, log) = (dir.path().join("a.yaml"), dir.path().join("log"));
        fs::write(&settings, "1").unwrap();
        let mut growing = fs::File::create(&log).unwrap();
        let mut watch = Watch::start(vec![settings.clone()]);
        for _ in 0..100 {
            growing.write_all(b"a line").unwrap();
        }
        let told = timeout(Duration::from_millis(50), watch.told.next()).await;
        assert!(told.is_err(), "of a log that grows");
        fs::write(&settings, "2").unwrap();
        watch.told.next().await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn folders_within_and_in_the_place_of_others_are_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let (policies, inner) = (dir.path().join("p"), dir.path().join("p/inner"));
        fs::create_dir(&policies).unwrap();
        let mut watch = Watch::start(vec![policies.clone()]);
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("a.cedar"), "1").unwrap();
        watch.wait().await;
        assert!(watch.has_changed());
        for turn in 0..2 {
            watch.settle().await;
            fs::write(inner.join("a.cedar"), "a".repeat(turn)).unwrap();
            watch.told.next().await;
            assert!(watch.has_changed());
            fs::rename(&policies, dir.path().join(turn.to_string())).unwrap();
            fs::create_dir_all(&inner).unwrap();
            fs::write(inner.join("a.cedar"), "other").unwrap();
            watch.wait().await;
            assert!(watch.has_changed());
        }
    }

    #[test]
    fn a_change_before_other_files_are_followed_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "2").unwrap();
        let mut watch = Watch::start(vec![one.clone()]);
        fs::write(&one, "11").unwrap();
        assert!(watch.follow(vec![one.clone(), two.clone()]));
        assert!(watch.has_changed());
        fs::write(&one, "111").unwrap();
        assert!(!watch.follow(vec![two]));
        assert!(!watch.has_changed());
    }
}

//! Watching files: the system tells of changes where it can, and the files are looked at in any case.
//!
//! Looking is what decides whether anything changed; being told only makes it happen sooner. Network file systems and some
//! containers tell nothing.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::SETTLE;

/// Follows files and folders.
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    seen: Fingerprint,
    told: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
}

/// Inode, size, and times of every file.
type Fingerprint = BTreeMap<PathBuf, (u64, u64, i64, i64, i64)>;

impl Watch {
    /// Follows these from now on.
    pub(crate) fn start(paths: Vec<PathBuf>) -> Self {
        let (tell, told) = mpsc::channel(1);
        let told_of = move |event: notify::Result<notify::Event>| {
            // Reading is an event too; a full channel has said it already.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = tell.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(told_of)
            .inspect_err(|error| tracing::warn!(%error, "File changes are found by looking only"))
            .ok();
        let mut watch = Self {
            seen: Fingerprint::new(),
            paths: Vec::new(),
            told,
            watcher,
        };
        watch.follow(paths);
        watch
    }

    /// Follows these instead, and says whether any is new. What has been followed before is still compared with its last
    /// look.
    pub(crate) fn follow(&mut self, paths: Vec<PathBuf>) -> bool {
        let folders = |paths: &[PathBuf]| {
            let mut folders: Vec<_> = paths.iter().filter_map(|path| folder(path)).collect();
            folders.sort_unstable();
            folders.dedup();
            folders
        };
        let (before, after) = (folders(&self.paths), folders(&paths));
        if let Some(watcher) = &mut self.watcher {
            for gone in before.iter().filter(|folder| !after.contains(folder)) {
                // A folder that is gone was forgotten with it.
                let _ = watcher.unwatch(gone);
            }
            for fresh in after.iter().filter(|folder| !before.contains(folder)) {
                if let Err(error) = watcher.watch(fresh, RecursiveMode::Recursive) {
                    tracing::warn!(folder = %fresh.display(), %error, "Folder is looked at only");
                }
            }
        }
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
        tokio::select! {
            told = self.told.recv() => match told {
                Some(()) => self.settle().await,
                None => sleep_until(look).await,
            },
            () = sleep_until(look) => {}
        }
    }

    /// Whether anything has changed since the last look.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = fingerprint(&self.paths);
        let changed = now != self.seen;
        self.seen = now;
        changed
    }

    /// Until nothing has happened for a while, though not for ever.
    async fn settle(&mut self) {
        let end = Instant::now() + SETTLE * 4;
        while Instant::now() < end
            && matches!(timeout(SETTLE, self.told.recv()).await, Ok(Some(())))
        {}
    }
}

/// What is watched for a path: a file's folder, since editors replace files.
fn folder(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        Some(path.to_owned())
    } else {
        path.parent().map(Path::to_owned)
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

//! Being told by the system that something in a folder may have changed.

#[cfg(target_os = "linux")]
pub(super) use linux::Told;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Told;

#[cfg(target_os = "linux")]
mod linux {
    use std::{collections::BTreeMap, future::pending, io, path::PathBuf};

    use inotify::{EventStream, Inotify, WatchDescriptor, WatchMask};
    use tokio_stream::StreamExt as _;

    /// What inotify(7) tells.
    pub(in super::super) struct Told {
        source: Source,
        folders: BTreeMap<PathBuf, WatchDescriptor>,
    }

    enum Source {
        /// It tells nothing (any more).
        Silent,
        /// Nobody has waited yet, for which there must be a runtime.
        Unread(Inotify),
        Stream(EventStream<Vec<u8>>),
    }

    impl Told {
        pub(in super::super) fn start() -> Self {
            let source = match Inotify::init() {
                Ok(inotify) => Source::Unread(inotify),
                Err(error) => silent(&error),
            };
            Self {
                source,
                folders: BTreeMap::new(),
            }
        }

        /// Tells of these folders from now on, also of one that has taken another's place.
        pub(in super::super) fn follow(&mut self, folders: &[PathBuf]) {
            let mut watches = match &self.source {
                Source::Silent => return,
                Source::Unread(inotify) => inotify.watches(),
                Source::Stream(stream) => stream.watches(),
            };
            let before = std::mem::take(&mut self.folders);
            for folder in folders {
                match watches.add(folder, MASK) {
                    Ok(watch) => {
                        self.folders.insert(folder.clone(), watch);
                    }
                    Err(error) => {
                        tracing::warn!(folder = %folder.display(), %error, "Folder is looked at only");
                    }
                }
            }
            let gone = before
                .into_values()
                .filter(|watch| !self.folders.values().any(|kept| kept == watch));
            for watch in gone {
                // A folder that is gone was forgotten with it.
                let _ = watches.remove(watch);
            }
        }

        /// Waits for the next word.
        pub(in super::super) async fn next(&mut self) {
            if let Source::Unread(_) = &self.source
                && let Source::Unread(inotify) = std::mem::replace(&mut self.source, Source::Silent)
            {
                self.source = match inotify.into_event_stream(vec![0; BUFFER]) {
                    Ok(stream) => Source::Stream(stream),
                    Err(error) => silent(&error),
                };
            }
            if let Source::Stream(stream) = &mut self.source {
                match stream.next().await {
                    Some(Ok(_)) => return,
                    Some(Err(error)) => self.source = silent(&error),
                    None => self.source = Source::Silent,
                }
            }
            pending::<()>().await;
        }
    }

    fn silent(error: &io::Error) -> Source {
        tracing::warn!(%error, "File changes are found by looking only");
        Source::Silent
    }

    /// What ends a change, and not each write of one: a log that grows beside the settings would tell of every line.
    const MASK: WatchMask = WatchMask::CLOSE_WRITE
        .union(WatchMask::CREATE)
        .union(WatchMask::DELETE)
        .union(WatchMask::MOVED_FROM)
        .union(WatchMask::MOVED_TO)
        .union(WatchMask::DELETE_SELF)
        .union(WatchMask::MOVE_SELF)
        .union(WatchMask::ONLYDIR);
    const BUFFER: usize = 4096;
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::{future::pending, path::PathBuf};

    /// Nothing is told.
    pub(in super::super) struct Told;

    impl Told {
        pub(in super::super) fn start() -> Self {
            Self
        }

        pub(in super::super) fn follow(&mut self, _: &[PathBuf]) {}

        pub(in super::super) async fn next(&mut self) {
            pending::<()>().await;
        }
    }
}

//! Looking at files without being held up: a file system that hangs keeps a thread for as long as it hangs, whatever the
//! probe's timeout says.
//!
//! So there is one look at a path at a time, which everybody who asks for that path waits for, and few looks altogether:
//! the threads are those that the whole process shares.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Looks that may be under way; the process has 512 threads for them and other things.
const MOST: usize = 32;

/// Octets of a file that is read; CA bundles have some hundred thousand.
const LONGEST: u64 = 16 * 1_024 * 1_024;

/// What is looked for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum What {
    Version,
    Content,
}

/// Which state of a file: differs when it has been written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Version {
    modified: Option<SystemTime>,
    octets: u64,
}

/// What a look found.
#[derive(Clone, Debug)]
struct Found {
    version: Version,
    /// Empty where only the version was looked for.
    content: Arc<[u8]>,
}

/// What became of a look; an error by its kind and in words, for several to read.
type Seen = Result<Found, (io::ErrorKind, Arc<str>)>;

/// What is looked for at which path.
type Key = (PathBuf, What);

/// The looks that are under way.
#[derive(Debug)]
pub(super) struct Files {
    under_way: Arc<UnderWay>,
    turns: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct UnderWay(Mutex<BTreeMap<Key, watch::Receiver<Option<Seen>>>>);

impl Default for Files {
    fn default() -> Self {
        Self {
            under_way: Arc::default(),
            turns: Arc::new(Semaphore::new(MOST)),
        }
    }
}

impl Files {
    /// The file's version; none where there is no such file.
    ///
    /// # Errors
    ///
    /// Why it cannot be looked at.
    pub(super) async fn version(&self, path: &Path) -> Result<Option<Version>, Arc<str>> {
        match self.look(path, What::Version).await {
            Ok(found) => Ok(Some(found.version)),
            Err((io::ErrorKind::NotFound, _)) => Ok(None),
            Err((_, error)) => Err(error),
        }
    }

    /// What is in the file, and its version.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub(super) async fn content(&self, path: &Path) -> Result<(Version, Arc<[u8]>), Arc<str>> {
        let found = self.look(path, What::Content).await.map_err(|(_, error)| error)?;
        Ok((found.version, found.content))
    }

    /// Ends when the look does; whoever waits no longer leaves it to the next.
    async fn look(&self, path: &Path, what: What) -> Seen {
        let key = (path.to_path_buf(), what);
        let known = self.under_way.lock().get(&key).cloned();
        let mut seen = match known {
            Some(seen) => seen,
            None => {
                let turn = Arc::clone(&self.turns).acquire_owned().await;
                self.begin(key, turn.ok())
            }
        };
        let seen = seen.wait_for(Option::is_some).await.ok();
        let seen = seen.and_then(|seen| seen.clone());
        seen.unwrap_or_else(|| Err((io::ErrorKind::Interrupted, "the look was given up".into())))
    }

    /// Begins a look that keeps its turn until it ends, unless somebody else has begun the same meanwhile.
    fn begin(&self, key: Key, turn: Option<OwnedSemaphorePermit>) -> watch::Receiver<Option<Seen>> {
        let mut under_way = self.under_way.lock();
        if let Some(seen) = under_way.get(&key) {
            return seen.clone();
        }
        let (sender, seen) = watch::channel(None);
        under_way.insert(key.clone(), seen.clone());
        let list = Arc::clone(&self.under_way);
        tokio::task::spawn_blocking(move || {
            let found = find(&key);
            list.lock().remove(&key);
            sender.send_replace(Some(found));
            drop(turn);
        });
        seen
    }
}

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, watch::Receiver<Option<Seen>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find((path, what): &Key) -> Seen {
    let words = |error: io::Error| (error.kind(), Arc::from(error.to_string()));
    let about = std::fs::metadata(path).map_err(words)?;
    let version = Version {
        modified: about.modified().ok(),
        octets: about.len(),
    };
    let content = match what {
        What::Version => Vec::new(),
        What::Content if about.len() > LONGEST => {
            return Err((io::ErrorKind::FileTooLarge, "it is too large".into()));
        }
        What::Content => std::fs::read(path).map_err(words)?,
    };
    Ok(Found {
        version,
        content: content.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A pipe that nobody writes to hangs its reader, as a dead file server does.
    #[tokio::test]
    async fn a_file_that_hangs_takes_one_thread_and_delays_no_other() {
        let template = std::env::temp_dir().join("stonechat-files-XXXXXX");
        let directory = nix::unistd::mkdtemp(&template).unwrap();
        let pipe = directory.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let files = Files::default();
        for _ in 0..2 * MOST {
            let asked = tokio::time::timeout(Duration::from_millis(1), files.content(&pipe));
            assert!(asked.await.is_err(), "nobody writes");
        }
        assert_eq!(files.turns.available_permits(), MOST - 1);
        let other = directory.join("other");
        assert_eq!(files.version(&other).await, Ok(None));
        std::fs::write(&other, "there").unwrap();
        let version = files.version(&other).await.unwrap().unwrap();
        let (same, content) = files.content(&other).await.unwrap();
        assert_eq!((same, &*content), (version, &b"there"[..]));

        let (late, answered) = tokio::join!(
            async {
                tokio::task::yield_now().await;
                let pipe = pipe.clone();
                tokio::task::spawn_blocking(move || std::fs::write(pipe, "late")).await
            },
            files.content(&pipe)
        );
        late.unwrap().unwrap();
        let answered = answered.map(|(_, content)| content);
        assert_eq!(
            answered.as_deref(),
            Ok(&b"late"[..]),
            "all wait for the same look"
        );
        std::fs::remove_dir_all(directory).unwrap();
    }
}

//! All peers of a speaker: starts and ends their tasks, takes reloads, answers for them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::directory::{Entry, FromRange, Tables};
use super::handover::Handed;
use super::listener::{Directory, Listener, ListenerStatus};
use super::local_addresses::LocalAddresses;
use super::md5_counters::{Counts, Recent};
use super::peer::{Command, Core, Stop};
use super::peer_ids::PeerIds;
use super::place::Place;
use super::settings::{PeerAddress, PeerSettings, SpeakerIdentity};
use super::status::{State, Status};
use super::task::{Surroundings, Task, ToPeer};
use crate::rib::task::RibHandle;
use crate::route::{PeerId, Secret};

/// How often the machine's addresses are looked at.
const ADDRESS_CHECK: Duration = Duration::from_secs(5);
/// Connections and commands that may wait for one peer.
const MAILBOX: usize = 16;
/// How long all peers together may take to say their last word.
const STOP_TIME: Duration = Duration::from_secs(3);

/// What sessions are started with.
#[derive(Debug)]
pub struct Start {
    /// Where routes go.
    pub rib: RibHandle,
    /// Who we are.
    pub identity: SpeakerIdentity,
    /// The peers with the handles that `ids` gave them.
    pub peers: Vec<(PeerId, PeerSettings)>,
    /// Where the handles of `peers` came from; those of later peers come from here too.
    pub ids: PeerIds,
    /// Peers from ranges that the RIB waits for, with handles of `ids`.
    pub awaited: Awaited,
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Sockets of a predecessor; those that are not in `listen` are closed.
    pub inherited: Vec<Handed>,
    /// Where jitter comes from.
    pub seed: u64,
}

/// Peers from ranges whose sessions stood before a restart.
#[derive(Clone, Debug, Default)]
pub struct Awaited {
    /// Their handles.
    pub ids: BTreeMap<IpAddr, PeerId>,
    /// Who has not come back after this time is forgotten.
    pub time: Duration,
}

/// How a speaker stops.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StopKind {
    /// It will be back: no NOTIFICATION where graceful restart is in force.
    Restart,
    /// It leaves for good, with this text for the peers' operators.
    Leave {
        /// RFC 9003.
        text: String,
    },
}

/// A command could not be given.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum CommandError {
    /// No peer has this name.
    #[error("no peer is called {0}")]
    NoSuchPeer(String),
    /// It has just ended.
    #[error("peer {0} has ended")]
    Ended(String),
}

/// All sessions of a speaker. Clones are the same.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

struct Shared {
    surroundings: Surroundings,
    identity: SpeakerIdentity,
    tables: Mutex<Tables>,
    listeners: Vec<Arc<Listener>>,
    background: Mutex<Vec<JoinHandle<()>>>,
    seed: u64,
    /// Segments that the kernel dropped for their signature.
    unsigned: Arc<Mutex<Recent>>,
}

impl Sessions {
    /// Starts every peer and listens. Must be called inside a runtime.
    #[must_use]
    pub fn start(mut start: Start) -> Self {
        // An error here means that no peer is ourselves; the next look may know more.
        let known = LocalAddresses::read().unwrap_or_default();
        let (publish, addresses) = watch::channel(Arc::new(known));
        // Until they are back, or a while has passed, they are those that a next restart waits for.
        let members: BTreeSet<IpAddr> = start.awaited.ids.keys().copied().collect();
        let listeners = start.listen.iter().map(|address| {
            let same = |handed: &Handed| handed.address == *address;
            let place = start.inherited.iter().position(same);
            Listener::new(*address, place.map(|place| start.inherited.swap_remove(place)))
        });
        let listeners = listeners.collect();
        let shared = Arc::new(Shared {
            surroundings: Surroundings {
                rib: start.rib,
                addresses,
                mailbox_size: MAILBOX,
                members: watch::channel(members).0.into(),
            },
            identity: start.identity,
            tables: Mutex::new(Tables::new(start.ids, start.awaited.ids)),
            listeners,
            background: Mutex::default(),
            seed: start.seed,
            unsigned: Arc::default(),
        });
        for (id, settings) in start.peers {
            shared.add(Some(id), settings);
        }
        let mut background = vec![
            tokio::spawn(watch_addresses(publish)),
            tokio::spawn(watch_signatures(Arc::clone(&shared.unsigned))),
            tokio::spawn(forget_absent(Arc::clone(&shared), start.awaited.time)),
        ];
        for listener in &shared.listeners {
            background.push(tokio::spawn(Arc::clone(listener).run(Arc::clone(&shared))));
        }
        *shared.background.lock().unwrap_or_else(PoisonError::into_inner) = background;
        Self(shared)
    }

    /// Goes over to another set of peers: those that are equal are left alone, those that differ take their new settings
    /// as `settings_change` says, and those that are gone are told so. Returns when all of that is done.
    pub async fn apply(&self, peers: Vec<PeerSettings>) {
        let plan = self.0.tables().plan(&peers);
        self.0.end(plan.removed, &Stop::Removed).await;
        // Keys before the peers that need them.
        self.0.refresh_keys(&plan.keys);
        for (name, settings) in plan.changed {
            let mailbox = self.0.tables().change(&name, &settings);
            if let Some(mailbox) = mailbox {
                // It may have been forgotten a moment ago, if it came from a range.
                mailbox.send(ToPeer::Reconfigure(Box::new(settings))).await.ok();
            }
        }
        for settings in plan.added {
            self.0.add(None, settings);
        }
        // A listener that came up meanwhile may have taken the keys of before.
        self.0.refresh_keys(&plan.keys);
    }

    /// Every peer, in the order of their names.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        let published: Vec<(Arc<Mutex<Status>>, bool)> = self
            .0
            .tables()
            .peers
            .values()
            .map(|entry| (Arc::clone(&entry.status), entry.settings.password.is_some()))
            .collect();
        let unsigned = self.0.unsigned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statuses = Vec::with_capacity(published.len());
        for (status, has_key) in published {
            let mut status = status.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let expected = !status.is_self && !status.shutdown;
            if expected && status.state != State::Established {
                status.notes.extend(unsigned.hint(has_key));
            }
            statuses.push(status);
        }
        statuses
    }

    /// Every listen address.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerStatus> {
        self.0
            .listeners
            .iter()
            .map(|listener| listener.status())
            .collect()
    }

    /// Addresses of peers from ranges that have routes here: a successor waits for them as for configured ones.
    #[must_use]
    pub fn members(&self) -> watch::Receiver<BTreeSet<IpAddr>> {
        self.0.surroundings.members.subscribe()
    }

    /// The listening sockets for a successor; nothing is accepted here any more.
    #[must_use]
    pub fn hand_over(&self) -> Vec<Handed> {
        self.0.end_background();
        let listeners = self.0.listeners.iter();
        listeners
            .filter_map(|listener| listener.hand_over(&*self.0))
            .collect()
    }

    /// The handle of the peer with this name.
    #[must_use]
    pub fn peer_id(&self, name: &str) -> Option<PeerId> {
        self.0.tables().peers.get(name).map(|entry| entry.id)
    }

    /// The name of the peer with this handle.
    #[must_use]
    pub fn peer_name(&self, id: PeerId) -> Option<Arc<str>> {
        let tables = self.0.tables();
        let mut peers = tables.peers.iter();
        peers
            .find(|(_, entry)| entry.id == id)
            .map(|(name, _)| Arc::clone(name))
    }

    /// Gives a command to the peer with this name.
    ///
    /// # Errors
    ///
    /// [`CommandError`]: there is no such peer.
    pub async fn command(&self, name: &str, command: Command) -> Result<(), CommandError> {
        let mailbox = self.0.tables().peers.get(name).map(|entry| entry.mailbox.clone());
        let mailbox = mailbox.ok_or_else(|| CommandError::NoSuchPeer(name.into()))?;
        mailbox
            .send(ToPeer::Command(command))
            .await
            .map_err(|_| CommandError::Ended(name.into()))
    }

    /// Ends everything, and returns when the last words have gone or had their time.
    pub async fn stop(&self, kind: StopKind) {
        self.0.end_background();
        let stop = match kind {
            StopKind::Restart => Stop::Restart {
                text: "stonechat restarts".into(),
            },
            StopKind::Leave { text } => Stop::Leave { text },
        };
        let all = self.0.tables().peers.keys().cloned().collect();
        if tokio::time::timeout(STOP_TIME, self.0.end(all, &stop))
            .await
            .is_err()
        {
            tracing::warn!("not every session has ended in time");
        }
    }
}

impl Directory for Shared {
    fn peer_at(&self, place: &Place) -> Option<mpsc::Sender<ToPeer>> {
        let mut tables = self.tables();
        if let Some(mailbox) = tables.mailbox_at(place) {
            return Some(mailbox);
        }
        let FromRange { id, peer, range } = tables.admit_from_range(place)?;
        Some(self.spawn(&mut tables, id, peer, Some(range)))
    }

    fn keys(&self) -> Vec<(ipnet::IpNet, Secret)> {
        self.tables().keys()
    }
}

impl Shared {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_background(&self) {
        let mut background = self.background.lock().unwrap_or_else(PoisonError::into_inner);
        background.drain(..).for_each(|task| task.abort());
    }

    fn add(&self, id: Option<PeerId>, settings: PeerSettings) {
        let mut tables = self.tables();
        match settings.address {
            PeerAddress::Range(_) => {
                if let Some(id) = id {
                    tables.ids.release(id);
                }
                tables.ranges.insert(settings.name.clone(), settings);
            }
            PeerAddress::Address(_) => {
                let id = id.unwrap_or_else(|| tables.ids.allocate());
                self.spawn(&mut tables, id, settings, None);
            }
        }
    }

    fn spawn(
        &self,
        tables: &mut Tables,
        id: PeerId,
        settings: PeerSettings,
        range: Option<Arc<str>>,
    ) -> mpsc::Sender<ToPeer> {
        let seed = self.seed ^ (u64::from(id.index) << 32 | u64::from(id.generation));
        let core = Core::new(id, settings.clone(), self.identity.clone(), seed);
        let (task, mailbox) = Task::new(core, &self.surroundings, range.is_some());
        let status = task.status();
        let span = tracing::info_span!("session", peer = %settings.name);
        let task = tokio::spawn(task.run().instrument(span));
        let entry = Entry {
            id,
            settings,
            mailbox: mailbox.clone(),
            status,
            task,
            range,
        };
        tables.insert(entry);
        mailbox
    }

    /// Ends peers and forgets them.
    async fn end(&self, names: Vec<Arc<str>>, stop: &Stop) {
        let entries = self.tables().remove(&names);
        for entry in &entries {
            // A peer whose task has ended has nothing to say.
            entry.mailbox.send(ToPeer::Stop(stop.clone())).await.ok();
        }
        for entry in entries {
            let (id, removed) = (entry.id, *stop == Stop::Removed);
            if let Err(error) = entry.task.await {
                tracing::error!(%error, "the task of a peer has failed");
            }
            if removed {
                self.surroundings.rib.peer_removed(id).await;
            }
            self.tables().ids.release(id);
        }
    }

    fn refresh_keys(&self, keys: &BTreeMap<ipnet::IpNet, Option<Secret>>) {
        for (network, key) in keys {
            for listener in &self.listeners {
                listener.set_key(*network, key.as_ref());
            }
        }
    }
}

async fn watch_addresses(publish: watch::Sender<Arc<LocalAddresses>>) {
    let mut interval = tokio::time::interval(ADDRESS_CHECK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        match LocalAddresses::read() {
            Ok(addresses) => {
                publish.send_if_modified(|known| {
                    let differs = **known != addresses;
                    if differs {
                        *known = Arc::new(addresses);
                    }
                    differs
                });
            }
            Err(error) => tracing::warn!(%error, "cannot read the addresses of this machine"),
        }
    }
}

/// Peers from ranges that have not come back in time need not be waited for by another restart either.
async fn forget_absent(shared: Arc<Shared>, time: Duration) {
    tokio::time::sleep(time).await;
    let absent = shared.tables().forget_awaited();
    shared.surroundings.members.send_if_modified(|members| {
        let before = members.len();
        members.retain(|address| !absent.contains(address));
        members.len() != before
    });
}

async fn watch_signatures(recent: Arc<Mutex<Recent>>) {
    let mut interval = tokio::time::interval(ADDRESS_CHECK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let now = interval.tick().await.into_std();
        // A few kilobytes out of the kernel's memory; without the file there is nothing to hint at.
        if let Ok(text) = std::fs::read_to_string("/proc/self/net/netstat") {
            let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.note(Counts::parse(&text), now);
        }
    }
}

#[cfg(test)]
mod tests;

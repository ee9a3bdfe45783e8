//! Draining: what the operator wants, what it means for peers, and its progress in time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::Speaker;
use crate::control::show::{no_such_peer, no_such_vip};
use crate::control::{Failure, Response};
use crate::drain::{Drains, Now, Stage, Status, Target};
use crate::policy::{Chain, Edits};
use crate::session::settings::{PeerAddress, PeerSettings};

/// The drains, for those who only ask.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Drains>>);

impl Shared {
    pub(super) fn new(drains: Drains) -> Self {
        Self(Arc::new(Mutex::new(drains)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Drains> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn statuses(&self) -> Vec<Status> {
        self.lock().statuses()
    }

    /// When something has settled.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.lock().next_deadline().map(Instant::from_std)
    }
}

/// A drain as the command line asks for it.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) targets: Vec<Target>,
    pub(super) settle: Duration,
    pub(super) shutdown: Option<String>,
}

impl Speaker {
    /// Begins drains; all of them, or none where one target does not exist.
    pub(super) async fn drain(&mut self, wish: Wish) -> Response {
        let targets: Result<Vec<Target>, Failure> =
            wish.targets.iter().map(|target| self.known(target)).collect();
        let targets = match targets {
            Ok(targets) => targets,
            Err(failure) => return Response::Failed(failure),
        };
        for target in &targets {
            tracing::info!(%target, settle_s = wish.settle.as_secs_f64(), "drain begins");
            self.rooms
                .drains
                .lock()
                .begin(target.clone(), wish.settle, wish.shutdown.clone(), now());
        }
        self.drains_changed().await;
        self.answer_drains(&targets)
    }

    /// Ends drains.
    pub(super) async fn undrain(&mut self, targets: Vec<Target>) -> Response {
        let everything = targets.contains(&Target::All);
        if self.rooms.drains.lock().is_all() && !everything {
            return Response::Failed(Failure::Other {
                text: String::from("everything is drained; `stonechat undrain --all` ends that"),
            });
        }
        let mut ended = Vec::new();
        for target in targets {
            // What has left the configuration can still be undrained, by its name.
            let target = self.known(&target).unwrap_or(target);
            ended.extend(self.rooms.drains.lock().end(&target));
        }
        if ended.is_empty() {
            return Response::Done {
                text: String::from("nothing of that was drained"),
            };
        }
        self.drains_changed().await;
        let ended: Vec<String> = ended.iter().map(Target::to_string).collect();
        let ended = ended.join(", ");
        tracing::info!(ended, "drain ends");
        Response::Done {
            text: format!("no longer drained: {ended}"),
        }
    }

    /// Withdraws what has settled.
    pub(super) async fn settled(&mut self) {
        if self.rooms.drains.lock().tick(now().at) {
            tracing::info!("drained");
            self.drains_changed().await;
        }
    }

    /// Hands the stages to the VIPs and the sessions; both touch only what differs.
    async fn drains_changed(&mut self) {
        let (stages, peers) = {
            let drains = self.rooms.drains.lock();
            (drains.vips(), peers(&drains, &self.config.peers))
        };
        self.rooms.vips.drain(stages);
        self.rooms.sessions.apply(self.rooms.shutdowns.over(peers)).await;
        self.save(false).await;
    }

    fn answer_drains(&self, targets: &[Target]) -> Response {
        let statuses = self.rooms.drains.statuses().into_iter();
        Response::Drains(
            statuses
                .filter(|status| targets.contains(&status.target))
                .collect(),
        )
    }

    /// The target by its configured name; a peer may be named by its address.
    fn known(&self, target: &Target) -> Result<Target, Failure> {
        match target {
            Target::All => Ok(Target::All),
            Target::Vip(name) => {
                let mut names = self.config.vips.iter().map(|vip| &*vip.name);
                if names.clone().any(|known| *known == **name) {
                    Ok(target.clone())
                } else {
                    Err(no_such_vip(name, &mut names))
                }
            }
            Target::Peer(name) => {
                let address = name.parse().ok();
                let found = self.config.peers.iter().find(|peer| {
                    peer.name == *name
                        || address.is_some_and(|address| peer.address == PeerAddress::Address(address))
                });
                let names = self.config.peers.iter().map(|peer| &*peer.name);
                found
                    .map(|peer| Target::Peer(Arc::clone(&peer.name)))
                    .ok_or_else(|| no_such_peer(name, names))
            }
        }
    }
}

/// The peers as configured, except that those which are drained are told so: while settling, what goes to them is marked as
/// leaving and what comes from them is used last (RFC 8326 §4.2); then they are told nothing, and where that was asked for
/// their sessions are shut down.
pub(super) fn peers(drains: &Drains, configured: &[PeerSettings]) -> Vec<PeerSettings> {
    let drained = |peer: &PeerSettings| {
        let mut peer = peer.clone();
        let Some((stage, text)) = drains.peer(&peer.name) else {
            return peer;
        };
        peer.policy.import = peer.policy.import.ending_with(Edits::lowest_preference());
        peer.policy.export = match stage {
            Stage::Settling => peer.policy.export.ending_with(Edits::last_resort()),
            Stage::Withdrawn => Chain::drained(),
        };
        if let Some(text) = text {
            peer.shutdown.get_or_insert_with(|| text.to_owned());
        }
        peer
    };
    configured.iter().map(drained).collect()
}

/// Both clocks.
#[expect(
    clippy::disallowed_methods,
    reason = "an edge: a successor and people need the time of day"
)]
pub(super) fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    Now {
        at: Instant::now().into_std(),
        unix_s: unix.map_or(0, |since| since.as_secs()),
    }
}

//! Peers that the operator shut down: until the word is taken back, also by a successor of this daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Speaker;
use super::drain;
use crate::control::{Failure, Response};
use crate::session::peer::Command;
use crate::session::settings::PeerSettings;

/// The text for each peer that is shut down, by its name. A peer of the configuration has one; one from a range does not, it
/// is remembered by its own task alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Shutdowns(Arc<Mutex<BTreeMap<Arc<str>, String>>>);

impl Shutdowns {
    /// Those of before that are still configured.
    pub(super) fn restored(saved: Vec<(Arc<str>, String)>, configured: &[PeerSettings]) -> Self {
        let known = |name: &Arc<str>| configured.iter().any(|peer| peer.name == *name);
        let saved = saved.into_iter().filter(|(name, _)| known(name));
        Self(Arc::new(Mutex::new(saved.collect())))
    }

    /// For a successor.
    pub(super) fn all(&self) -> Vec<(Arc<str>, String)> {
        let all = self.lock();
        all.iter()
            .map(|(name, text)| (Arc::clone(name), text.clone()))
            .collect()
    }

    /// The same peers, those among them shut down that are to be.
    pub(super) fn over(&self, mut peers: Vec<PeerSettings>) -> Vec<PeerSettings> {
        let all = self.lock();
        for peer in &mut peers {
            if let Some(text) = all.get(&peer.name) {
                peer.shutdown.get_or_insert_with(|| text.clone());
            }
        }
        peers
    }

    /// Those that are no longer configured are forgotten: who comes by their names later is somebody else.
    pub(super) fn retain(&self, configured: &[PeerSettings]) {
        let known = |name: &Arc<str>| configured.iter().any(|peer| peer.name == *name);
        self.lock().retain(|name, _| known(name));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Speaker {
    /// Shuts a peer down until [`enable`](Self::enable).
    pub(super) async fn shut_down(&mut self, name: &str, text: String) -> Result<Response, Failure> {
        let peer = self.rooms.find(name)?.name;
        let configured = self.config.peers.iter().any(|known| known.name == peer);
        let done = if configured {
            "shut down until `stonechat enable`, also when the daemon restarts"
        } else {
            "shut down until `stonechat enable` or a restart of the daemon"
        };
        // Also one that an operator enabled although the configuration says otherwise.
        let command = Command::Shutdown(text.clone());
        let answer = self.rooms.command(&peer, command, done).await?;
        if configured {
            self.rooms.shutdowns.lock().insert(peer, text);
            self.shutdowns_changed().await;
        }
        Ok(answer)
    }

    /// Lets a peer come up again, whoever or whatever kept it down.
    pub(super) async fn enable(&mut self, name: &str) -> Result<Response, Failure> {
        let peer = self.rooms.find(name)?.name;
        let removed = self.rooms.shutdowns.lock().remove(&peer);
        if removed.is_some() {
            self.shutdowns_changed().await;
        }
        self.rooms.command(&peer, Command::Enable, "enabled").await
    }

    async fn shutdowns_changed(&mut self) {
        let peers = drain::peers(&self.rooms.drains.lock(), &self.config.peers);
        self.rooms.sessions.apply(self.rooms.shutdowns.over(peers)).await;
        self.save(false).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_restored_is_what_is_configured_and_the_files_own_text_wins() {
        let peer = |name: &str, shutdown: Option<&str>| PeerSettings {
            shutdown: shutdown.map(str::to_owned),
            ..PeerSettings::new(
                name,
                [192, 0, 2, 1].into(),
                (bgp_codec::Asn(64_512), bgp_codec::Asn(64_512)),
            )
        };
        let peers = [peer("a", None), peer("b", Some("file")), peer("c", None)];
        let saved = ["a", "b", "gone"].map(|name| (Arc::from(name), "operator".to_owned()));
        let shutdowns = Shutdowns::restored(saved.to_vec(), &peers);
        assert_eq!(shutdowns.all().len(), 2);
        let texts: Vec<Option<String>> = shutdowns
            .over(peers.to_vec())
            .into_iter()
            .map(|peer| peer.shutdown)
            .collect();
        assert_eq!(texts, [Some("operator".into()), Some("file".into()), None]);
        shutdowns.retain(&peers[1..]);
        assert_eq!(shutdowns.all(), [(Arc::from("b"), "operator".to_owned())]);
    }
}

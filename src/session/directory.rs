//! Who is known by which name and address, and what a new set of settings changes (pure but for the handles it keeps).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use ipnet::IpNet;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::peer_ids::PeerIds;
use super::place::Place;
use super::settings::{PeerAddress, PeerSettings};
use super::status::Status;
use super::task::ToPeer;
use crate::route::{PeerId, Secret};

/// One peer at work.
pub(super) struct Entry {
    pub(super) id: PeerId,
    pub(super) settings: PeerSettings,
    pub(super) mailbox: mpsc::Sender<ToPeer>,
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) task: JoinHandle<()>,
    /// The range it came from.
    pub(super) range: Option<Arc<str>>,
}

/// All peers and ranges.
pub(super) struct Tables {
    pub(super) peers: BTreeMap<Arc<str>, Entry>,
    pub(super) ranges: BTreeMap<Arc<str>, PeerSettings>,
    pub(super) ids: PeerIds,
    /// Handles that a restarting RIB waits for, of peers from ranges that have not come back yet.
    awaited: BTreeMap<IpAddr, PeerId>,
    by_place: HashMap<Place, Arc<str>>,
}

/// A peer that comes from a range.
pub(super) struct FromRange {
    pub(super) id: PeerId,
    pub(super) peer: PeerSettings,
    pub(super) range: Arc<str>,
}

/// What to do to get from the settings in force to new ones.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) removed: Vec<Arc<str>>,
    pub(super) changed: Vec<(Arc<str>, PeerSettings)>,
    pub(super) added: Vec<PeerSettings>,
    /// Keys to set, and to remove.
    pub(super) keys: BTreeMap<IpNet, Option<Secret>>,
}

impl Tables {
    pub(super) fn new(ids: PeerIds, awaited: BTreeMap<IpAddr, PeerId>) -> Self {
        Self {
            peers: BTreeMap::new(),
            ranges: BTreeMap::new(),
            ids,
            awaited,
            by_place: HashMap::new(),
        }
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        if let Some(place) = Place::of_peer(&entry.settings) {
            self.by_place.insert(place, entry.settings.name.clone());
        }
        self.peers.insert(entry.settings.name.clone(), entry);
    }

    pub(super) fn remove(&mut self, names: &[Arc<str>]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for name in names {
            self.ranges.remove(name);
            if let Some(entry) = self.peers.remove(name) {
                self.by_place.retain(|_, owner| owner != name);
                entries.push(entry);
            }
        }
        entries
    }

    /// Takes new settings of a peer or a range; yields the mailbox of the peer, which is to be told.
    pub(super) fn change(
        &mut self,
        name: &Arc<str>,
        settings: &PeerSettings,
    ) -> Option<mpsc::Sender<ToPeer>> {
        if let Some(range) = self.ranges.get_mut(name) {
            *range = settings.clone();
            return None;
        }
        let entry = self.peers.get_mut(name)?;
        entry.settings = settings.clone();
        self.by_place.retain(|_, owner| owner != name);
        if let Some(place) = Place::of_peer(settings) {
            self.by_place.insert(place, Arc::clone(name));
        }
        Some(entry.mailbox.clone())
    }

    pub(super) fn mailbox_at(&self, place: &Place) -> Option<mpsc::Sender<ToPeer>> {
        let entry = self.peers.get(self.by_place.get(place)?)?;
        // One from a range whose task has ended makes room for another.
        (!entry.mailbox.is_closed()).then(|| entry.mailbox.clone())
    }

    /// Makes a peer of the most specific range that has this address and room for one more.
    pub(super) fn admit_from_range(&mut self, place: &Place) -> Option<FromRange> {
        self.sweep();
        let holds = |settings: &&PeerSettings| match settings.address {
            PeerAddress::Range(range) => range.contains(&place.address) && is_on_link(settings, place),
            PeerAddress::Address(_) => false,
        };
        let range = self
            .ranges
            .values()
            .filter(holds)
            .max_by_key(|settings| match settings.address {
                PeerAddress::Range(range) => range.prefix_len(),
                PeerAddress::Address(_) => 0,
            })?;
        let members = self
            .peers
            .values()
            .filter(|entry| entry.range.as_ref() == Some(&range.name))
            .count();
        if members >= range.range_limit {
            return None;
        }
        let (peer, range) = (member(range, place), range.name.clone());
        let id = self.awaited.remove(&place.address);
        let id = id.unwrap_or_else(|| self.ids.allocate());
        Some(FromRange { id, peer, range })
    }

    /// Nobody is waited for any more; yields who has not come.
    pub(super) fn forget_awaited(&mut self) -> BTreeSet<IpAddr> {
        let absent = std::mem::take(&mut self.awaited);
        for id in absent.values() {
            self.ids.release(*id);
        }
        absent.into_keys().collect()
    }

    /// Forgets peers from ranges whose tasks have ended.
    fn sweep(&mut self) {
        let ended = |entry: &&Entry| entry.range.is_some() && entry.task.is_finished();
        let names: Vec<Arc<str>> = self
            .peers
            .values()
            .filter(ended)
            .map(|it| it.settings.name.clone())
            .collect();
        for entry in self.remove(&names) {
            self.ids.release(entry.id);
        }
    }

    pub(super) fn keys(&self) -> Vec<(IpNet, Secret)> {
        let configured = self
            .peers
            .values()
            .filter(|entry| entry.range.is_none())
            .map(|entry| &entry.settings);
        configured.chain(self.ranges.values()).filter_map(key).collect()
    }

    /// Works out how to get from what is in force to `wanted`.
    pub(super) fn plan(&mut self, wanted: &[PeerSettings]) -> Plan {
        self.sweep();
        let mut plan = Plan::default();
        let names: BTreeSet<&Arc<str>> = wanted.iter().map(|settings| &settings.name).collect();
        let configured = self
            .peers
            .values()
            .filter(|entry| entry.range.is_none())
            .map(|entry| &entry.settings);
        let current: BTreeMap<&Arc<str>, &PeerSettings> = configured
            .chain(self.ranges.values())
            .map(|settings| (&settings.name, settings))
            .collect();
        plan.removed = current
            .keys()
            .filter(|name| !names.contains(*name))
            .map(|name| Arc::clone(name))
            .collect();
        for settings in wanted {
            match current.get(&settings.name) {
                None => plan.added.push(settings.clone()),
                Some(old) if is_range(old) != is_range(settings) => {
                    plan.removed.push(settings.name.clone());
                    plan.added.push(settings.clone());
                }
                Some(old) if *old != settings => plan.changed.push((settings.name.clone(), settings.clone())),
                Some(_) => {}
            }
        }
        self.plan_members(&mut plan, wanted);
        let new_keys: BTreeMap<IpNet, Secret> = wanted.iter().filter_map(key).collect();
        let old_keys: BTreeMap<IpNet, Secret> = self.keys().into_iter().collect();
        for network in old_keys.keys().chain(new_keys.keys()) {
            if old_keys.get(network) != new_keys.get(network) {
                plan.keys.insert(*network, new_keys.get(network).cloned());
            }
        }
        plan
    }

    /// What changes for peers that came from ranges.
    fn plan_members(&self, plan: &mut Plan, wanted: &[PeerSettings]) {
        let configured: BTreeSet<Place> = wanted.iter().filter_map(Place::of_peer).collect();
        for entry in self.peers.values() {
            let (Some(range), Some(place)) = (&entry.range, Place::of_peer(&entry.settings)) else {
                continue;
            };
            let holds = |settings: &&PeerSettings| match settings.address {
                PeerAddress::Range(network) => {
                    settings.name == *range
                        && network.contains(&place.address)
                        && is_on_link(settings, &place)
                }
                PeerAddress::Address(_) => false,
            };
            let name = entry.settings.name.clone();
            match wanted.iter().find(holds) {
                // A configured peer wins over a range.
                Some(_) if configured.contains(&place) => plan.removed.push(name),
                None => plan.removed.push(name),
                Some(range) => {
                    let settings = member(range, &place);
                    if settings != entry.settings {
                        plan.changed.push((name, settings));
                    }
                }
            }
        }
    }
}

fn is_range(settings: &PeerSettings) -> bool {
    matches!(settings.address, PeerAddress::Range(_))
}

/// Whether a range takes what comes from there: with an interface, no link-local address of another.
fn is_on_link(range: &PeerSettings, place: &Place) -> bool {
    match (&range.interface, &place.link) {
        (Some(interface), Some(link)) => interface == link,
        (None, _) | (_, None) => true,
    }
}

/// The settings of one peer of a range.
fn member(range: &PeerSettings, place: &Place) -> PeerSettings {
    PeerSettings {
        name: place.to_string().into(),
        address: PeerAddress::Address(place.address),
        interface: range.interface.clone().or_else(|| place.link.clone()),
        passive: true,
        ..range.clone()
    }
}

fn key(settings: &PeerSettings) -> Option<(IpNet, Secret)> {
    let network = match settings.address {
        PeerAddress::Address(address) => IpNet::from(address),
        PeerAddress::Range(range) => range.trunc(),
    };
    Some((network, settings.password.as_ref()?.key.clone()))
}

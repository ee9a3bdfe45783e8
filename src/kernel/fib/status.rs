//! What became of a route that we want in the kernel, in the operator's words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Entry, Fib};
use crate::kernel::mirror::Mirror;
use crate::kernel::wire::{Hop, protocol_name};
use crate::route::Prefix;

/// Where a route stands, as an entry keeps it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum State {
    /// An operation is under way or about to be.
    #[default]
    Pending,
    /// The kernel holds it as wanted.
    Installed,
    /// Ours from before a restart; nothing has been decided yet.
    Adopted,
    /// Nobody wants it.
    NotWanted,
    /// `install = false`, no `[kernel]`, or we are leaving.
    NotInstalled,
    /// No next hop is reachable.
    Unresolved,
    /// Something better is there: see [`Obstacle`].
    StandsAside,
    /// The kernel refused with this errno; it will be asked again.
    Failed(u16),
}

/// Why a route is not to be in the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Obstacle {
    /// Nobody wants it.
    NotWanted,
    /// `install = false`, no `[kernel]`, or we are leaving.
    NotInstalled,
    /// No next hop is reachable.
    Unresolved,
    /// Somebody else has a route there.
    HeldBy {
        /// `rtm_protocol`.
        protocol: u8,
        /// `RTA_PRIORITY`.
        metric: u32,
    },
    /// This node originates the prefix.
    OwnPrefix,
    /// This node is connected to the prefix.
    Connected {
        /// By this interface.
        interface: u32,
    },
    /// An IPv6 route cannot have an IPv4 gateway.
    WrongFamily,
}

impl Obstacle {
    pub(super) fn state(self) -> State {
        match self {
            Self::NotWanted => State::NotWanted,
            Self::NotInstalled => State::NotInstalled,
            Self::Unresolved => State::Unresolved,
            Self::HeldBy { .. } | Self::OwnPrefix | Self::Connected { .. } | Self::WrongFamily => {
                State::StandsAside
            }
        }
    }
}

impl State {
    /// Where the numbers of errors begin.
    const FAILED: u16 = 0x8000;

    /// As a number.
    pub(super) fn to_code(self) -> u16 {
        match self {
            Self::Pending => 0,
            Self::Installed => 1,
            Self::Adopted => 2,
            Self::NotWanted => 3,
            Self::NotInstalled => 4,
            Self::Unresolved => 5,
            Self::StandsAside => 6,
            Self::Failed(errno) => Self::FAILED | errno,
        }
    }

    /// From such a number.
    pub(super) fn from_code(code: u16) -> Self {
        match code {
            1 => Self::Installed,
            2 => Self::Adopted,
            3 => Self::NotWanted,
            4 => Self::NotInstalled,
            5 => Self::Unresolved,
            6 => Self::StandsAside,
            code if code & Self::FAILED != 0 => Self::Failed(code & !Self::FAILED),
            _ => Self::Pending,
        }
    }

    /// The kernel refused.
    pub(super) fn failed(errno: i32) -> Self {
        Self::Failed(u16::try_from(errno).unwrap_or(Self::FAILED - 1))
    }

    /// Whether the kernel refused.
    pub(super) fn is_failed(self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Whether the route is kept out of the kernel by something better, so that next hops do not resolve through it.
    pub(super) fn stands_aside(self) -> bool {
        self == Self::StandsAside
    }
}

/// How many routes are in which state.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// The kernel holds them as wanted.
    pub installed: u64,
    /// They wait: for a next hop, or for the kernel's answer.
    pub pending: u64,
    /// Something stands against them, or the kernel refused.
    pub rejected: u64,
    /// Ours from before a restart that nobody has decided about yet.
    pub stale: u64,
}

impl Counts {
    pub(super) fn count(&mut self, wanted: bool, held: bool, state: State) {
        if let Some(count) = self.of(wanted, held, state) {
            *count += 1;
        }
    }

    pub(super) fn forget(&mut self, wanted: bool, held: bool, state: State) {
        if let Some(count) = self.of(wanted, held, state) {
            *count = count.saturating_sub(1);
        }
    }

    fn of(&mut self, wanted: bool, held: bool, state: State) -> Option<&mut u64> {
        match state {
            _ if !wanted => held.then_some(&mut self.stale),
            State::NotInstalled => None,
            State::Installed => Some(&mut self.installed),
            State::Pending | State::Adopted | State::NotWanted | State::Unresolved => Some(&mut self.pending),
            State::StandsAside | State::Failed(_) => Some(&mut self.rejected),
        }
    }
}

impl Fib {
    /// The state of a prefix in every table that has it wanted or held, one a line; none where there is nothing.
    pub(crate) fn describe(&self, prefix: Prefix, mirror: &Mirror) -> Option<String> {
        let found = self
            .tables
            .iter()
            .filter_map(|table| Some((table, self.entries.get(self.entries.find((*table, prefix))?)?)));
        let lines: Vec<String> = found
            .map(|(table, entry)| {
                let description = Description {
                    fib: self,
                    entry,
                    mirror,
                };
                format!("table {table}: {description}")
            })
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

struct Description<'a> {
    fib: &'a Fib,
    entry: Entry,
    mirror: &'a Mirror,
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry.state {
            State::Pending => f.write_str("pending: the kernel is being asked"),
            State::Installed => self.held(f, "installed"),
            State::Adopted => self.held(f, "kept from before the restart, not decided yet"),
            State::Failed(errno) => {
                let error = std::io::Error::from_raw_os_error(errno.into());
                write!(
                    f,
                    "rejected: {error}; tried {} times, will be tried again",
                    self.entry.attempts
                )
            }
            State::NotWanted | State::NotInstalled | State::Unresolved | State::StandsAside => {
                match self.fib.target(&self.entry, self.mirror) {
                    Ok(_) => f.write_str("pending: what stood against it has just gone"),
                    Err(obstacle) => self.obstacle(f, obstacle),
                }
            }
        }
    }
}

impl Description<'_> {
    fn obstacle(&self, f: &mut fmt::Formatter<'_>, obstacle: Obstacle) -> fmt::Result {
        match obstacle {
            Obstacle::NotWanted => f.write_str("not wanted"),
            Obstacle::NotInstalled => f.write_str("not installed: install is off"),
            Obstacle::Unresolved => self.unresolved(f),
            Obstacle::HeldBy { protocol, metric } => {
                let protocol = protocol_name(protocol);
                write!(f, "rejected: prefix held by proto {protocol} metric {metric}")
            }
            Obstacle::OwnPrefix => f.write_str("rejected: this node originates the prefix"),
            Obstacle::Connected { interface } => {
                let name = self.mirror.link_name(interface);
                write!(f, "rejected: this node is connected to the prefix ({name})")
            }
            Obstacle::WrongFamily => f.write_str("rejected: an IPv6 route cannot have an IPv4 next hop"),
        }
    }

    fn unresolved(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let obstacle = self
            .entry
            .wanted
            .and_then(|group| self.fib.groups.target(group).err());
        match obstacle {
            Some((next_hop, reason)) => write!(f, "pending: next hop {next_hop}: {reason}"),
            None => f.write_str("pending: its next hop has just come back"),
        }
    }

    fn held(&self, f: &mut fmt::Formatter<'_>, state: &str) -> fmt::Result {
        f.write_str(state)?;
        for held in self.entry.held.iter() {
            f.write_str(":")?;
            let hops = self.fib.ways.content(held.way);
            if hops.is_empty() {
                f.write_str(" blackhole")?;
            }
            for hop in hops.iter() {
                self.hop(f, hop, hops.len() > 1)?;
            }
            write!(f, " metric {}", held.metric)?;
        }
        Ok(())
    }

    fn hop(&self, f: &mut fmt::Formatter<'_>, hop: &Hop, weighted: bool) -> fmt::Result {
        if let Some(gateway) = hop.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(f, " dev {}", self.mirror.link_name(hop.interface))?;
        if weighted {
            write!(f, " weight {}", hop.weight)?;
        }
        Ok(())
    }
}

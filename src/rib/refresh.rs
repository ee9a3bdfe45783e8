//! Members that are sent everything again: ROUTE-REFRESH (RFC 2918), enhanced (RFC 7313), or because an operator asked.

use bgp_codec::{RouteRefresh, route_refresh::Subtype};
use smallvec::SmallVec;

use super::core::Core;
use super::id_set::IdSet;
use super::ids::PeerIndex;
use super::membership::Position;
use super::ring::{Item, ItemKind, MemberId};
use super::stream::{Marker, Walk};
use super::table_data::TableData;
use super::update_group::UpdateGroup;

/// How a table that is sent again is framed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Refresh {
    /// Not at all.
    Plain,
    /// By BoRR and EoRR, RFC 7313.
    Enhanced,
}

impl UpdateGroup {
    /// Sends a member everything again: at once, or behind the walk that it is in.
    pub(crate) fn refresh(&mut self, peer: PeerIndex, how: Refresh, core: &mut Core, data: &TableData) {
        let Some(id) = self.by_peer.get(&peer).copied() else {
            return;
        };
        // A member that leaves the ring takes along what is in it: everything must be.
        self.flush(core, data);
        self.active = true;
        let Some(member) = self.member_mut(id) else { return };
        let walking = match &member.position {
            Position::Waiting { .. } => true,
            Position::Stream { stream, .. } => {
                let stream = *stream;
                self.streams[stream]
                    .as_ref()
                    .is_some_and(|stream| stream.walk.is_some())
            }
            Position::Ring(_) => false,
        };
        if !walking {
            self.start_refresh(id, how);
        } else if let Some(member) = self.member_mut(id) {
            member.again = member.again.max(Some(how));
        }
    }

    fn start_refresh(&mut self, id: MemberId, how: Refresh) {
        let present = self.present();
        let peer = self.member(id).map(|member| member.peer);
        let Some(index) = self.split_off(id) else { return };
        if self.streams[index]
            .as_ref()
            .is_some_and(|stream| stream.walk.is_some())
        {
            // The end of an earlier walk is still to be read: this one follows it.
            if let Some(member) = self.member_mut(id) {
                member.again = member.again.max(Some(how));
            }
            return;
        }
        if how == Refresh::Enhanced {
            self.push_refresh(index, Subtype::BeginOfRib);
        }
        let Some(stream) = self.streams[index].as_mut() else {
            return;
        };
        let walk = stream.walk.get_or_insert_with(|| Walk {
            ids: IdSet::default(),
            markers: SmallVec::new(),
        });
        walk.ids.unite(&present);
        if how == Refresh::Enhanced {
            walk.markers.push(Marker::EndOfRefresh);
        }
        stream.leave_to_walk();
        stream.forget_before(peer);
        stream.fresh = false;
    }

    /// Starts the refreshes of members that have read the walk before it to its end; whether others still have to.
    pub(crate) fn start_waiting_refreshes(&mut self, stream: usize) -> bool {
        let Some(at) = self.streams[stream].as_ref() else {
            return false;
        };
        let (head, members) = (at.ring.head(), at.members.clone());
        let mut waiting = false;
        for id in members {
            let Some(member) = self.member_mut(id).filter(|member| member.again.is_some()) else {
                continue;
            };
            if matches!(member.position, Position::Stream { cursor, .. } if cursor == head) {
                let how = member.again.take().unwrap_or(Refresh::Plain);
                self.start_refresh(id, how);
            } else {
                waiting = true;
            }
        }
        waiting
    }

    pub(crate) fn push_refresh(&mut self, stream: usize, subtype: Subtype) {
        let mut bytes = Vec::new();
        RouteRefresh {
            family: self.key.family,
            subtype,
        }
        .encode(&mut bytes);
        let kind = match subtype {
            Subtype::EndOfRib => ItemKind::EndOfRefresh,
            Subtype::Request | Subtype::BeginOfRib => ItemKind::BeginOfRefresh,
        };
        if let Some(stream) = self.streams[stream].as_mut() {
            stream.ring.push(Item::marker(kind, bytes));
        }
    }
}

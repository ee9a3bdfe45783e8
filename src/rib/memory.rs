//! What the shard's memory is used for, by kind. Counted where it is held, so that a question costs nothing to answer.

use super::adj_rib_out::AdjRibOut;
use super::explain::MemoryUse;
use super::interface::Peer;
use super::shard::Rib;
use super::table::Table;
use super::update_group::UpdateGroup;

impl Rib {
    /// Octets asked of the allocator, and how many things they are for. What was asked for and never touched takes no memory.
    pub(super) fn memory(&self) -> Vec<MemoryUse> {
        let tables = || self.tables.iter();
        let groups = || tables().flat_map(|table| &table.groups);
        let sum = |of: fn(&Table) -> usize| tables().map(of).sum::<usize>();
        let of_groups = |of: fn(&UpdateGroup) -> usize| groups().map(of).sum::<usize>();
        let streams = groups().flat_map(|group| group.streams.iter().flatten());
        let kinds = [
            (
                "prefixes",
                sum(|table| table.data.prefixes.count()),
                sum(|table| table.data.prefixes.bytes() + table.data.best_bytes()),
            ),
            (
                "paths",
                sum(|table| table.data.rib_in.len()),
                sum(|table| table.data.rib_in.bytes()),
            ),
            (
                "attribute sets",
                self.core.attributes.len(),
                self.core.attributes.bytes(),
            ),
            (
                "advertised",
                of_groups(|group| group.out.len()),
                of_groups(|group| group.out.bytes())
                    + sum(|table| table.gone.iter().map(AdjRibOut::bytes).sum()),
            ),
            (
                "filters",
                of_groups(|group| group.classes.iter().flatten().count()),
                of_groups(UpdateGroup::filter_bytes),
            ),
            (
                "messages queued",
                of_groups(UpdateGroup::queued_items),
                of_groups(UpdateGroup::queued_bytes) + of_groups(UpdateGroup::queued_id_bytes),
            ),
            (
                "members behind",
                streams.clone().map(|stream| stream.members.len()).sum(),
                streams.map(|stream| stream.set_bytes()).sum(),
            ),
            (
                "contributors to aggregates",
                sum(|table| table.data.aggregates.usage().0),
                sum(|table| table.data.aggregates.usage().1),
            ),
            ("prefixes to decide", sum(Table::dirty), sum(Table::dirty_bytes)),
            (
                "sessions",
                self.core.peers.iter().filter(|(_, peer)| peer.up).count(),
                self.core.peers.iter().count() * (size_of::<Peer>() + 512),
            ),
        ];
        let used = |(kind, count, bytes): (&str, usize, usize)| MemoryUse {
            kind: kind.into(),
            count: count as u64,
            bytes: bytes as u64,
        };
        kinds.into_iter().map(used).collect()
    }
}

//! The shape of the file: which keys each table knows, and which parser reads each.
//!
//! Everything here is optional and remembers where it stood. What is required, what depends on what, and what is
//! assumed when a key is absent is decided in `validate`.

pub(super) mod aggregate;
pub(super) mod filter;
pub(super) mod kernel;
pub(super) mod originate;
pub(super) mod peer;
pub(super) mod sets;
pub(super) mod speaker;
pub(super) mod vip;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use self::aggregate::AggregateKeys;
use self::filter::FilterKeys;
use self::kernel::KernelKeys;
use self::originate::OriginateKeys;
use self::peer::{PeerGroup, PeerTable};
use self::sets::{AsPathSetKeys, CommunitySetKeys, PrefixSetKeys};
use self::speaker::SpeakerKeys;
use self::vip::VipKeys;
use super::reader::{Reader, Section, Value};
use super::scalar;
use super::schema::{Key, SectionSchema, Table};

/// Declares the keys of a table; `config::schema` says how to add one.
macro_rules! keys {
    ($(#[$attribute:meta])* $name:ident in $section:literal {
        $($(#[doc = $meaning:literal])+
        $key:ident: $type:ty = $parser:expr => $shape:expr, $default:expr, $reload:expr;)*
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        pub(in crate::config) struct $name {
            pub(in crate::config) header: $crate::config::file::Header,
            $(pub(in crate::config) $key: Option<toml::Spanned<$type>>,)*
        }

        impl $crate::config::file::Keys for $name {
            const SECTION: &'static str = $section;
            const KEYS: &'static [$crate::config::schema::Key] = &[$($crate::config::schema::Key {
                name: $crate::config::file::plain(stringify!($key)),
                meaning: &[$($meaning),+],
                shape: $shape,
                default: $default,
                reload: $reload,
            }),*];

            fn header(&self) -> &$crate::config::file::Header {
                &self.header
            }

            fn spans(&self) -> Vec<Option<std::ops::Range<usize>>> {
                vec![$(self.$key.as_ref().map(toml::Spanned::span)),*]
            }

            fn read(section: &$crate::config::reader::Section<'_>) -> Self {
                Self {
                    header: $crate::config::file::Header::new(
                        section,
                        <Self as $crate::config::file::Keys>::KEYS,
                    ),
                    $($key: section.read($crate::config::file::plain(stringify!($key)), $parser),)*
                }
            }
        }
    };
}
pub(in crate::config) use keys;

/// The keys of one table.
pub(super) trait Keys: Sized {
    /// How messages and the documentation call the table.
    const SECTION: &'static str;
    /// In the order in which they are documented.
    const KEYS: &'static [Key];

    /// Where the table begins and which keys it holds.
    fn header(&self) -> &Header;

    /// Where each value stands, in the order of the keys.
    fn spans(&self) -> Vec<Option<Range<usize>>>;

    /// Reads what is there; unknown keys are the caller's business, because a table may have several such types.
    fn read(section: &Section<'_>) -> Self;
}

/// A key as it is written in the file: Rust's `r#type` is the file's `type`.
pub(in crate::config) const fn plain(key: &'static str) -> &'static str {
    match key.as_bytes() {
        [b'r', b'#', rest @ ..] => match std::str::from_utf8(rest) {
            Ok(key) => key,
            Err(_) => key,
        },
        _ => key,
    }
}

/// Where a table begins and which keys it holds, rightly or wrongly.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) span: Range<usize>,
    present: BTreeSet<&'static str>,
}

impl Header {
    pub(super) fn new(section: &Section<'_>, keys: &[Key]) -> Self {
        Self {
            span: section.span.clone(),
            present: section.present(keys),
        }
    }

    /// Whether the table holds none of the keys.
    pub(super) fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Whether the table holds the key, even with a value that was refused.
    pub(super) fn has(&self, key: &str) -> bool {
        self.present.contains(key)
    }

    /// The value of a key that must be there; reports it missing unless something was there and was reported.
    pub(super) fn require<'k, T>(
        &self,
        reader: &Reader<'_>,
        value: Option<&'k Spanned<T>>,
        key: &str,
        example: &str,
    ) -> Option<&'k T> {
        if value.is_none() && !self.has(key) {
            reader.error(
                &self.span,
                format!("`{key}` is missing"),
                [format!("add `{key} = {example}`")],
            );
        }
        value.map(Spanned::get_ref)
    }
}

/// A whole file as written.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Who answers for a fragment.
    pub(super) owner: Option<Spanned<Arc<str>>>,
    pub(super) speaker: Option<SpeakerKeys>,
    /// A section stands there that was meant to be `[speaker]`, or is not a table; that has been reported.
    pub(super) speaker_meant: bool,
    pub(super) kernel: Option<KernelKeys>,
    pub(super) originate: Vec<OriginateKeys>,
    pub(super) aggregates: Vec<AggregateKeys>,
    pub(super) vips: Vec<VipKeys>,
    pub(super) prefix_sets: Vec<PrefixSetKeys>,
    pub(super) community_sets: Vec<CommunitySetKeys>,
    pub(super) as_path_sets: Vec<AsPathSetKeys>,
    pub(super) filters: Vec<FilterKeys>,
    pub(super) groups: Vec<PeerGroup>,
    pub(super) peers: Vec<PeerTable>,
}

impl File {
    pub(super) fn read(reader: &Reader<'_>, table: &Spanned<DeTable<'_>>) -> Self {
        let span = reader.shifted(table.span());
        Section::new(reader, table.get_ref(), span, "the file").read_whole(|top| Self {
            owner: top.read("owner", scalar::name),
            speaker_meant: top.means("speaker"),
            speaker: top
                .read("speaker", |value| {
                    value.table(SpeakerKeys::SECTION, SpeakerKeys::read)
                })
                .map(Spanned::into_inner),
            kernel: top
                .read("kernel", |value| {
                    value.table(KernelKeys::SECTION, KernelKeys::read)
                })
                .map(Spanned::into_inner),
            originate: tables(top, "originate", OriginateKeys::SECTION, OriginateKeys::read),
            aggregates: tables(top, "aggregate", AggregateKeys::SECTION, AggregateKeys::read),
            vips: tables(top, "vip", VipKeys::SECTION, VipKeys::read),
            prefix_sets: tables(top, "prefix_set", PrefixSetKeys::SECTION, PrefixSetKeys::read),
            community_sets: tables(
                top,
                "community_set",
                CommunitySetKeys::SECTION,
                CommunitySetKeys::read,
            ),
            as_path_sets: tables(top, "as_path_set", AsPathSetKeys::SECTION, AsPathSetKeys::read),
            filters: tables(top, "filter", FilterKeys::SECTION, FilterKeys::read),
            groups: tables(top, "peer_group", PeerGroup::SECTION, PeerGroup::read),
            peers: tables(top, "peer", PeerTable::SECTION, PeerTable::read),
        })
    }

    /// Takes a fragment over; its owner is called as its file unless it says otherwise.
    pub(super) fn merge(&mut self, reader: &Reader<'_>, fragment: Self, file_stem: &str) {
        let owner = fragment
            .owner
            .map_or_else(|| file_stem.into(), Spanned::into_inner);
        reader.set_owner(owner);
        let single = [
            fragment.speaker.map(|keys| ("[speaker]", keys.header.span)),
            fragment.kernel.map(|keys| ("[kernel]", keys.header.span)),
        ];
        for (section, span) in single.into_iter().flatten() {
            let help = "fragments add peers, filters, sets, VIPs and prefixes; what is of the whole speaker stands in its file";
            reader.error(&span, format!("`{section}` in a fragment"), [help.to_owned()]);
        }
        self.originate.extend(fragment.originate);
        self.aggregates.extend(fragment.aggregates);
        self.vips.extend(fragment.vips);
        self.prefix_sets.extend(fragment.prefix_sets);
        self.community_sets.extend(fragment.community_sets);
        self.as_path_sets.extend(fragment.as_path_sets);
        self.filters.extend(fragment.filters);
        self.groups.extend(fragment.groups);
        self.peers.extend(fragment.peers);
    }
}

/// `[[key]]`, each occurrence.
fn tables<T>(
    top: &Section<'_>,
    key: &'static str,
    name: &'static str,
    read: fn(&Section<'_>) -> T,
) -> Vec<T> {
    let item = |value: &Value<'_>| value.table(name, read);
    // A wrong item has been reported; the right ones are still checked.
    let list = top.read(key, |value| {
        if value.is_table() {
            return value.fail(
                "a single table",
                format_args!("write `[[{key}]]` with two brackets"),
            );
        }
        value.list_of_good(item)
    });
    list.map(Spanned::into_inner).unwrap_or_default()
}

/// Every table at the top of the file, in the order of the documentation.
pub(super) fn sections() -> Vec<SectionSchema> {
    let section = |key, repeated, meaning, parts: &[&'static [Key]]| SectionSchema {
        key,
        repeated,
        meaning,
        table: Table::new(key, parts),
    };
    vec![
        section("speaker", false, "This speaker as a whole.", &[SpeakerKeys::KEYS]),
        section(
            "kernel",
            false,
            "What learned routes become in the Linux kernel; without it nothing is installed.",
            &[KernelKeys::KEYS],
        ),
        section(
            "originate",
            true,
            "What this node announces, besides VIPs.",
            &[OriginateKeys::KEYS],
        ),
        section(
            "aggregate",
            true,
            "A prefix that is announced while more specific routes contribute to it.",
            &[AggregateKeys::KEYS],
        ),
        section(
            "vip",
            true,
            "An address that is announced while its check passes.",
            &[VipKeys::KEYS],
        ),
        section(
            "prefix_set",
            true,
            "Prefixes that filters name.",
            &[PrefixSetKeys::KEYS],
        ),
        section(
            "community_set",
            true,
            "Communities that filters name.",
            &[CommunitySetKeys::KEYS],
        ),
        section(
            "as_path_set",
            true,
            "AS path patterns that filters name.",
            &[AsPathSetKeys::KEYS],
        ),
        section("filter", true, "A named list of rules.", &[FilterKeys::KEYS]),
        section(
            "peer_group",
            true,
            "What peers share.",
            &[peer::GroupKeys::KEYS, peer::SharedKeys::KEYS],
        ),
        section(
            "peer",
            true,
            "A peer, or a range of addresses that any peer may connect from.",
            &[peer::PeerKeys::KEYS, peer::SharedKeys::KEYS],
        ),
    ]
}

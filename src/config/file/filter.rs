//! `[[filter]]`: rules, conditions, and what they set.

use std::sync::Arc;

use bgp_codec::{Asn, Community, ExtendedCommunity, FamilySet, LargeCommunity, Origin, Role};
use toml::Spanned;

use super::{Keys, kernel, keys, peer};
use crate::config::reader::{Referent, Section, Value};
use crate::config::scalar;
use crate::config::schema::{
    AS_PATH_PATTERNS, ASN, COMMUNITIES, COMMUNITY_PATTERNS, EXTENDED_COMMUNITIES,
    EXTENDED_COMMUNITY_PATTERNS, FAMILIES, LARGE_COMMUNITIES, LARGE_COMMUNITY_PATTERNS, LIVE, METRIC_RANGE,
    NAME, NAMES, NONE, PREFIX_PATTERNS, REQUIRED, Shape, Table, U32, number, text,
};
use crate::policy::{
    Action, AsPathPattern, CommunityPattern, Edit, ExtendedCommunityPattern, Fallthrough,
    LargeCommunityPattern, NextHopEdit, PrefixSet, SourcePattern,
};
use crate::route::{OriginKind, TableId};

keys! {
    /// `[[filter]]`.
    FilterKeys in "[[filter]]" {
        /// Unique.
        name: Arc<str> = scalar::name => NAME, REQUIRED, LIVE;
        /// What becomes of a route that no rule decided; with `next`, the next filter decides.
        default: Fallthrough = fallthrough => Shape::Words(&["accept", "reject", "next"]), "`\"next\"`", LIVE;
        /// Rules, tried in order.
        rules: Vec<RuleKeys> = rules => Shape::List(&Shape::Table(RuleKeys::table)), "none", LIVE;
    }
}

/// One rule: its conditions beside what it does.
#[derive(Clone, Debug)]
pub(in crate::config) struct RuleKeys {
    pub(in crate::config) conditions: ConditionKeys,
    pub(in crate::config) verdict: VerdictKeys,
}

impl RuleKeys {
    const SECTION: &'static str = "a rule";

    fn table() -> Table {
        Table::new("rule", &[VerdictKeys::KEYS, ConditionKeys::KEYS])
    }

    fn read(section: &Section<'_>) -> Self {
        Self {
            conditions: ConditionKeys::read(section),
            verdict: VerdictKeys::read(section),
        }
    }
}

const ORIGIN: Shape = Shape::Words(&["igp", "egp", "incomplete"]);
const CONDITION: Shape = Shape::Table(|| Table::new("condition", &[ConditionKeys::KEYS]));

keys! {
    /// What a rule does.
    VerdictKeys in "a rule" {
        /// `accept`; `reject`; or `continue`: take over what `set` says and go on with the next rule.
        action: Action = action => Shape::Words(&["accept", "reject", "continue"]), REQUIRED, LIVE;
        /// What to change.
        set: SetKeys = scalar::table => Shape::Table(|| Table::new("set", &[SetKeys::KEYS])), NONE, LIVE;
    }
}

keys! {
    /// What a rule looks at; all that are given must hold.
    ConditionKeys in "a condition" {
        /// The prefix is one of these. `"10.0.0.0/8"` is that prefix alone, `"10.0.0.0/8 ge 16 le 24"` everything inside it
        /// with 16 to 24 bits; `le` alone begins at the prefix itself, `ge` alone goes down to hosts. Lists of thousands
        /// cost no more than short ones.
        prefix: PrefixSet = scalar::prefix_set => PREFIX_PATTERNS, NONE, LIVE;
        /// The prefix is in this `[[prefix_set]]`.
        prefix_set: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::PrefixSet)) => NAMES, NONE, LIVE;
        /// The route comes from: the `name` of an `[[originate]]`, `[[vip]]` or `[[aggregate]]`; `static`, `kernel`, `vip` or
        /// `aggregate` (of ours, by kind); `local` (any of ours); `internal` or `external` (learned from a peer of that kind).
        source: Vec<SourcePattern> = |value| value.one_or_many(source) => NAMES, NONE, LIVE;
        /// It was learned from this peer.
        peer: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Peer)) => NAMES, NONE, LIVE;
        /// It was learned from a peer of this group.
        group: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Group)) => NAMES, NONE, LIVE;
        /// It carries one of these: `"64512:100"`, a well-known name such as `"no-export"`, or with wildcards `"64512:*"`.
        community: Vec<CommunityPattern> = scalar::community_patterns
            => COMMUNITY_PATTERNS, NONE, LIVE;
        /// It carries one of these: `"64512:1:100"`, `"64512:1:*"`.
        large_community: Vec<LargeCommunityPattern> = scalar::large_community_patterns
            => LARGE_COMMUNITY_PATTERNS, NONE, LIVE;
        /// It carries one of these: `"rt:64512:100"`, `"soo:64512:*"`, `"rt:*"`, or as sixteen digits or `*` behind `0x`.
        extended_community: Vec<ExtendedCommunityPattern> = scalar::extended_community_patterns
            => EXTENDED_COMMUNITY_PATTERNS, NONE, LIVE;
        /// It carries a community of this `[[community_set]]`, of whatever kind.
        community_set: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::CommunitySet)) => NAMES, NONE, LIVE;
        /// The AS path matches a pattern of this `[[as_path_set]]`.
        as_path_set: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::AsPathSet)) => NAMES, NONE, LIVE;
        /// The AS path begins with this AS: that of the neighbour, unless a route server stands between.
        first_asn: Vec<Asn> = |value| value.one_or_many(scalar::asn) => Shape::OneOrMany(&ASN), NONE, LIVE;
        /// This filter, asked alone, accepts the route; what it would set is not set. It must stand above.
        filter: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Filter)) => NAMES, NONE, LIVE;
        /// It was read from the kernel's table with this metric, or one in this range, both ends included: `"0-1023"`.
        kernel_metric: (u32, u32) = scalar::metric_range => METRIC_RANGE, NONE, LIVE;
        /// It was read from the kernel's table with this realm (`ip route add ... realm 7`), or one in this range; 0 is none.
        kernel_realm: (u32, u32) = scalar::metric_range => METRIC_RANGE, NONE, LIVE;
        /// The AS path matches one of these patterns; see below.
        as_path: Vec<AsPathPattern> = scalar::as_path_patterns
            => AS_PATH_PATTERNS, NONE, LIVE;
        /// The next hop is this address, or inside this prefix. Our own routes have none.
        next_hop: PrefixSet = scalar::address_set => Shape::OneOrMany(&text("an address or prefix", "192.0.2.0/24")), NONE, LIVE;
        /// It is of this family.
        family: FamilySet = scalar::families => FAMILIES, NONE, LIVE;
        /// ORIGIN is one of these.
        origin: Vec<Origin> = |value| value.one_or_many(scalar::origin) => Shape::OneOrMany(&ORIGIN), NONE, LIVE;
        /// MED is there and is this.
        med: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// LOCAL_PREF is this; 100 where there is none.
        local_pref: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// Its `tag` is one of these; 0 where none was set.
        tag: Vec<u32> = |value| value.one_or_many(scalar::any_u32) => Shape::OneOrMany(&U32), NONE, LIVE;
        /// It was learned from a peer with this `role`.
        role: Vec<Role> = |value| value.one_or_many(peer::role) => Shape::OneOrMany(&peer::ROLE), NONE, LIVE;
        /// The conditions of this table do not all hold.
        not: Box<Self> = |value| value.keys().map(Box::new) => CONDITION, NONE, LIVE;
        /// At least one of these tables of conditions holds.
        any: Vec<Self> = |value| value.list("a list of conditions", |value| value.keys()) => Shape::List(&CONDITION), NONE, LIVE;
        /// Every one of these tables of conditions holds.
        all: Vec<Self> = |value| value.list("a list of conditions", |value| value.keys()) => Shape::List(&CONDITION), NONE, LIVE;
    }
}

keys! {
    /// `set = { ... }` of a rule.
    SetKeys in "`set`" {
        /// LOCAL_PREF.
        local_pref: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// MED: this one; `"remove"`; `"igp"`, the metric of the kernel route that it was read from, or on export of a learned
        /// route that of the way to its next hop; or so much more than it has.
        med: MedEdit = med => Shape::Either(&[
            U32, Shape::Words(&["remove", "igp"]), Shape::Table(|| Table::new("set.med", &[MedKeys::KEYS])),
        ]), NONE, LIVE;
        /// ORIGIN.
        origin: Origin = scalar::origin => ORIGIN, NONE, LIVE;
        /// Put our AS in front this many times, or another one.
        prepend: Prepend = prepend => Shape::Either(&[
            number(1, 64), Shape::Table(|| Table::new("set.prepend", &[PrependKeys::KEYS])),
        ]), NONE, LIVE;
        /// Ourselves, what it was, or an address.
        next_hop: NextHopEdit = scalar::next_hop
            => Shape::Either(&[Shape::Words(&["self", "unchanged"]), text("an address", "192.0.2.1")]), NONE, LIVE;
        /// Compared before LOCAL_PREF, by this speaker alone; the higher wins, and without it there is 0. On import.
        weight: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// A number that stays with the route in this speaker, for conditions of rules and filters behind, export too.
        tag: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// The kernel table that the route is installed in. On import.
        table: TableId = kernel::table => kernel::TABLE, NONE, LIVE;
        /// Communities: replace, remove, add, in this order. `community.add = [...]` is short for `community = { add = [...] }`.
        community: CommunityKeys = scalar::table
            => Shape::Table(|| Table::new("set.community", &[CommunityKeys::KEYS])), NONE, LIVE;
        /// Large communities, likewise.
        large_community: LargeCommunityKeys = scalar::table
            => Shape::Table(|| Table::new("set.large_community", &[LargeCommunityKeys::KEYS])), NONE, LIVE;
        /// Extended communities, likewise.
        extended_community: ExtendedCommunityKeys = scalar::table
            => Shape::Table(|| Table::new("set.extended_community", &[ExtendedCommunityKeys::KEYS])), NONE, LIVE;
    }
}

/// Declares what `set` says of communities of one kind.
macro_rules! community_edits {
    ($name:ident in $section:literal: $one:ty = $parser:path => $shape:expr,
     $pattern:ty = $patterns:path => $pattern_shape:expr, [$set:ident, $remove:ident, $add:ident]) => {
        keys! {
            /// Of `set`.
            $name in $section {
                /// Adds these.
                add: Vec<$one> = $parser => $shape, NONE, LIVE;
                /// Takes these away.
                remove: Vec<$pattern> = $patterns => $pattern_shape, NONE, LIVE;
                /// Replaces all by these; `[]` for none.
                set: Vec<$one> = $parser => $shape, NONE, LIVE;
            }
        }

        impl $name {
            /// In the order in which they are carried out.
            fn into_edits(self) -> impl Iterator<Item = Edit> {
                let set = self.set.map(|value| Edit::$set(value.into_inner()));
                let remove = self.remove.map(|value| Edit::$remove(value.into_inner()));
                let add = self.add.map(|value| Edit::$add(value.into_inner()));
                [set, remove, add].into_iter().flatten()
            }
        }
    };
}

community_edits! {
    CommunityKeys in "`community` of `set`":
    Community = scalar::communities => COMMUNITIES,
    CommunityPattern = scalar::community_patterns => COMMUNITY_PATTERNS,
    [SetCommunities, RemoveCommunities, AddCommunities]
}

community_edits! {
    LargeCommunityKeys in "`large_community` of `set`":
    LargeCommunity = scalar::large_communities => LARGE_COMMUNITIES,
    LargeCommunityPattern = scalar::large_community_patterns => LARGE_COMMUNITY_PATTERNS,
    [SetLargeCommunities, RemoveLargeCommunities, AddLargeCommunities]
}

community_edits! {
    ExtendedCommunityKeys in "`extended_community` of `set`":
    ExtendedCommunity = scalar::extended_communities => EXTENDED_COMMUNITIES,
    ExtendedCommunityPattern = scalar::extended_community_patterns => EXTENDED_COMMUNITY_PATTERNS,
    [SetExtendedCommunities, RemoveExtendedCommunities, AddExtendedCommunities]
}

keys! {
    /// `med` of `set`.
    MedKeys in "`med` of `set`" {
        /// Adds this; a route without MED has 0.
        add: u32 = scalar::any_u32 => U32, REQUIRED, LIVE;
    }
}

/// `prepend = n` or `prepend = { asn, count }`.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Prepend {
    asn: Option<Asn>,
    count: u8,
}

/// `med = n`, `med = { add = n }`, `med = "remove"` or `med = "igp"`.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum MedEdit {
    Set(u32),
    Add(u32),
    FromIgp,
    Remove,
}

keys! {
    /// `prepend = { ... }` of `set`.
    PrependKeys in "`prepend` of `set`" {
        /// The AS to put in front.
        asn: Asn = scalar::asn => ASN, "ours", LIVE;
        /// How often.
        count: u8 = scalar::number::<u8, 1, 64> => number(1, 64), "`1`", LIVE;
    }
}

impl ConditionKeys {
    /// Every `family`, nested ones too.
    pub(in crate::config) fn families(&self) -> Vec<&Spanned<FamilySet>> {
        let nested = [self.any.as_ref(), self.all.as_ref()].into_iter().flatten();
        let nested = nested.flat_map(|keys| keys.get_ref().iter().flat_map(Self::families));
        self.family.iter().chain(nested).collect()
    }
}

impl SetKeys {
    /// The edits, in the order in which they are carried out; communities of each kind: replace, remove, add.
    pub(in crate::config) fn into_edits(self) -> Vec<Edit> {
        let plain = [
            self.local_pref.map(|value| Edit::LocalPref(value.into_inner())),
            self.med.map(|value| match value.into_inner() {
                MedEdit::Set(med) => Edit::Med(med),
                MedEdit::Add(more) => Edit::AddMed(more),
                MedEdit::FromIgp => Edit::MedFromIgp,
                MedEdit::Remove => Edit::RemoveMed,
            }),
            self.origin.map(|value| Edit::Origin(value.into_inner())),
            self.prepend.map(|value| {
                let Prepend { asn, count } = value.into_inner();
                Edit::Prepend { asn, count }
            }),
            self.next_hop.map(|value| Edit::NextHop(value.into_inner())),
            self.weight.map(|value| Edit::Weight(value.into_inner())),
            self.tag.map(|value| Edit::Tag(value.into_inner())),
            self.table.map(|value| Edit::Table(value.into_inner())),
        ];
        let mut edits: Vec<Edit> = plain.into_iter().flatten().collect();
        edits.extend(
            self.community
                .into_iter()
                .flat_map(|keys| keys.into_inner().into_edits()),
        );
        edits.extend(
            self.large_community
                .into_iter()
                .flat_map(|keys| keys.into_inner().into_edits()),
        );
        edits.extend(
            self.extended_community
                .into_iter()
                .flat_map(|keys| keys.into_inner().into_edits()),
        );
        edits
    }
}

/// Words that `source` knows beside names; nothing else may be called so.
pub(in crate::config) const SOURCE_WORDS: &[(&str, SourcePattern)] = &[
    ("local", SourcePattern::Local),
    ("static", SourcePattern::Kind(OriginKind::Static)),
    ("kernel", SourcePattern::Kind(OriginKind::Kernel)),
    ("vip", SourcePattern::Kind(OriginKind::Vip)),
    ("aggregate", SourcePattern::Kind(OriginKind::Aggregate)),
    ("internal", SourcePattern::Internal),
    ("external", SourcePattern::External),
];

fn source(value: &Value<'_>) -> Option<SourcePattern> {
    let written = scalar::name(value)?;
    if let Some((_, pattern)) = SOURCE_WORDS.iter().find(|(word, _)| **word == *written) {
        return Some(pattern.clone());
    }
    value.reader.refer(
        Referent::Source,
        Spanned::new(value.span.clone(), written.to_string()),
    );
    Some(SourcePattern::Name(written))
}

/// A name that is checked once the whole file has been read.
pub(super) fn reference(value: &Value<'_>, to: Referent) -> Option<Arc<str>> {
    let name = scalar::name(value)?;
    value
        .reader
        .refer(to, Spanned::new(value.span.clone(), name.to_string()));
    Some(name)
}

fn rules(value: &Value<'_>) -> Option<Vec<RuleKeys>> {
    value.list("a list of rules", |value| {
        value.table(RuleKeys::SECTION, RuleKeys::read)
    })
}

fn action(value: &Value<'_>) -> Option<Action> {
    scalar::word(
        value,
        &[
            ("accept", Action::Accept),
            ("reject", Action::Reject),
            ("continue", Action::Continue),
        ],
    )
}

fn fallthrough(value: &Value<'_>) -> Option<Fallthrough> {
    let words = [
        ("accept", Fallthrough::Accept),
        ("reject", Fallthrough::Reject),
        ("next", Fallthrough::Next),
    ];
    scalar::word(value, &words)
}

fn med(value: &Value<'_>) -> Option<MedEdit> {
    if value.is_text() {
        scalar::word(value, &[("remove", MedEdit::Remove), ("igp", MedEdit::FromIgp)])
    } else if value.is_table() {
        let keys = value.keys::<MedKeys>()?;
        keys.header
            .require(value.reader, keys.add.as_ref(), "add", "10")
            .copied()
            .map(MedEdit::Add)
    } else {
        scalar::any_u32(value).map(MedEdit::Set)
    }
}

fn prepend(value: &Value<'_>) -> Option<Prepend> {
    if !value.is_table() {
        return scalar::number::<u8, 1, 64>(value).map(|count| Prepend { asn: None, count });
    }
    let keys = value.keys::<PrependKeys>()?;
    Some(Prepend {
        asn: keys.asn.map(Spanned::into_inner),
        count: keys.count.map_or(1, Spanned::into_inner),
    })
}

//! `[[filter]]`: rules, conditions, and what they set.

use std::net::IpAddr;
use std::sync::Arc;

use bgp_codec::{Asn, Community, FamilySet, LargeCommunity, Origin};
use toml::Spanned;

use super::{Keys, keys};
use crate::config::reader::{Referent, Section, Value};
use crate::config::scalar;
use crate::policy::{
    Action, AsPathPattern, CommunityPattern, Condition, Edit, Fallthrough, LargeCommunityPattern,
    NextHopEdit, PrefixSet, SourcePattern,
};
use crate::route::OriginKind;

keys! {
    /// `[[filter]]`.
    FilterKeys in "[[filter]]" {
        name: Arc<str> = scalar::name;
        default: Fallthrough = fallthrough;
        rules: Vec<RuleKeys> = rules;
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

    fn read(section: &Section<'_>) -> Self {
        Self {
            conditions: ConditionKeys::read(section),
            verdict: VerdictKeys::read(section),
        }
    }
}

keys! {
    /// What a rule does.
    VerdictKeys in "a rule" {
        action: Action = action;
        set: SetKeys = scalar::table;
    }
}

keys! {
    /// What a rule looks at; all that are given must hold.
    ConditionKeys in "a condition" {
        prefix: PrefixSet = scalar::prefix_set;
        source: Vec<SourcePattern> = |value| value.one_or_many(source);
        peer: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Peer));
        group: Vec<Arc<str>> = |value| value.one_or_many(|value| reference(value, Referent::Group));
        community: Vec<CommunityPattern> = scalar::community_patterns;
        large_community: Vec<LargeCommunityPattern> = scalar::large_community_patterns;
        as_path: Vec<AsPathPattern> = scalar::as_path_patterns;
        next_hop: PrefixSet = scalar::address_set;
        family: FamilySet = scalar::families;
        origin: Vec<Origin> = |value| value.one_or_many(origin);
        med: u32 = scalar::any_u32;
        local_pref: u32 = scalar::any_u32;
        not: Condition = condition;
        any: Vec<Condition> = |value| value.list("a list of conditions", condition);
        all: Vec<Condition> = |value| value.list("a list of conditions", condition);
    }
}

keys! {
    /// `set = { ... }` of a rule.
    SetKeys in "`set`" {
        local_pref: u32 = scalar::any_u32;
        med: MedEdit = med;
        origin: Origin = origin;
        prepend: Prepend = prepend;
        next_hop: NextHopEdit = next_hop;
        community: CommunityKeys = scalar::table;
        large_community: LargeCommunityKeys = scalar::table;
    }
}

keys! {
    /// `community` of `set`.
    CommunityKeys in "`community` of `set`" {
        add: Vec<Community> = scalar::communities;
        remove: Vec<CommunityPattern> = scalar::community_patterns;
        set: Vec<Community> = scalar::communities;
    }
}

keys! {
    /// `large_community` of `set`.
    LargeCommunityKeys in "`large_community` of `set`" {
        add: Vec<LargeCommunity> = scalar::large_communities;
        remove: Vec<LargeCommunityPattern> = scalar::large_community_patterns;
        set: Vec<LargeCommunity> = scalar::large_communities;
    }
}

/// `prepend = n` or `prepend = { asn, count }`.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Prepend {
    asn: Option<Asn>,
    count: u8,
}

/// `med = n` or `med = "remove"`.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum MedEdit {
    Set(u32),
    Remove,
}

keys! {
    /// `prepend = { ... }` of `set`.
    PrependKeys in "`prepend` of `set`" {
        asn: Asn = scalar::asn;
        count: u8 = scalar::number::<u8, 1, 64>;
    }
}

impl ConditionKeys {
    /// All conditions given, as one.
    pub(in crate::config) fn into_condition(self) -> Condition {
        let mut all: Vec<Condition> = [
            self.prefix.map(|value| Condition::Prefix(value.into_inner())),
            self.source.map(|value| Condition::Source(value.into_inner())),
            self.peer.map(|value| Condition::Peer(value.into_inner())),
            self.group.map(|value| Condition::Group(value.into_inner())),
            self.family.map(|value| Condition::Family(value.into_inner())),
            self.origin.map(|value| Condition::Origin(value.into_inner())),
            self.med.map(|value| Condition::Med(value.into_inner())),
            self.local_pref
                .map(|value| Condition::LocalPref(value.into_inner())),
            self.next_hop.map(|value| Condition::NextHop(value.into_inner())),
            self.community
                .map(|value| Condition::Community(value.into_inner())),
            self.large_community
                .map(|value| Condition::LargeCommunity(value.into_inner())),
            self.as_path.map(|value| Condition::AsPath(value.into_inner())),
            self.not.map(|value| Condition::Not(Box::new(value.into_inner()))),
            self.any.map(|value| Condition::Any(value.into_inner())),
            self.all.map(|value| Condition::All(value.into_inner())),
        ]
        .into_iter()
        .flatten()
        .collect();
        match all.pop() {
            Some(only) if all.is_empty() => only,
            Some(last) => {
                all.push(last);
                Condition::All(all)
            }
            None => Condition::always(),
        }
    }
}

impl SetKeys {
    /// The edits, in the order in which they are carried out: replace, remove, add.
    pub(in crate::config) fn into_edits(self) -> Vec<Edit> {
        let mut edits: Vec<Edit> = [
            self.local_pref.map(|value| Edit::LocalPref(value.into_inner())),
            self.med.map(|value| match value.into_inner() {
                MedEdit::Set(med) => Edit::Med(med),
                MedEdit::Remove => Edit::RemoveMed,
            }),
            self.origin.map(|value| Edit::Origin(value.into_inner())),
            self.prepend.map(|value| {
                let Prepend { asn, count } = value.into_inner();
                Edit::Prepend { asn, count }
            }),
            self.next_hop.map(|value| Edit::NextHop(value.into_inner())),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let Some(community) = self.community.map(Spanned::into_inner) {
            edits.extend(
                community
                    .set
                    .map(|value| Edit::SetCommunities(value.into_inner())),
            );
            edits.extend(
                community
                    .remove
                    .map(|value| Edit::RemoveCommunities(value.into_inner())),
            );
            edits.extend(
                community
                    .add
                    .map(|value| Edit::AddCommunities(value.into_inner())),
            );
        }
        if let Some(community) = self.large_community.map(Spanned::into_inner) {
            edits.extend(
                community
                    .set
                    .map(|value| Edit::SetLargeCommunities(value.into_inner())),
            );
            edits.extend(
                community
                    .remove
                    .map(|value| Edit::RemoveLargeCommunities(value.into_inner())),
            );
            edits.extend(
                community
                    .add
                    .map(|value| Edit::AddLargeCommunities(value.into_inner())),
            );
        }
        edits
    }
}

/// Words that `source` knows beside names; nothing else may be called so.
pub(in crate::config) const SOURCE_WORDS: &[(&str, SourcePattern)] = &[
    ("local", SourcePattern::Local),
    ("static", SourcePattern::Kind(OriginKind::Static)),
    ("kernel", SourcePattern::Kind(OriginKind::Kernel)),
    ("vip", SourcePattern::Kind(OriginKind::Vip)),
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

fn condition(value: &Value<'_>) -> Option<Condition> {
    value.keys::<ConditionKeys>().map(ConditionKeys::into_condition)
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

fn origin(value: &Value<'_>) -> Option<Origin> {
    scalar::word(
        value,
        &[
            ("igp", Origin::Igp),
            ("egp", Origin::Egp),
            ("incomplete", Origin::Incomplete),
        ],
    )
}

fn med(value: &Value<'_>) -> Option<MedEdit> {
    if value.is_text() {
        let remove = |text: &str| match text {
            "remove" => Ok(MedEdit::Remove),
            other => Err(format!("`{other}` is not known")),
        };
        value.parse("a number, or `remove`", remove)
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

fn next_hop(value: &Value<'_>) -> Option<NextHopEdit> {
    let expected = "`self`, `unchanged` or an address";
    match value.text(expected)?.as_str() {
        "self" => Some(NextHopEdit::Own),
        "unchanged" => Some(NextHopEdit::Unchanged),
        other => match other.parse::<IpAddr>() {
            Ok(address) => Some(NextHopEdit::Address(address)),
            Err(_) => value.fail(
                format_args!("`{other}` is not known"),
                format_args!("expected {expected}"),
            ),
        },
    }
}

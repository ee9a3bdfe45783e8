//! `stonechat policy test`: filters tried out on routes written down in a file, without a daemon.
//!
//! The file names a configuration and lists cases: a route, whose filters it goes through, and what is expected. What
//! decides is [`Chain::evaluate`], which the speaker calls too.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bgp_codec::{
    AsPathBuf, Asn, Community, ExtendedCommunity, LargeCommunity, NextHop, Origin, PathAttributes, PeerKind,
};
use ipnet::IpNet;
use toml::Spanned;

use super::Config;
use super::environment::Variables;
use super::file::{Keys as _, kernel, keys};
use super::load;
use super::reader::{Reader, Section, Value};
use super::report::Report;
use super::scalar;
use super::schema::{
    ADDRESS, COMMUNITIES, EXTENDED_COMMUNITIES, LARGE_COMMUNITIES, LIVE, NAME, NAMES, NONE, PATH, PREFIX,
    REQUIRED, Shape, TEXT, Table, U32,
};
use crate::policy::{CanonicalBlock, Chain, Location, Marks, NextHopEdit, RouteView, Source, Verdict};
use crate::route::{FromKernel, OriginKind, TableId};
use crate::session::settings::{PeerAddress, PeerSettings, RemoteAsn};

/// What became of one case.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CaseResult {
    /// As in the file.
    pub name: String,
    /// Where it stands.
    pub location: Location,
    /// The verdict and what decided it: `accepted by rule 2 of filter own (node.toml:12)`.
    pub verdict: String,
    /// What is not as expected; empty if all is.
    pub wrong: Vec<String>,
}

keys! {
    /// The top of the file.
    TestKeys in "the file" {
        /// The configuration whose filters are tried. A relative path starts at this file's directory.
        config: PathBuf = scalar::path => PATH, REQUIRED, LIVE;
        /// The cases.
        case: Vec<CaseKeys> = cases => Shape::List(&Shape::Table(|| Table::new("case", &[CaseKeys::KEYS]))), REQUIRED, LIVE;
    }
}

keys! {
    /// `[[case]]`.
    CaseKeys in "[[case]]" {
        /// What the case shows, in words.
        name: String = scalar::text => TEXT, REQUIRED, LIVE;
        /// The peer whose filters are asked.
        peer: Arc<str> = scalar::name => NAME, NONE, LIVE;
        /// Its filters on what it sends, or on what it is sent.
        direction: Direction = direction => Shape::Words(&["import", "export"]), "`\"import\"`", LIVE;
        /// Instead of `peer`: these filters.
        filter: Vec<Arc<str>> = |value| value.one_or_many(scalar::name) => NAMES, NONE, LIVE;
        /// The route.
        route: RouteKeys = scalar::table => Shape::Table(|| Table::new("case.route", &[RouteKeys::KEYS])), REQUIRED, LIVE;
        /// What is to become of it.
        expect: ExpectKeys = scalar::table => Shape::Table(|| Table::new("case.expect", &[ExpectKeys::KEYS])), REQUIRED, LIVE;
    }
}

keys! {
    /// `route = { ... }` of a `[[case]]`.
    RouteKeys in "`route` of [[case]]" {
        /// Its prefix.
        prefix: IpNet = scalar::prefix_or_address => PREFIX, REQUIRED, LIVE;
        /// The peer that sent it; by default the one whose import is tried.
        from: Arc<str> = scalar::name => NAME, NONE, LIVE;
        /// Instead of `from`: one of ours, `kernel:pod-blocks`, `static:NAME`, `vip:NAME` or `aggregate:NAME`.
        source: (OriginKind, Arc<str>) = source => Shape::Text { noun: "a source", example: "vip:shop" }, NONE, LIVE;
        /// AS_PATH: `"65001 65002"`.
        as_path: AsPathBuf = as_path => Shape::Text { noun: "an AS path", example: "65001 65002" }, "empty", LIVE;
        /// ORIGIN.
        origin: Origin = scalar::origin => Shape::Words(&["igp", "egp", "incomplete"]), "`\"igp\"`", LIVE;
        /// Next hop.
        next_hop: IpAddr = scalar::address => ADDRESS, NONE, LIVE;
        /// MED.
        med: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// LOCAL_PREF.
        local_pref: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// Communities.
        community: Vec<Community> = scalar::communities => COMMUNITIES, NONE, LIVE;
        /// Large communities.
        large_community: Vec<LargeCommunity> = scalar::large_communities => LARGE_COMMUNITIES, NONE, LIVE;
        /// Extended communities.
        extended_community: Vec<ExtendedCommunity> = scalar::extended_communities => EXTENDED_COMMUNITIES, NONE, LIVE;
        /// The kernel's metric of a route that was read from its table.
        kernel_metric: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// Its realm there; 0 unless said.
        kernel_realm: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// The metric of the way to its next hop, for `med = "igp"` of a learned route.
        next_hop_metric: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// The tag that import gave it, for `export`.
        tag: u32 = scalar::any_u32 => U32, "`0`", LIVE;
    }
}

keys! {
    /// `expect = { ... }` of a `[[case]]`.
    ExpectKeys in "`expect` of [[case]]" {
        /// The verdict.
        action: bool = verdict => Shape::Words(&["accept", "reject"]), REQUIRED, LIVE;
        /// Words of what decided: `"rule 2 of filter own"`.
        because: String = scalar::text => TEXT, NONE, LIVE;
        /// AS_PATH behind the filters.
        as_path: AsPathBuf = as_path => Shape::Text { noun: "an AS path", example: "65001 65002" }, NONE, LIVE;
        /// MED, or `"none"`.
        med: Option<u32> = number_or_none => Shape::Either(&[U32, Shape::Words(&["none"])]), NONE, LIVE;
        /// LOCAL_PREF, or `"none"`.
        local_pref: Option<u32> = number_or_none => Shape::Either(&[U32, Shape::Words(&["none"])]), NONE, LIVE;
        /// ORIGIN.
        origin: Origin = scalar::origin => Shape::Words(&["igp", "egp", "incomplete"]), NONE, LIVE;
        /// The next hop that the filters set: an address, `"self"` or `"unchanged"`.
        next_hop: NextHopEdit = scalar::next_hop => Shape::Text { noun: "an address", example: "self" }, NONE, LIVE;
        /// Weight; 0 where none is set.
        weight: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// Tag; 0 where none is set.
        tag: u32 = scalar::any_u32 => U32, NONE, LIVE;
        /// The kernel table that the filters chose.
        table: TableId = kernel::table => kernel::TABLE, NONE, LIVE;
        /// Exactly these communities, in whatever order; `[]` for none.
        community: Vec<Community> = scalar::communities => COMMUNITIES, NONE, LIVE;
        /// Exactly these large communities.
        large_community: Vec<LargeCommunity> = scalar::large_communities => LARGE_COMMUNITIES, NONE, LIVE;
        /// Exactly these extended communities.
        extended_community: Vec<ExtendedCommunity> = scalar::extended_communities => EXTENDED_COMMUNITIES, NONE, LIVE;
    }
}

/// Which of a peer's two lists of filters a case asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum Direction {
    Import,
    Export,
}

/// Who a route comes from where the case does not say: an internal peer that nobody configured.
const SOMEBODY: &str = "somebody";

/// Tries every case of the file.
///
/// # Errors
///
/// The file, or the configuration that it names, is wrong or cannot be read.
pub fn policy_test(path: &Path, variables: Variables<'_>) -> Result<Vec<CaseResult>, Report> {
    let text = load::read(path)?;
    let reader = Reader::new(load::real(variables));
    let keys = reader.file(&path.display().to_string(), &text, |table| {
        let span = reader.shifted(table.span());
        Section::new(&reader, table.get_ref(), span, TestKeys::SECTION).read_whole(TestKeys::read)
    });
    let config = keys
        .header
        .require(&reader, keys.config.as_ref(), "config", "\"node.toml\"");
    let config = match config {
        Some(config) => {
            let directory = path.parent().unwrap_or_else(|| Path::new(""));
            Some(Config::load(&directory.join(config), variables)?.config)
        }
        None => None,
    };
    let cases = keys.header.require(&reader, keys.case.as_ref(), "case", "[]");
    let results = config.zip(cases).map(|(config, cases)| {
        let tried = cases.iter().map(|case| tried(&reader, &config, case));
        tried.collect::<Vec<Option<CaseResult>>>()
    });
    let results = results.and_then(|results| results.into_iter().collect());
    load::finish(reader, results).map(|(results, _)| results)
}

fn tried(reader: &Reader<'_>, config: &Config, case: &CaseKeys) -> Option<CaseResult> {
    let header = &case.header;
    let name = header.require(reader, case.name.as_ref(), "name", "\"a VIP is taken\"");
    let route = header.require(
        reader,
        case.route.as_ref(),
        "route",
        "{ prefix = \"10.0.0.0/8\" }",
    );
    let expect = header.require(reader, case.expect.as_ref(), "expect", "{ action = \"accept\" }");
    let (chain, peer) = chain(reader, config, case)?;
    let (route, expect) = (route?, expect?);
    let prefix = route
        .header
        .require(reader, route.prefix.as_ref(), "prefix", "\"10.0.0.0/8\"")?;
    let accept = expect
        .header
        .require(reader, expect.action.as_ref(), "action", "\"accept\"")?;
    let from = match &route.from {
        Some(name) => Some(peer_named(reader, config, name)?),
        None => peer.filter(|_| case.direction() == Direction::Import),
    };
    let local_asn = peer.map_or(config.speaker.asn, |peer| peer.local_asn);
    let before = route.attributes();
    let mut canonical = Vec::new();
    before.encode_canonical(&mut canonical);
    let verdict = chain.evaluate(&RouteView {
        prefix: *prefix,
        family: crate::route::unicast_of(*prefix),
        source: source_of(config, route, from),
        attributes: &CanonicalBlock::new(&canonical),
        next_hop: before.next_hop,
        from_kernel: route.kernel_metric.as_ref().map(|metric| FromKernel {
            metric: *metric.get_ref(),
            realm: route.kernel_realm.as_ref().map_or(0, |realm| *realm.get_ref()),
        }),
        next_hop_metric: route.next_hop_metric.as_ref().map(|metric| *metric.get_ref()),
        marks: route.marks(),
        local_asn,
    });
    let word = if verdict.accept { "accepted" } else { "rejected" };
    let mut after = before;
    verdict.edits.apply(&mut after, local_asn);
    Some(CaseResult {
        name: name?.clone(),
        location: reader.location(&header.span),
        verdict: format!("{word} by {}", verdict.reason),
        wrong: expect.wrong(*accept, &verdict, (&after, route.marks())),
    })
}

/// Whose filters the case asks.
fn chain<'c>(
    reader: &Reader<'_>,
    config: &'c Config,
    case: &CaseKeys,
) -> Option<(Chain, Option<&'c PeerSettings>)> {
    match (&case.peer, &case.filter) {
        (Some(name), None) => {
            let peer = peer_named(reader, config, name)?;
            let chain = match case.direction() {
                Direction::Import => &peer.policy.import,
                Direction::Export => &peer.policy.export,
            };
            Some((chain.clone(), Some(peer)))
        }
        (None, Some(names)) => {
            let mut filters = Vec::new();
            for name in names.get_ref() {
                match config.filters.iter().find(|filter| filter.name == *name) {
                    Some(filter) => filters.push(Arc::clone(filter)),
                    None => {
                        let message = format!("the configuration has no filter `{name}`");
                        reader.error(&names.span(), message, []);
                        return None;
                    }
                }
            }
            Some((Chain::new(filters), None))
        }
        _ => {
            let help = "expected one of `peer` and `filter`".to_owned();
            reader.error(
                &case.header.span,
                "the case does not say whose filters".to_owned(),
                [help],
            );
            None
        }
    }
}

fn peer_named<'c>(
    reader: &Reader<'_>,
    config: &'c Config,
    name: &Spanned<Arc<str>>,
) -> Option<&'c PeerSettings> {
    let peer = config.peers.iter().find(|peer| peer.name == *name.get_ref());
    if peer.is_none() {
        let message = format!("the configuration has no peer `{}`", name.get_ref());
        reader.error(&name.span(), message, []);
    }
    peer
}

fn source_of<'c>(config: &Config, route: &'c RouteKeys, from: Option<&'c PeerSettings>) -> Source<'c> {
    if let Some((kind, name)) = route.source.as_ref().map(Spanned::get_ref) {
        return Source::Local { kind: *kind, name };
    }
    let first = route.as_path.as_ref().and_then(|path| path.get_ref().first_asn());
    let Some(peer) = from else {
        return Source::Peer {
            name: SOMEBODY,
            group: None,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            asn: config.speaker.asn,
            kind: PeerKind::Internal,
            role: None,
        };
    };
    let internal = peer.remote_asn.is_internal(peer.local_asn);
    let address = match peer.address {
        PeerAddress::Address(address) => address,
        PeerAddress::Range(range) => range.addr(),
    };
    let external_asn = if let RemoteAsn::Is(asn) = &peer.remote_asn {
        *asn
    } else {
        first.unwrap_or(peer.local_asn)
    };
    Source::Peer {
        name: &peer.name,
        group: peer.policy.group.as_deref(),
        address,
        asn: if internal { peer.local_asn } else { external_asn },
        kind: if internal {
            PeerKind::Internal
        } else {
            PeerKind::External
        },
        role: peer.role.map(|own| own.role),
    }
}

impl CaseKeys {
    fn direction(&self) -> Direction {
        self.direction
            .as_ref()
            .map_or(Direction::Import, |direction| *direction.get_ref())
    }
}

impl RouteKeys {
    fn marks(&self) -> Marks {
        Marks {
            tag: self.tag.as_ref().map_or(0, |tag| *tag.get_ref()),
            ..Marks::default()
        }
    }

    fn attributes(&self) -> PathAttributes {
        fn or<T: Clone + Default>(value: Option<&Spanned<T>>) -> T {
            value.map(|value| value.get_ref().clone()).unwrap_or_default()
        }
        PathAttributes {
            origin: self
                .origin
                .as_ref()
                .map_or(Origin::Igp, |origin| *origin.get_ref()),
            as_path: or(self.as_path.as_ref()),
            next_hop: self
                .next_hop
                .as_ref()
                .map(|address| NextHop::from(*address.get_ref())),
            med: self.med.as_ref().map(|med| *med.get_ref()),
            local_pref: self.local_pref.as_ref().map(|local_pref| *local_pref.get_ref()),
            communities: or(self.community.as_ref()),
            large_communities: or(self.large_community.as_ref()),
            extended_communities: or(self.extended_community.as_ref()),
            ..PathAttributes::default()
        }
    }
}

impl ExpectKeys {
    /// What differs from what is expected; of a rejected route, the attributes are nobody's.
    fn wrong(
        &self,
        accept: bool,
        verdict: &Verdict,
        (after, before): (&PathAttributes, Marks),
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        if verdict.accept != accept {
            let expected = if accept { "accept" } else { "reject" };
            wrong.push(format!("expected {expected}"));
            return wrong;
        }
        let reason = verdict.reason.to_string();
        if let Some(because) = self
            .because
            .as_ref()
            .filter(|because| !reason.contains(because.get_ref().as_str()))
        {
            wrong.push(format!("expected it because of {}", because.get_ref()));
        }
        if accept {
            self.compare_attributes(verdict, after, &mut wrong);
            self.compare_marks(verdict.edits.marks(before), &mut wrong);
            self.compare_communities(after, &mut wrong);
        }
        wrong
    }

    fn compare_attributes(&self, verdict: &Verdict, after: &PathAttributes, wrong: &mut Vec<String>) {
        let mut note = |key: &str, differs: bool, expected: String, is: String| {
            if differs {
                wrong.push(format!("{key}: expected {expected}, is {is}"));
            }
        };
        let number = |value: &Option<u32>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        if let Some(med) = self.med.as_ref().map(Spanned::get_ref) {
            note("med", *med != after.med, number(med), number(&after.med));
        }
        if let Some(local_pref) = self.local_pref.as_ref().map(Spanned::get_ref) {
            note(
                "local_pref",
                *local_pref != after.local_pref,
                number(local_pref),
                number(&after.local_pref),
            );
        }
        if let Some(origin) = self.origin.as_ref().map(Spanned::get_ref) {
            note(
                "origin",
                *origin != after.origin,
                origin.to_string(),
                after.origin.to_string(),
            );
        }
        if let Some(path) = self.as_path.as_ref().map(Spanned::get_ref) {
            note(
                "as_path",
                *path != after.as_path,
                path.to_string(),
                after.as_path.to_string(),
            );
        }
        if let Some(next_hop) = self.next_hop.as_ref().map(Spanned::get_ref) {
            let set = verdict.edits.next_hop();
            note(
                "next_hop",
                set != Some(*next_hop),
                format!("{next_hop:?}"),
                format!("{set:?}"),
            );
        }
    }

    fn compare_marks(&self, marks: Marks, wrong: &mut Vec<String>) {
        let table =
            |table: Option<TableId>| table.map_or_else(|| "none".to_owned(), |table| table.to_string());
        let expected_table = self.table.as_ref().map(|table| *table.get_ref());
        let number = |key: &Option<Spanned<u32>>| key.as_ref().map(|key| key.get_ref().to_string());
        let all = [
            ("weight", number(&self.weight), marks.weight.to_string()),
            ("tag", number(&self.tag), marks.tag.to_string()),
            (
                "table",
                expected_table.map(|expected| table(Some(expected))),
                table(marks.table),
            ),
        ];
        for (key, expected, is) in all {
            if let Some(expected) = expected.filter(|expected| *expected != is) {
                wrong.push(format!("{key}: expected {expected}, is {is}"));
            }
        }
    }

    fn compare_communities(&self, after: &PathAttributes, wrong: &mut Vec<String>) {
        if let Some(all) = self.community.as_ref().map(Spanned::get_ref) {
            wrong.extend(differing("community", all, &after.communities));
        }
        if let Some(all) = self.large_community.as_ref().map(Spanned::get_ref) {
            wrong.extend(differing("large_community", all, &after.large_communities));
        }
        if let Some(all) = self.extended_community.as_ref().map(Spanned::get_ref) {
            wrong.extend(differing("extended_community", all, &after.extended_communities));
        }
    }
}

/// What to say where the two are not the same, in whatever order.
fn differing<T: PartialEq + std::fmt::Display>(key: &str, expected: &[T], is: &[T]) -> Option<String> {
    let same = expected.len() == is.len() && expected.iter().all(|item| is.contains(item));
    (!same).then(|| format!("{key}: expected {}, is {}", list(expected), list(is)))
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    format!("[{}]", items.join(", "))
}

fn cases(value: &Value<'_>) -> Option<Vec<CaseKeys>> {
    value.list("a list of cases", |value| {
        value.table(CaseKeys::SECTION, CaseKeys::read)
    })
}

fn direction(value: &Value<'_>) -> Option<Direction> {
    scalar::word(
        value,
        &[("import", Direction::Import), ("export", Direction::Export)],
    )
}

fn verdict(value: &Value<'_>) -> Option<bool> {
    scalar::word(value, &[("accept", true), ("reject", false)])
}

#[expect(
    clippy::option_option,
    reason = "the outer says whether it parses, the inner is what was written"
)]
fn number_or_none(value: &Value<'_>) -> Option<Option<u32>> {
    if value.is_text() {
        scalar::word(value, &[("none", None)])
    } else {
        scalar::any_u32(value).map(Some)
    }
}

fn source(value: &Value<'_>) -> Option<(OriginKind, Arc<str>)> {
    value.parse(
        "`kernel:NAME`, `static:NAME`, `vip:NAME` or `aggregate:NAME`",
        |text| {
            let known = [
                ("kernel", OriginKind::Kernel),
                ("static", OriginKind::Static),
                ("vip", OriginKind::Vip),
                ("aggregate", OriginKind::Aggregate),
            ];
            let parts = text.split_once(':').and_then(|(kind, name)| {
                let (_, kind) = known.into_iter().find(|(word, _)| *word == kind)?;
                Some((kind, Arc::from(name)))
            });
            parts.ok_or_else(|| format!("`{text}` is no source"))
        },
    )
}

fn as_path(value: &Value<'_>) -> Option<AsPathBuf> {
    value.parse("AS numbers such as \"65001 65002\"", |text| {
        let asns: Result<Vec<Asn>, _> = text.split_whitespace().map(str::parse::<Asn>).collect();
        asns.map(AsPathBuf::from_sequence)
            .map_err(|_| format!("`{text}` is no list of AS numbers"))
    })
}

//! What operators read when a file is wrong, held as text; what they get when it is right.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bgp_codec::{Family, FamilySet, PathAttributes, PeerKind};

use super::environment::{Environment, SecretFile};
use super::load::{self, Loaded};
use super::*;
use crate::policy::{CanonicalBlock, Chain, RouteView, Source};
use crate::route::OriginKind;
use crate::session::settings::{PeerAddress, PeerSettings, RemoteAsn};

/// Each `tests/wrong/NAME.toml` yields `tests/wrong/NAME.txt`; `UPDATE=1` rewrites what changed, for review.
#[test]
fn wrong_files_say_what_to_write() {
    let directory = wrong_files();
    let update = std::env::var_os("UPDATE").is_some();
    let mut names: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    names.sort();
    assert!(names.len() >= 30, "{} samples", names.len());
    let mut different = BTreeMap::new();
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let report = parse(&name, &text).expect_err(&name).to_string() + "\n";
        let expected = path.with_extension("txt");
        if std::fs::read_to_string(&expected).unwrap_or_default() != report {
            if update {
                std::fs::write(&expected, &report).unwrap();
            } else {
                different.insert(name, report);
            }
        }
    }
    for (name, report) in &different {
        println!("==== {name}\n{report}");
    }
    assert!(
        different.is_empty(),
        "reports differ from the .txt files; if that is right, rewrite them with UPDATE=1"
    );
}

#[test]
fn every_sample_loads_without_a_warning() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut loaded = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let sample = Config::load(&path, &variable).unwrap_or_else(|report| panic!("{report}"));
            assert!(sample.warnings.is_empty(), "{}", sample.warnings[0]);
            loaded.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    for name in ["node.toml", "reflector.toml", "tor.toml", "border.toml"] {
        assert!(loaded.contains(&name.to_owned()), "{loaded:?}");
    }
}

/// What is shown, written to a file, means the same again.
#[test]
fn the_effective_configuration_means_the_same() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let scratch = nix::unistd::mkdtemp(&std::env::temp_dir().join("stonechat-show-XXXXXX")).unwrap();
    for name in [
        "node.toml",
        "reflector.toml",
        "tor.toml",
        "adc.toml",
        "border.toml",
    ] {
        let path = directory.join(name);
        let text = effective(&path, &variable).unwrap_or_else(|report| panic!("{report}"));
        let shown = scratch.join(name);
        std::fs::write(&shown, &text).unwrap();
        let again = Config::load(&shown, &variable).unwrap_or_else(|report| panic!("{report}\n{text}"));
        let meant = Config::load(&path, &variable).unwrap().config;
        assert_eq!(again.config, meant, "{text}");
    }
    let text = effective(&directory.join("node.toml"), &variable).unwrap();
    for line in [
        "state_dir = \"/run/stonechat\"",
        "always_compare_med = false",
        "# keepalive_time: a third of the negotiated hold time",
        "import = [\"from-nodes\"]",
        "max_prefixes = 200",
    ] {
        assert!(
            text.lines().any(|shown| shown == line),
            "{line} is not in\n{text}"
        );
    }
    std::fs::remove_dir_all(&scratch).unwrap();
}

#[test]
fn a_profile_stands_behind_what_peer_and_group_say() {
    let peers = peers(
        "[[peer_group]]\nname = \"g\"\nprofile = \"tor\"\nmax_prefixes = 5\n\
         [[peer]]\nname = \"p\"\naddress = \"192.0.2.1\"\ngroup = \"g\"\n\
         [[peer]]\nname = \"q\"\naddress = \"192.0.2.2\"\ngroup = \"g\"\nmultihop = 3\nasn = 65001\nhold_time = 30\n\
         [[peer]]\nname = \"r\"\naddress = \"192.0.2.3\"\nprofile = \"calico-bird\"\nasn = 64512\n",
    );
    let [p, q, r] = peers.as_slice() else {
        panic!("{peers:?}")
    };
    assert_eq!(
        (&p.remote_asn, p.hold_time, p.ttl_security),
        (&RemoteAsn::External, Duration::from_secs(9), Some(1))
    );
    assert_eq!(p.policy.max_prefixes, Some(5));
    assert_eq!(
        (q.hold_time, q.ttl_security, q.multihop),
        (Duration::from_secs(30), None, Some(3))
    );
    assert_eq!(q.remote_asn, RemoteAsn::Is(Asn(65_001)));
    assert_eq!(r.hold_time, Duration::from_secs(240));
    assert!(!r.add_path_send.is_empty() && !r.add_path_receive.is_empty());
}

#[test]
fn fragments_add_to_the_file() {
    let config = config("conf_d = \"web.d\"\n");
    assert_eq!(config.peers.len(), 1);
    assert_eq!(&*config.peers[0].name, "web");
}

#[test]
fn a_prefix_set_is_read_from_a_file_and_asked_by_name() {
    let text = "[[prefix_set]]\nname = \"s\"\nprefixes = \"172.16.0.0/12\"\nfile = \"lists/good.prefixes\"\n\
                [[filter]]\nname = \"f\"\ndefault = \"reject\"\nrules = [ { prefix_set = \"s\", action = \"accept\" } ]\n\
                [[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\nimport = \"f\"\n";
    let config = config(text);
    let taken = |prefix: &str| verdict(&config.peers[0].policy.import, prefix, learned("a"));
    assert!(taken("10.1.0.0/16") && taken("192.0.2.0/24") && taken("172.16.0.0/12"));
    assert!(!taken("10.0.0.0/8") && !taken("192.0.2.0/25"));
}

#[test]
fn the_minimal_file_is_one_that_works() {
    let loaded = parse("minimal.toml", minimal_file()).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty());
    assert_eq!((loaded.config.peers.len(), loaded.config.originate.len()), (1, 1));
}

#[test]
fn a_missing_file_is_told_from_an_unreadable_one() {
    let missing = Config::load(Path::new("/nonexistent/stonechat.toml"), &variable).unwrap_err();
    assert!(
        matches!(&missing, Report::Unreadable { missing: true, .. }),
        "{missing}"
    );
    let directory = Config::load(Path::new("/"), &variable).unwrap_err();
    assert!(
        matches!(&directory, Report::Unreadable { missing: false, .. }),
        "{directory}"
    );
}

#[test]
fn a_peer_takes_over_what_its_group_says_and_it_does_not() {
    let peers = peers(
        "[[peer_group]]\nname = \"g\"\nasn = 65001\nhold_time = 30\nport = 1179\nlisten_range = \"10.0.0.0/8\"\n\
         multihop = 2\n\
         [[peer]]\nname = \"p\"\naddress = \"192.0.2.1\"\ngroup = \"g\"\nhold_time = \"60s\"\n",
    );
    let [peer, range] = peers.as_slice() else {
        panic!("{peers:?}")
    };
    assert_eq!((&*peer.name, peer.policy.group.as_deref()), ("p", Some("g")));
    assert_eq!(peer.address, PeerAddress::Address([192, 0, 2, 1].into()));
    assert_eq!(
        (peer.hold_time, peer.port, peer.multihop),
        (Duration::from_secs(60), 1179, Some(2))
    );
    assert!(!peer.passive);
    assert_eq!((&*range.name, range.policy.group.as_deref()), ("g", Some("g")));
    assert_eq!(range.address, PeerAddress::Range("10.0.0.0/8".parse().unwrap()));
    assert_eq!(range.hold_time, Duration::from_secs(30));
    assert!(range.passive);
}

#[test]
fn ranges_of_a_list_are_told_apart_by_name() {
    let peers =
        peers("[[peer]]\nname = \"r\"\nasn = \"any\"\nlisten_range = [\"10.0.0.0/8\", \"fd00::/8\"]\n");
    let names: Vec<&str> = peers.iter().map(|peer| &*peer.name).collect();
    assert_eq!(names, ["r[10.0.0.0/8]", "r[fd00::/8]"]);
}

#[test]
fn internal_peers_carry_everything_and_external_ones_nothing_unless_filtered() {
    let peers = peers(
        "[[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\n\
         [[peer]]\nname = \"b\"\naddress = \"192.0.2.2\"\nasn = \"internal\"\n\
         [[peer]]\nname = \"c\"\naddress = \"192.0.2.3\"\nasn = 65001\n\
         [[peer]]\nname = \"d\"\naddress = \"192.0.2.4\"\nasn = \"any\"\n\
         [[peer]]\nname = \"e\"\naddress = \"192.0.2.5\"\nasn = 64512\nlocal_asn = 65002\n",
    );
    let silent: Vec<bool> = peers
        .iter()
        .map(|peer| peer.policy.export.is_no_policy())
        .collect();
    assert_eq!(silent, [false, false, true, true, true]);
    for peer in &peers {
        assert_eq!(
            peer.policy.import.is_no_policy(),
            peer.policy.export.is_no_policy(),
            "{}",
            peer.name
        );
        assert!(!peer.policy.import.accepts_default_route(), "{}", peer.name);
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let peers = peers("[[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\n");
    let peer = &peers[0];
    let both: FamilySet = [Family::IPV4_UNICAST, Family::IPV6_UNICAST].into_iter().collect();
    assert_eq!(peer.families, both);
    assert_eq!(
        (peer.hold_time, peer.send_hold_time),
        (Duration::from_secs(90), Duration::from_secs(480))
    );
    let restart = peer.graceful_restart.unwrap();
    assert_eq!(restart.restart_time, Duration::from_secs(120));
    assert_eq!(restart.max_peer_restart_time, Duration::from_secs(360));
    assert!(peer.extended_message && !peer.extended_next_hop);
    assert!(peer.add_path_receive.is_empty() && peer.add_path_send.is_empty());
    let config = config("[kernel]\n");
    let kernel = config.kernel.unwrap();
    assert_eq!(
        (kernel.install, kernel.protocol, kernel.multipath),
        (true, 179, 16)
    );
    assert_eq!(config.speaker.listen.len(), 2);
    assert_eq!(config.speaker.deferral_time, Duration::from_secs(60));
    assert_eq!(config.speaker.http, None);
}

#[test]
fn the_deferral_time_stays_below_a_short_restart_time() {
    let text = "[[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\ngraceful_restart = { restart_time = 40 }\n";
    assert_eq!(config(text).speaker.deferral_time, Duration::from_secs(20));
}

#[test]
fn the_environment_fills_strings_and_numbers() {
    let text = "[speaker]\nasn = \"${ASN}\"\nrouter_id = \"${NODE_IP}\"\nstate_dir = \"/run/${MISSING:-x}\"\n\
                [[peer]]\nname = \"a\"\naddress = \"${NODE_IP}\"\nasn = \"${ASN}\"\nport = \"${PORT:-1179}\"\n";
    let config = parse("test.toml", text)
        .unwrap_or_else(|report| panic!("{report}"))
        .config;
    assert_eq!(config.speaker.asn, Asn(64_512));
    assert_eq!(config.speaker.router_id, Some(Ipv4Addr::new(172, 16, 40, 199)));
    assert_eq!(config.speaker.state_dir, Path::new("/run/x"));
    assert_eq!(config.peers[0].port, 1179);
    assert_eq!(config.peers[0].remote_asn, RemoteAsn::Is(Asn(64_512)));
}

#[test]
fn passwords_come_without_their_line_break_and_with_a_warning_if_public() {
    let peer = |file: &str| {
        format!(
            "[speaker]\nasn = 1\n[[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 1\npassword_file = \"{file}\"\n"
        )
    };
    let good = parse("test.toml", &peer("good.key")).unwrap();
    assert_eq!(
        good.config.peers[0].password.as_ref().unwrap().key.expose(),
        b"s3cret"
    );
    assert!(good.warnings.is_empty());
    let public = parse("test.toml", &peer("public.key")).unwrap();
    assert!(
        public.warnings[0].to_string().contains("every user may read it"),
        "{}",
        public.warnings[0]
    );
    assert!(!format!("{public:?}").contains("s3cret"));
}

#[test]
fn warnings_are_shown_beside_errors() {
    let text = "[speaker]\nasn = 64512\n\
                [[filter]]\nname = \"f\"\n\
                [[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\nhold_time = \"1s\"\n";
    let report = parse("test.toml", text).unwrap_err();
    assert_eq!(report.error_count(), 1, "{report}");
    let report = report.to_string();
    assert!(
        report.contains("test.toml:4:8: warning: no peer uses filter `f`"),
        "{report}"
    );
    assert!(report.ends_with("1 error, 1 warning"), "{report}");
}

#[test]
fn keys_of_another_table_are_sent_home() {
    for (text, expected) in [
        (
            "[[vip]]\nname = \"v\"\naddress = \"192.0.2.1/32\"\ninterval = \"1s\"\n",
            "`interval` belongs in `check` of [[vip]]",
        ),
        (
            "[kernel]\nrouter_id = \"192.0.2.1\"\n",
            "`router_id` belongs in [speaker]",
        ),
        ("[speaker.more]\n", "known here: "),
        (
            "[[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\nadd_paths = \"both\"\n",
            "did you mean `add_path`?",
        ),
    ] {
        let report = parse("test.toml", &format!("[speaker]\nasn = 64512\n{text}")).unwrap_err();
        assert!(report.to_string().contains(expected), "{report}");
    }
}

#[test]
fn odd_files_load_with_warnings() {
    for (text, expected) in [
        ("[[filter]]\nname = \"f\"\n", "no peer uses filter `f`"),
        (
            "[[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 65001\n",
            "external peer `a` neither receives nor sends routes",
        ),
        (
            "[[originate]]\nname = \"all\"\nkernel = {}\n",
            "every route of the kernel's table is announced",
        ),
        (
            "[[filter]]\nname = \"f\"\nrules = [ { action = \"accept\" }, { med = 1, action = \"reject\" } ]\n\
             [[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\nimport = \"f\"\n",
            "no route reaches this rule",
        ),
        (
            "[[filter]]\nname = \"f\"\nrules = [ { med = 1, action = \"continue\" } ]\n\
             [[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\nimport = \"f\"\n",
            "the rule does nothing",
        ),
        (
            "[[vip]]\nname = \"v\"\naddress = \"fd00::1\"\n\
             [[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\nfamilies = \"ipv4-unicast\"\n",
            "no peer is told of fd00::1/128",
        ),
        (
            "[[filter]]\nname = \"f\"\ndefault = \"reject\"\n[[filter]]\nname = \"g\"\n\
             [[peer]]\nname = \"a\"\naddress = \"192.0.2.1\"\nasn = 64512\nimport = [\"f\", \"g\"]\n",
            "filter `g` is never asked",
        ),
        (
            "[[prefix_set]]\nname = \"s\"\nprefixes = \"10.0.0.0/8\"\n",
            "no filter uses prefix set `s`",
        ),
    ] {
        let loaded = parse("test.toml", &format!("[speaker]\nasn = 64512\n{text}")).unwrap();
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(expected), "{}", warnings[0]);
        assert!(warnings[0].contains(": warning: "), "{}", warnings[0]);
    }
}

#[test]
fn the_node_sample_announces_its_own_and_takes_vips_from_the_adc_alone() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/node.toml");
    let config = Config::load(&path, &variable).unwrap().config;
    let peer = |name: &str| config.peers.iter().find(|peer| &*peer.name == name).unwrap();
    let (node, adc) = (peer("node2"), peer("f5-a"));
    let from = |peer: &PeerSettings, prefix: &str| verdict(&peer.policy.import, prefix, learned(&peer.name));
    for vip in ["172.16.99.99/32", "172.16.40.81/32", "fd00:99::99/128"] {
        assert!(from(adc, vip) && !from(node, vip), "{vip}");
    }
    for block in ["10.244.1.0/24", "10.244.1.64/26", "fd00:244::40/122"] {
        assert!(from(node, block) && !from(adc, block), "{block}");
    }
    for other in ["10.244.1.76/32", "10.96.0.0/12", "0.0.0.0/0", "fd00:244::4c/128"] {
        assert!(!from(node, other) && !from(adc, other), "{other}");
    }
    let to = |prefix: &str, source| verdict(&adc.policy.export, prefix, source);
    let own = |kind, name| Source::Local { kind, name };
    assert!(to("10.244.0.0/24", own(OriginKind::Kernel, "pod-blocks")));
    assert!(to("172.16.99.10/32", own(OriginKind::Vip, "shop")));
    assert!(!to("10.96.0.0/12", own(OriginKind::Static, "service-range")));
    assert!(!to("10.244.1.0/24", learned("node2")));
}

fn learned(name: &str) -> Source<'_> {
    let address = [192, 0, 2, 1].into();
    Source::Peer {
        name,
        group: None,
        address,
        asn: Asn(64_512),
        kind: PeerKind::Internal,
        role: None,
    }
}

fn verdict(chain: &Chain, prefix: &str, source: Source<'_>) -> bool {
    let mut block = Vec::new();
    PathAttributes::default().encode_canonical(&mut block);
    let prefix: ipnet::IpNet = prefix.parse().unwrap();
    let family = if prefix.addr().is_ipv4() {
        Family::IPV4_UNICAST
    } else {
        Family::IPV6_UNICAST
    };
    let attributes = &CanonicalBlock::new(&block);
    chain
        .evaluate(&RouteView {
            prefix,
            family,
            source,
            attributes,
            next_hop: None,
            from_kernel: None,
            next_hop_metric: None,
            marks: crate::policy::Marks::default(),
            local_asn: Asn(64_512),
        })
        .accept
}

proptest::proptest! {
    /// Whatever is done to a file, the answer is a configuration or a report; both can be printed.
    #[test]
    fn no_text_panics(cuts in proptest::collection::vec((0_usize..4_000, 0_usize..40, "[ -~\\né]{0,6}"), 1..6)) {
        let mut text = include_str!("../../config/node.toml").to_owned() + include_str!("../../config/tor.toml");
        for (at, len, inserted) in cuts {
            let start = text.floor_char_boundary(at.min(text.len()));
            let end = text.floor_char_boundary((start + len).min(text.len()));
            text.replace_range(start..end, &inserted);
        }
        match parse("mutated.toml", &text) {
            Ok(loaded) => assert!(Plan::new(&loaded.config, loaded.config.clone()).is_empty()),
            Err(report) => assert!(report.to_string().contains("mutated.toml:")),
        }
    }
}

/// The configuration of `[speaker]` in AS 64512 and this.
fn config(text: &str) -> Config {
    let text = format!("[speaker]\nasn = 64512\n{text}");
    parse("test.toml", &text)
        .unwrap_or_else(|report| panic!("{report}"))
        .config
}

fn peers(text: &str) -> Vec<PeerSettings> {
    config(text).peers
}

pub(super) fn parse(name: &str, text: &str) -> Result<Loaded, Report> {
    load::parse(name, text, ENVIRONMENT)
}

const ENVIRONMENT: Environment<'_> = Environment {
    variable: &variable,
    secret: &secret,
    text: &named_file,
    list: &named_directory,
};

/// Files that the samples name stand beside them.
fn named_file(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(wrong_files().join(path))
}

fn named_directory(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(wrong_files().join(path))?
        .map(|entry| path.join(entry.unwrap().file_name()))
        .collect();
    files.sort();
    Ok(files)
}

fn wrong_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/tests/wrong")
}

/// What reading alone reports, without validation.
pub(super) fn read(
    text: &str,
    read: impl FnOnce(&reader::Reader<'_>, &toml::Spanned<toml::de::DeTable<'_>>),
) -> Vec<String> {
    let reader = reader::Reader::new(ENVIRONMENT);
    reader.file("test.toml", text, |table| read(&reader, table));
    let problems = reader.into_problems();
    problems.iter().map(ToString::to_string).collect()
}

fn variable(name: &str) -> Option<String> {
    match name {
        "NODE_IP" => Some("172.16.40.199".to_owned()),
        "ASN" => Some("64512".to_owned()),
        "WORD" => Some("abc".to_owned()),
        _ => None,
    }
}

fn secret(path: &Path) -> io::Result<SecretFile> {
    let (bytes, mode): (&[u8], u32) = match path.to_str().unwrap_or_default() {
        "good.key" => (b"s3cret\n", 0o600),
        "public.key" => (b"s3cret", 0o644),
        "writable.key" => (b"s3cret", 0o666),
        "long.key" => (&[b'x'; 81], 0o600),
        "empty.key" => (b"\n", 0o600),
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "No such file or directory",
            ));
        }
    };
    Ok(SecretFile {
        bytes: bytes.to_vec(),
        mode,
    })
}

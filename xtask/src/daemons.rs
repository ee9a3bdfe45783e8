//! The other BGP daemons that the interop scenarios talk to, from Debian's packages.
//!
//! They are installed without being started: the scenarios run them in namespaces of their own.

use std::{env, fs, os::unix::fs::MetadataExt as _, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::run::Step;

/// A package, and a file whose presence says that it is installed.
const PACKAGES: [(&str, &str); 9] = [
    ("frr", "/usr/lib/frr/bgpd"),
    ("bird2", "/usr/sbin/bird"),
    ("gobgpd", "/usr/bin/gobgpd"),
    ("exabgp", "/usr/sbin/exabgp"),
    ("openbgpd", "/usr/sbin/bgpd"),
    ("iproute2", "/usr/sbin/ip"),
    ("iputils-ping", "/usr/bin/ping"),
    ("nftables", "/usr/sbin/nft"),
    ("tcpdump", "/usr/bin/tcpdump"),
];

/// Debian asks this script before it starts a service; 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing where that is possible; otherwise says which scenarios will be skipped.
pub(crate) fn provide() -> Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, file)| !present(file))
        .map(|(package, _)| *package)
        .collect();
    let obstacle = obstacle()?;
    // The interop lab unpacks a package by itself (BIRD 1.6 cannot be installed beside bird2) and needs the lists.
    if obstacle.is_none() && !lists_present() {
        update()?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if let Some(reason) = obstacle {
        if env::var_os("CI").is_some() {
            bail!("missing and cannot be installed ({reason}): {names}");
        }
        println!("skipped: the scenarios that need {names} ({reason})");
        return Ok(());
    }
    let policy = Policy::forbid_starting()?;
    let result = install(&names);
    policy.restore()?;
    result
}

fn install(names: &str) -> Result<()> {
    update()?;
    apt(&format!(
        "install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 {names}"
    ))
    .run()
}

fn update() -> Result<()> {
    apt("update -qq").run()
}

fn apt(arguments: &str) -> Step {
    Step::program("apt-get", arguments).with("DEBIAN_FRONTEND", "noninteractive")
}

/// Whether this machine has ever been told what packages there are.
fn lists_present() -> bool {
    let lists = fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    lists
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

/// Debian's merged `/usr` makes `/sbin` and `/bin` links; an older layout does not.
fn present(file: &str) -> bool {
    Path::new(file).exists()
        || file
            .strip_prefix("/usr")
            .is_some_and(|short| Path::new(short).exists())
}

/// Says why packages cannot be installed here, if they cannot.
fn obstacle() -> Result<Option<&'static str>> {
    let uid = fs::metadata("/proc/self")
        .context("cannot read /proc/self")?
        .uid();
    if uid != 0 {
        return Ok(Some("not root"));
    }
    if !present("/usr/bin/apt-get") {
        return Ok(Some("no apt-get"));
    }
    Ok(None)
}

/// The machine's own policy, put back afterwards.
struct Policy {
    before: Option<Vec<u8>>,
}

impl Policy {
    fn forbid_starting() -> Result<Self> {
        let before = fs::read(POLICY).ok();
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {POLICY}"))?;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(POLICY, executable).with_context(|| format!("cannot change {POLICY}"))?;
        Ok(Self { before })
    }

    fn restore(self) -> Result<()> {
        match self.before {
            Some(content) => fs::write(POLICY, content),
            None => fs::remove_file(POLICY),
        }
        .with_context(|| format!("cannot restore {POLICY}"))
    }
}

//! What a scenario needs of the machine, and skipping it with a reason where that is missing.

use std::io::Write;
use std::path::Path;

use super::bird1;

/// Something a scenario cannot run without. Root and `ip` are always needed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    Frr,
    Bird2,
    Bird1,
    Gobgp,
    Exabgp,
    Openbgpd,
    Ping,
    Nft,
}

impl Need {
    /// Why this need is not met, if it is not.
    fn missing(self) -> Option<String> {
        let (package, files): (&str, &[&str]) = match self {
            Self::Frr => (
                "frr",
                &["/usr/lib/frr/zebra", "/usr/lib/frr/bgpd", "/usr/bin/vtysh"],
            ),
            Self::Bird2 => ("bird2", &["/usr/sbin/bird", "/usr/sbin/birdc"]),
            Self::Bird1 => return bird1::unpacked().err(),
            Self::Gobgp => ("gobgpd", &["/usr/bin/gobgpd", "/usr/bin/gobgp"]),
            Self::Exabgp => ("exabgp", &["/usr/sbin/exabgp"]),
            Self::Openbgpd => ("openbgpd", &["/usr/sbin/bgpd", "/usr/sbin/bgpctl"]),
            Self::Nft => ("nftables", &["/usr/sbin/nft"]),
            Self::Ping => ("iputils-ping", &["/bin/ping"]),
        };
        let absent = files.iter().find(|file| !Path::new(file).exists())?;
        Some(format!("{absent} is missing (Debian package {package})"))
    }
}

/// Whether the calling scenario has to be skipped; prints `skipped: <reason>` when so.
///
/// # Panics
///
/// Where the environment says `CI=true`: there a scenario that cannot run is a failure.
pub(crate) fn skipped(needs: &[Need]) -> bool {
    let Some(reason) = missing(needs) else {
        return false;
    };
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "cannot run here: {reason}"
    );
    // Written directly, since the test runner hides what a passing test prints.
    let _written = writeln!(std::io::stderr(), "skipped: {reason}");
    true
}

fn missing(needs: &[Need]) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("network namespaces need root".to_owned());
    }
    if !["/sbin/ip", "/usr/sbin/ip", "/bin/ip"]
        .iter()
        .any(|path| Path::new(path).exists())
    {
        return Some("the command ip is missing (Debian package iproute2)".to_owned());
    }
    needs.iter().find_map(|need| need.missing())
}

//! Capabilities: what the daemon needs is kept, everything else is given up before the first thread starts.

use caps::{CapSet, Capability, CapsHashSet};

/// Routes and MD5 keys; port 179; interfaces; and to run commands of checks as nobody and to end them.
///
/// The systemd unit grants the same.
const NEEDED: [Capability; 6] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_KILL,
];

/// Keeps of the process's capabilities those that are needed; without any there is nothing to give up.
pub(super) fn drop_unneeded() -> Result<(), caps::errors::CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = NEEDED
        .into_iter()
        .filter(|capability| permitted.contains(capability))
        .collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::NEEDED;

    const UNIT: &str = include_str!("../../config/stonechat.service");

    #[test]
    fn the_unit_grants_what_is_needed_and_no_more() {
        let granted = UNIT
            .lines()
            .find_map(|line| line.strip_prefix("CapabilityBoundingSet="))
            .unwrap();
        let granted: BTreeSet<String> = granted.split_whitespace().map(String::from).collect();
        let needed: BTreeSet<String> = NEEDED.iter().map(ToString::to_string).collect();
        assert_eq!(granted, needed);
    }

    #[test]
    fn the_unit_does_not_undo_stonechat_stop() {
        // It ends with success, after which `always` would start it again.
        assert!(UNIT.lines().any(|line| line == "Restart=on-failure"));
    }
}

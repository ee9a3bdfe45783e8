//! Capabilities: what the daemon needs is kept, everything else is given up before the first thread starts.

use caps::{CapSet, Capability, CapsHashSet};

/// Routes and MD5 keys; port 179; interfaces; and to run commands of checks as nobody and to end them.
const NEEDED: [Capability; 6] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_KILL,
];

/// Keeps of the process's capabilities those that are needed; without any there is nothing to give up.
pub(super) fn drop_unneeded() {
    if let Err(error) = try_drop() {
        tracing::warn!(%error, "capabilities that are not needed could not be given up");
    }
}

fn try_drop() -> Result<(), caps::errors::CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = NEEDED
        .into_iter()
        .filter(|capability| permitted.contains(capability))
        .collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}

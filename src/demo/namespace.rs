//! Network namespaces without a name: each lives as long as this process holds its file or a process is in it.
//!
//! The process moves between them, so it must have one thread only.

use std::{
    fs::{self, File},
    io,
    net::Ipv4Addr,
    time::Duration,
};

use ipnet::Ipv4Net;
use nix::{
    errno::Errno,
    mount::MsFlags,
    sched::{CloneFlags, setns, unshare},
    unistd::{getgid, getuid},
};

use super::{
    echo::{self, Echo},
    netlink::{self, Netlink, Target},
    table::Line,
};

const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// The device of a machine's own addresses.
pub(super) const LOOPBACK: &str = "lo";

/// A step of making a namespace that the kernel does not allow.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// This process may not make namespaces.
    #[error(
        "this machine does not let this program make network namespaces ({step}: {source}).\n\
         The demo builds its lab in them: run it as root, or where unprivileged user namespaces are allowed\n\
         (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns;\n\
         in a container: --privileged)."
    )]
    Forbidden {
        /// The call that was refused.
        step: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// A namespace cannot be entered or left.
    #[error("cannot enter the namespace of {name}: {source}")]
    Enter {
        /// Whose.
        name: String,
        /// The reason.
        source: io::Error,
    },
    /// Forwarding cannot be switched on.
    #[error("cannot set {path}: {source}")]
    Setting {
        /// The file below `/proc/sys`.
        path: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The kernel refused a link, an address or a route.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
}

/// The namespace of the lab itself, where its bridge is and where the process returns to.
pub(super) struct Home {
    file: File,
    /// The bridge's side of every cable.
    pub(super) netlink: Netlink,
    /// Whether this is a user namespace too.
    pub(super) unprivileged: bool,
}

impl Home {
    /// Leaves the machine's network for a new one.
    ///
    /// Where that takes privileges that the process lacks, it makes itself root of a user namespace first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where neither is allowed.
    pub(super) fn make() -> Result<Self, Error> {
        let unprivileged = match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => false,
            Err(Errno::EPERM) => {
                become_root_of_user_namespace()?;
                true
            }
            Err(errno) => return Err(forbidden("unshare", errno.into())),
        };
        let file = File::open(OWN_NAMESPACE).map_err(|error| forbidden(OWN_NAMESPACE, error))?;
        let mut netlink = Netlink::open()?;
        netlink.switch_on(LOOPBACK)?;
        Ok(Self {
            file,
            netlink,
            unprivileged,
        })
    }

    /// Makes one more namespace and comes back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn add(&self, name: &'static str) -> Result<Namespace, Error> {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| forbidden("unshare", errno.into()))?;
        let made = File::open(OWN_NAMESPACE)
            .map_err(|error| forbidden(OWN_NAMESPACE, error))
            .and_then(|file| {
                let mut netlink = Netlink::open()?;
                netlink.switch_on(LOOPBACK)?;
                Ok(Namespace { name, file, netlink })
            });
        self.come_back()?;
        made
    }

    /// Runs `task` inside a namespace; what it opens or spawns there stays there.
    ///
    /// # Errors
    /// When the namespace cannot be entered or left.
    pub(super) fn within<T>(&self, inside: &Namespace, task: impl FnOnce() -> T) -> Result<T, Error> {
        setns(&inside.file, CloneFlags::CLONE_NEWNET).map_err(|errno| Error::Enter {
            name: inside.name.to_owned(),
            source: errno.into(),
        })?;
        let result = task();
        self.come_back()?;
        Ok(result)
    }

    /// Lets a namespace forward packets between its links.
    ///
    /// # Errors
    /// When the setting cannot be written.
    pub(super) fn forward(&self, namespace: &Namespace) -> Result<(), Error> {
        const PATH: &str = "/proc/sys/net/ipv4/ip_forward";
        let written = self.within(namespace, || match fs::write(PATH, "1") {
            // Containers have /proc/sys read-only: it becomes writable in a mount namespace of our own.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                remount_settings().and_then(|()| fs::write(PATH, "1"))
            }
            result => result,
        })?;
        written.map_err(|source| Error::Setting { path: PATH, source })
    }

    /// Sends one echo request from a namespace and awaits its reply.
    ///
    /// # Errors
    /// When the namespace cannot be entered or no raw socket is given; silence is `Ok(None)`.
    pub(super) fn ping(
        &self,
        from: &Namespace,
        to: Ipv4Addr,
        patience: Duration,
    ) -> Result<Result<Option<Echo>, io::Error>, Error> {
        self.within(from, || echo::ping(to, patience))
    }

    fn come_back(&self) -> Result<(), Error> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|errno| Error::Enter {
            name: "the lab".to_owned(),
            source: errno.into(),
        })
    }
}

/// One machine of the lab.
pub(super) struct Namespace {
    /// What it is called in the story.
    pub(super) name: &'static str,
    file: File,
    /// Its links, addresses and routes.
    pub(super) netlink: Netlink,
}

impl Namespace {
    /// Lays a cable from here to `far`, whose end is called `far_link` there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn cable(&mut self, link: &str, far: &mut Self, far_link: &str) -> Result<(), Error> {
        self.netlink.add_veth(link, far_link, &far.file)?;
        Ok(far.netlink.switch_on(far_link)?)
    }

    /// Lays a cable from here to a port of the lab's bridge.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn plug_into(&mut self, home: &mut Home, bridge: &str, link: &str) -> Result<(), Error> {
        home.netlink.add_veth(self.name, link, &self.file)?;
        self.netlink.switch_on(link)?;
        Ok(home.netlink.plug(self.name, bridge)?)
    }

    /// Makes the far end of a cable the way to everywhere, as a pod's is: by an address that means "this link".
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn default_route(&mut self, link: &str, gateway: Ipv4Addr) -> Result<(), Error> {
        self.netlink
            .add_route(Ipv4Net::from(gateway), Target::Link(link))?;
        Ok(self.netlink.add_route(Ipv4Net::default(), Target::Via(gateway))?)
    }

    /// Its IPv4 routes.
    ///
    /// # Errors
    /// When the kernel does not list them.
    pub(super) fn table(&mut self) -> Result<Vec<Line>, Error> {
        let names = self.netlink.link_names()?.into_iter().collect();
        Ok(self
            .netlink
            .routes()?
            .iter()
            .map(|route| Line::read(route, &names))
            .collect())
    }
}

/// Makes this process root in a user namespace of its own, which maps to the user who started it.
fn become_root_of_user_namespace() -> Result<(), Error> {
    let (uid, gid) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| forbidden("unshare of a user namespace", errno.into()))?;
    // The kernel takes a group map from an unprivileged process only after this.
    for (path, map) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(path, map).map_err(|error| forbidden(path, error))?;
    }
    Ok(())
}

fn remount_settings() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    Ok(nix::mount::mount(
        none,
        "/proc/sys",
        none,
        MsFlags::MS_REMOUNT | MsFlags::MS_BIND,
        none,
    )?)
}

fn forbidden(step: &'static str, source: io::Error) -> Error {
    Error::Forbidden { step, source }
}

//! The lab itself: who is connected to whom.
//!
//! ```text
//!   web 10.244.0.76 ─ cali… ┐                                              ┌ vip0 ─ virtual servers
//!                           node1 .199 ─┐                                  │   172.16.99.99, 172.16.40.81
//!   api 10.244.0.77 ─ cali… ┘           ├─ bridge 172.16.40.0/24 ─ .202 adc┤
//!                           node2 .198 ─┘                                  └ clients ─ client 192.0.2.10
//!   db  10.244.1.12 ─ cali… ┘
//! ```

use std::{
    fs::{self, DirBuilder},
    io,
    net::Ipv4Addr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use ipnet::Ipv4Net;

use super::{
    Error,
    namespace::{Home, LOOPBACK, Namespace},
    netlink::Target,
    role::Role,
};

const BRIDGE: &str = "lan";

/// Every machine's side of its only cable.
const UPLINK: &str = "eth0";

/// The gateway of a pod, and of what is behind the ADC: an address that stands for "the other end".
const FAR_END: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The nodes and the ADC on their LAN.
pub(super) const NODE1: Ipv4Addr = Ipv4Addr::new(172, 16, 40, 199);
/// See [`NODE1`].
pub(super) const NODE2: Ipv4Addr = Ipv4Addr::new(172, 16, 40, 198);
/// See [`NODE1`].
pub(super) const ADC: Ipv4Addr = Ipv4Addr::new(172, 16, 40, 202);

/// The VIPs that live behind the ADC.
pub(super) const VIRTUAL_SERVERS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(172, 16, 99, 99), Ipv4Addr::new(172, 16, 40, 81)];

/// The VIP that lives on the nodes.
pub(super) const SHOP: Ipv4Addr = Ipv4Addr::new(172, 16, 99, 10);

/// Pods: the first two on node1, the third on node2.
pub(super) const WEB: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 76);
/// See [`WEB`].
pub(super) const API: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 77);
/// See [`WEB`].
pub(super) const DB: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 12);

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const CLIENTS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24);

/// A pod block as Calico confirms it on a node.
pub(super) const BLOCK1: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 24);
/// See [`BLOCK1`].
pub(super) const BLOCK2: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 1, 0), 24);

/// One machine of the lab: a namespace, and a process that keeps it open for `nsenter`.
pub(super) struct Machine {
    /// Its network.
    pub(super) namespace: Namespace,
    holder: Child,
}

/// All machines and a directory for sockets, state and configurations; everything goes when this is dropped.
pub(super) struct Lab {
    /// Where the bridge is.
    pub(super) home: Home,
    /// A worker of the cluster with two pods.
    pub(super) node1: Machine,
    /// A worker with one pod.
    pub(super) node2: Machine,
    /// The ADC.
    pub(super) adc: Machine,
    /// What answers for the ADC's VIPs.
    pub(super) virtual_servers: Machine,
    /// Somebody behind the ADC.
    pub(super) client: Machine,
    /// The pods [`WEB`], [`API`] and [`DB`].
    pub(super) pods: [Machine; 3],
    /// Sockets, state, configurations, logs.
    pub(super) directory: Directory,
}

impl Lab {
    /// Builds it.
    ///
    /// # Errors
    /// When this machine allows no namespaces, or the kernel refuses a part.
    pub(super) fn build() -> Result<Self, Error> {
        let home = Home::make()?;
        let directory = Directory::make()?;
        let mut lab = Self {
            node1: Machine::start(&home, "node1")?,
            node2: Machine::start(&home, "node2")?,
            adc: Machine::start(&home, "adc")?,
            virtual_servers: Machine::start(&home, "vips")?,
            client: Machine::start(&home, "client")?,
            pods: [
                Machine::start(&home, "web")?,
                Machine::start(&home, "api")?,
                Machine::start(&home, "db")?,
            ],
            home,
            directory,
        };
        lab.wire_lan()?;
        lab.wire_pods()?;
        lab.wire_behind_adc()?;
        Ok(lab)
    }

    fn wire_lan(&mut self) -> Result<(), Error> {
        self.home.netlink.add_bridge(BRIDGE)?;
        for (machine, address) in [
            (&mut self.node1, NODE1),
            (&mut self.node2, NODE2),
            (&mut self.adc, ADC),
        ] {
            let namespace = &mut machine.namespace;
            namespace.plug_into(&mut self.home, BRIDGE, UPLINK)?;
            namespace
                .netlink
                .add_address(UPLINK, Ipv4Net::new_assert(address, 24))?;
            self.home.forward(namespace)?;
        }
        Ok(())
    }

    /// Pods as Calico connects them: a /32 route on the node, and a way to everywhere in the pod.
    fn wire_pods(&mut self) -> Result<(), Error> {
        let [web, api, db] = &mut self.pods;
        for (pod, address, link) in [(web, WEB, "cali12d4a061371"), (api, API, "cali5b1e4c7a902")] {
            pod_on(&mut self.node1.namespace, &mut pod.namespace, address, link)?;
        }
        pod_on(
            &mut self.node2.namespace,
            &mut db.namespace,
            DB,
            "cali9f03d2c8e45",
        )?;
        for (node, block) in [(&mut self.node1, BLOCK1), (&mut self.node2, BLOCK2)] {
            let node = &mut node.namespace;
            node.netlink.add_route(block, Target::Blackhole)?;
            // Clients are beyond the ADC; the nodes know that from their own network's configuration.
            node.netlink.add_route(CLIENTS, Target::Via(ADC))?;
            // A node that announces a VIP must answer for it.
            node.netlink.add_address(LOOPBACK, SHOP.into())?;
        }
        Ok(())
    }

    fn wire_behind_adc(&mut self) -> Result<(), Error> {
        let adc = &mut self.adc.namespace;
        let servers = &mut self.virtual_servers.namespace;
        leaf(adc, servers, "vip0")?;
        for address in VIRTUAL_SERVERS {
            servers.netlink.add_address(LOOPBACK, address.into())?;
            adc.netlink.add_route(address.into(), Target::Link("vip0"))?;
        }
        servers.default_route(UPLINK, FAR_END)?;

        let client = &mut self.client.namespace;
        leaf(adc, client, "clients")?;
        client.netlink.add_address(UPLINK, CLIENT.into())?;
        adc.netlink.add_route(CLIENTS, Target::Link("clients"))?;
        client.default_route(UPLINK, FAR_END)?;
        Ok(())
    }
}

impl Machine {
    fn start(home: &Home, name: &'static str) -> Result<Self, Error> {
        let namespace = home.add(name)?;
        let started = home.within(&namespace, || {
            Role::Hold(name).command().stdin(Stdio::piped()).spawn()
        })?;
        let holder = started.map_err(|source| Error::Io {
            what: format!("start the process of {name}"),
            source,
        })?;
        Ok(Self { namespace, holder })
    }

    /// The process to enter its namespace by.
    pub(super) fn id(&self) -> u32 {
        self.holder.id()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It ends by itself too, with its standard input or with the lab.
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// A directory of our own that is removed in the end.
pub(super) struct Directory(PathBuf);

impl Directory {
    fn make() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("stonechat-demo-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|source| Error::Io {
                what: format!("make {}", path.display()),
                source,
            })?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(|source| Error::Io {
            what: format!("write {}", path.display()),
            source,
        })?;
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            super::complain(&format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}

/// Hangs `leaf` on `hub`: a cable of its own whose near end is the leaf's gateway.
fn leaf(hub: &mut Namespace, leaf: &mut Namespace, link: &str) -> Result<(), Error> {
    hub.cable(link, leaf, UPLINK)?;
    Ok(hub.netlink.add_address(link, FAR_END.into())?)
}

/// Starts a pod on a node: its address is a /32 route there.
fn pod_on(node: &mut Namespace, pod: &mut Namespace, address: Ipv4Addr, link: &str) -> Result<(), Error> {
    leaf(node, pod, link)?;
    pod.netlink.add_address(UPLINK, address.into())?;
    node.netlink.add_route(address.into(), Target::Link(link))?;
    Ok(pod.default_route(UPLINK, FAR_END)?)
}

//! The edge to the machine's links and addresses: says what is there as it changes, and adds and removes what VIPs bind.
//!
//! What we add is marked with our protocol number (`IFA_PROTO`, Linux 5.18), so that a successor knows it from what others
//! added; an older kernel ignores the mark, and then only the state file knows.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket as _, AsyncSocketExt as _, Socket, SocketAddr, TokioSocket};
use tokio::sync::mpsc;

use super::binding::{Link, Links, Obeyed, OnLink, Order, Place};

/// Marks our addresses, as it marks our routes.
const PROTOCOL: u8 = 179;

/// Between two looks at least, so that a machine whose pods come and go is not read all the time.
const CALM: Duration = Duration::from_millis(100);

/// A look without an event: the net beneath lost notifications, and the time in which a refused address is tried again.
const AUDIT: Duration = Duration::from_secs(10);

/// After a failure to open the sockets.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Groups of rtnetlink(7) that tell of links and addresses.
const RTMGRP_LINK: u32 = 0x1;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
const RTMGRP_IPV6_IFADDR: u32 = 0x100;

/// How often a list is asked for that changes while it is read.
const ATTEMPTS: usize = 8;

/// Padding of one message in a datagram.
const ALIGNMENT: usize = 4;

/// Something to do for the edge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ToLinks {
    /// Change an address.
    Order(Order),
    /// Whose speed is to be read.
    Speeds(BTreeSet<Arc<str>>),
}

/// Something from the edge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum FromLinks {
    /// What is there.
    Looked(Links),
    /// What became of an order.
    Obeyed {
        /// Where.
        place: Place,
        /// How it ended.
        obeyed: Obeyed,
    },
}

/// Watches and obeys until either channel closes.
pub(super) async fn run(mut orders: mpsc::Receiver<ToLinks>, news: mpsc::Sender<FromLinks>) {
    let mut failing = false;
    let mut speeds = BTreeSet::new();
    loop {
        match watch(&mut orders, &news, &mut speeds).await {
            Ok(()) => return,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "links and addresses cannot be watched; VIPs that look at them wait");
            }
            Err(_) => {}
        }
        tokio::time::sleep(REOPEN_AFTER).await;
    }
}

async fn watch(
    orders: &mut mpsc::Receiver<ToLinks>,
    news: &mpsc::Sender<FromLinks>,
    speeds: &mut BTreeSet<Arc<str>>,
) -> io::Result<()> {
    let mut requests = Requests::open()?;
    let mut notifications = TokioSocket::new(NETLINK_ROUTE)?;
    let groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
    notifications.socket_mut().bind(&SocketAddr::new(0, groups))?;
    loop {
        let looked = FromLinks::Looked(requests.look(speeds)?);
        if news.send(looked).await.is_err() {
            return Ok(());
        }
        let calm = tokio::time::Instant::now() + CALM;
        tokio::select! {
            // What it was is read from the kernel; a lost notification is an event as well.
            _ = notifications.recv_from_full() => tokio::time::sleep_until(calm).await,
            order = orders.recv() => {
                let Some(order) = order else { return Ok(()) };
                obey(order, &mut requests, news, speeds).await?;
                while let Ok(order) = orders.try_recv() {
                    obey(order, &mut requests, news, speeds).await?;
                }
            }
            () = tokio::time::sleep(AUDIT) => {}
        }
        drain(notifications.socket_mut());
    }
}

async fn obey(
    order: ToLinks,
    requests: &mut Requests,
    news: &mpsc::Sender<FromLinks>,
    speeds: &mut BTreeSet<Arc<str>>,
) -> io::Result<()> {
    let order = match order {
        ToLinks::Speeds(wanted) => {
            *speeds = wanted;
            return Ok(());
        }
        ToLinks::Order(order) => order,
    };
    let done = requests.obey(&order)?;
    let (Order::Add(place) | Order::Remove(place)) = &order;
    let obeyed = match (&done, &order) {
        (Ok(true), Order::Add(_)) => Obeyed::Added,
        (Ok(false), Order::Add(_)) => Obeyed::WasThere,
        (Ok(_), Order::Remove(_)) => Obeyed::Removed,
        (Err(error), _) => Obeyed::Refused(error.to_string()),
    };
    tracing::debug!(?order, ?obeyed, "an address is asked for");
    let told = FromLinks::Obeyed {
        place: place.clone(),
        obeyed,
    };
    // An error: the receiver is gone with the VIPs.
    drop(news.send(told).await);
    Ok(())
}

/// Empties the socket: one look answers all notifications so far.
fn drain(socket: &Socket) {
    let mut buffer = Vec::with_capacity(4_096);
    while socket.recv(&mut buffer, libc::MSG_DONTWAIT).is_ok() {
        buffer.clear();
    }
}

/// What became of addresses that a dead daemon left.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeftAddresses {
    /// So many are gone.
    pub removed: usize,
    /// So many the kernel kept.
    pub failed: usize,
}

/// Removes what a dead daemon of ours left on interfaces: addresses that are marked as ours, and those of `known`, because
/// kernels before Linux 5.18 mark none.
///
/// # Errors
///
/// The kernel cannot be asked.
pub fn remove_left_addresses(known: &[Place]) -> io::Result<LeftAddresses> {
    let mut requests = Requests::open()?;
    let links = requests.look(&BTreeSet::new())?;
    let mut left = LeftAddresses::default();
    for on in &links.addresses {
        let place = Place {
            address: on.address.into(),
            interface: Arc::clone(&on.interface),
        };
        if !on.ours && !known.contains(&place) {
            continue;
        }
        match requests.obey(&Order::Remove(place.clone()))? {
            Ok(_) => left.removed += 1,
            Err(error) => {
                left.failed += 1;
                tracing::warn!(?place, %error, "an address of ours could not be removed");
            }
        }
    }
    Ok(left)
}

/// Removes these addresses.
pub(super) fn remove(places: Vec<Place>) {
    if places.is_empty() {
        return;
    }
    let removed = Requests::open().and_then(|mut requests| {
        // Which also tells the interfaces' numbers.
        requests.look(&BTreeSet::new())?;
        for place in places {
            if let Err(error) = requests.obey(&Order::Remove(place.clone()))? {
                tracing::warn!(?place, %error, "an address of ours could not be removed");
            }
        }
        Ok(())
    });
    if let Err(error) = removed {
        tracing::warn!(%error, "addresses of ours could not be removed");
    }
}

/// The socket for requests: the kernel answers while it is sent to, so nothing here waits.
struct Requests {
    socket: Socket,
    sequence: u32,
    /// The last list changed while it was being read.
    disturbed: bool,
    indices: BTreeMap<Arc<str>, u32>,
}

impl Requests {
    fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
            disturbed: false,
            indices: BTreeMap::new(),
        })
    }

    /// Reads every link and address.
    fn look(&mut self, speeds: &BTreeSet<Arc<str>>) -> io::Result<Links> {
        let links = self.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        let addresses = self.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        let named: Vec<(u32, Arc<str>, Link)> = links
            .into_iter()
            .filter_map(|link| read_link(link, speeds))
            .collect();
        self.indices = named
            .iter()
            .map(|(index, name, _)| (Arc::clone(name), *index))
            .collect();
        let names: BTreeMap<u32, Arc<str>> = named
            .iter()
            .map(|(index, name, _)| (*index, Arc::clone(name)))
            .collect();
        let addresses = addresses
            .into_iter()
            .filter_map(|address| read_address(address, &names));
        Ok(Links {
            addresses: addresses.collect(),
            interfaces: named.into_iter().map(|(_, name, link)| (name, link)).collect(),
        })
    }

    /// Asks for a list until it was not disturbed: one that was may lack what did not change at all.
    fn dump(&mut self, what: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..ATTEMPTS {
            let answers = self.request(what.clone(), NLM_F_DUMP)??;
            if !self.disturbed {
                return Ok(answers);
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Carries out an order. The outer error is the socket's, the inner one the kernel's refusal; false where the address was
    /// there already, or gone already.
    fn obey(&mut self, order: &Order) -> io::Result<io::Result<bool>> {
        let (Order::Add(place) | Order::Remove(place)) = order;
        let Some(index) = self.indices.get(&place.interface) else {
            return Ok(match order {
                Order::Add(_) => Err(io::Error::from_raw_os_error(libc::ENODEV)),
                Order::Remove(_) => Ok(false),
            });
        };
        let message = address_message(place.address, *index);
        let (message, flags, fine) = match order {
            Order::Add(_) => (
                RouteNetlinkMessage::NewAddress(message),
                NLM_F_CREATE | NLM_F_EXCL,
                libc::EEXIST,
            ),
            Order::Remove(_) => (RouteNetlinkMessage::DelAddress(message), 0, libc::EADDRNOTAVAIL),
        };
        Ok(match self.request(message, flags)? {
            Err(error) if error.raw_os_error() == Some(fine) => Ok(false),
            answer => answer.map(|_| true),
        })
    }

    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<io::Result<Vec<RouteNetlinkMessage>>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(message);
        // A dump ends with a message of its own; everything else asks for an acknowledgement.
        let ack = if flags & NLM_F_DUMP == NLM_F_DUMP {
            0
        } else {
            NLM_F_ACK
        };
        message.header.flags = NLM_F_REQUEST | ack | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut read = Read {
            sequence: self.sequence,
            disturbed: false,
            answers: Vec::new(),
        };
        let end = loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            if let Some(end) = read.datagram(&datagram) {
                break end;
            }
        };
        self.disturbed = read.disturbed;
        Ok(end.map(|()| read.answers))
    }
}

/// The answers to one request so far.
struct Read {
    sequence: u32,
    disturbed: bool,
    answers: Vec<RouteNetlinkMessage>,
}

impl Read {
    /// Reads the messages of one datagram; something after the last one of the request.
    fn datagram(&mut self, datagram: &[u8]) -> Option<io::Result<()>> {
        let mut rest = datagram;
        while let Some(header) = rest.get(..ALIGNMENT).and_then(|octets| octets.try_into().ok()) {
            let length = usize::try_from(u32::from_ne_bytes(header)).unwrap_or(usize::MAX);
            let octets = rest.get(..length.max(ALIGNMENT))?;
            rest = rest
                .get(length.max(ALIGNMENT).next_multiple_of(ALIGNMENT)..)
                .unwrap_or_default();
            // A link of a kind that the library cannot read is one that nobody here asks for.
            let Ok(answer) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(octets) else {
                continue;
            };
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            self.disturbed |= answer.header.flags & NLM_F_DUMP_INTR != 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => self.answers.push(message),
                NetlinkPayload::Done(_) => return Some(Ok(())),
                NetlinkPayload::Error(error) if error.code.is_none() => return Some(Ok(())),
                NetlinkPayload::Error(error) => return Some(Err(error.to_io())),
                _ => {}
            }
        }
        None
    }
}

fn read_link(message: RouteNetlinkMessage, speeds: &BTreeSet<Arc<str>>) -> Option<(u32, Arc<str>, Link)> {
    let RouteNetlinkMessage::NewLink(link) = message else {
        return None;
    };
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(Arc::from(name.as_str())),
        _ => None,
    });
    let name: Arc<str> = name?;
    let up = link.header.flags.contains(LinkFlags::Up | LinkFlags::Running);
    let speed = speeds.contains(&name).then(|| speed(&name)).flatten();
    Some((link.header.index, name, Link { up, speed }))
}

/// Bits per second; the driver's figure is in Mbit/s, and -1 where it knows none.
fn speed(interface: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/speed")).ok()?;
    let megabits: u64 = text.trim().parse().ok()?;
    megabits.checked_mul(1_000_000)
}

fn read_address(message: RouteNetlinkMessage, names: &BTreeMap<u32, Arc<str>>) -> Option<OnLink> {
    let RouteNetlinkMessage::NewAddress(message) = message else {
        return None;
    };
    let mut found: Option<IpAddr> = None;
    let mut ours = false;
    for attribute in &message.attributes {
        match attribute {
            // Of a point-to-point link, `Address` is the far end.
            AddressAttribute::Local(address) => found = Some(*address),
            AddressAttribute::Address(address) => found = found.or(Some(*address)),
            AddressAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
            _ => {}
        }
    }
    Some(OnLink {
        address: found?,
        interface: names.get(&message.header.index).cloned()?,
        ours,
    })
}

fn address_message(address: IpNet, index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    let host = address.addr();
    message.header.family = if host.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    message.header.prefix_len = address.prefix_len();
    message.header.scope = AddressScope::Universe;
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(host),
        AddressAttribute::Address(host),
        AddressAttribute::Protocol(AddressProtocol::from(PROTOCOL)),
    ];
    if host.is_ipv6() {
        // Several nodes have the address on purpose: looking for duplicates would find them.
        message
            .attributes
            .push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

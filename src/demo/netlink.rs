//! Links, addresses and routes of one namespace, asked of the kernel over a socket opened in it.
//!
//! One request at a time, answered before the next: a lab of a dozen links needs no batches. The socket stays in
//! the namespace where it was opened, whichever one the process is in later.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, AsRawFd},
};

use ipnet::Ipv4Net;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage, AddressScope},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Padding of one message in a datagram.
const ALIGNMENT: usize = 4;

/// A request that the kernel refused, or an answer that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The socket failed.
    #[error("netlink socket: {0}")]
    Socket(#[source] io::Error),
    /// The kernel said no.
    #[error("cannot {request}: {source}")]
    Refused {
        /// What was asked for.
        request: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The answer is not netlink as this program knows it.
    #[error("cannot {request}: the kernel's answer is not understood")]
    Answer {
        /// What was asked for.
        request: String,
    },
}

/// What a route does with a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target<'a> {
    /// Drop it without a word.
    Blackhole,
    /// The destination is on this link.
    Link(&'a str),
    /// To a router.
    Via(Ipv4Addr),
}

/// A routing socket of one namespace.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket in the namespace that the process is in.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub(super) fn open() -> Result<Self, Error> {
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(Error::Socket)?;
        socket.bind_auto().map_err(Error::Socket)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(Error::Socket)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Makes a bridge and switches it on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn add_bridge(&mut self, name: &str) -> Result<(), Error> {
        let mut link = up(name);
        link.attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.create(&format!("add bridge {name}"), RouteNetlinkMessage::NewLink(link))
    }

    /// Makes a pair of links, this end here and switched on, `far` in another namespace and to be switched on there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn add_veth(&mut self, near: &str, far: &str, far_namespace: impl AsFd) -> Result<(), Error> {
        // A link cannot be switched on before its partner exists.
        let mut far_end = LinkMessage::default();
        far_end.attributes.push(LinkAttribute::IfName(far.to_owned()));
        far_end
            .attributes
            .push(LinkAttribute::NetNsFd(far_namespace.as_fd().as_raw_fd()));
        let mut link = up(near);
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far_end))),
        ]));
        self.create(
            &format!("add veth {near} to {far}"),
            RouteNetlinkMessage::NewLink(link),
        )
    }

    /// Plugs a link into a bridge.
    ///
    /// # Errors
    /// When either does not exist.
    pub(super) fn plug(&mut self, link: &str, bridge: &str) -> Result<(), Error> {
        let controller = self.index(bridge)?;
        let mut message = up(link);
        message.header.index = self.index(link)?;
        message.attributes.push(LinkAttribute::Controller(controller));
        self.request(
            &format!("plug {link} into {bridge}"),
            RouteNetlinkMessage::SetLink(message),
            0,
        )
        .map(drop)
    }

    /// Switches a link on.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(super) fn switch_on(&mut self, link: &str) -> Result<(), Error> {
        let mut message = up(link);
        message.header.index = self.index(link)?;
        self.request(
            &format!("switch {link} on"),
            RouteNetlinkMessage::SetLink(message),
            0,
        )
        .map(drop)
    }

    /// Gives a link an address.
    ///
    /// # Errors
    /// When the link does not exist or has the address.
    pub(super) fn add_address(&mut self, link: &str, address: Ipv4Net) -> Result<(), Error> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = address.prefix_len();
        message.header.index = self.index(link)?;
        let local = address.addr();
        // 169.254.1.1, the gateway of every pod, must not become the source of what the node sends elsewhere.
        message.header.scope = if local.is_link_local() {
            AddressScope::Link
        } else {
            AddressScope::Universe
        };
        message.attributes = vec![
            AddressAttribute::Local(local.into()),
            AddressAttribute::Address(local.into()),
        ];
        self.create(
            &format!("add address {address} to {link}"),
            RouteNetlinkMessage::NewAddress(message),
        )
    }

    /// Puts a route into the main table, as `ip route add` does.
    ///
    /// # Errors
    /// When the kernel has one already or cannot reach the target.
    pub(super) fn add_route(&mut self, prefix: Ipv4Net, target: Target<'_>) -> Result<(), Error> {
        let message = self.route(prefix, target)?;
        self.create(
            &format!("add route {prefix}"),
            RouteNetlinkMessage::NewRoute(message),
        )
    }

    /// Takes a route out of the main table, as `ip route del` does.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn delete_route(&mut self, prefix: Ipv4Net, target: Target<'_>) -> Result<(), Error> {
        let message = self.route(prefix, target)?;
        self.request(
            &format!("delete route {prefix}"),
            RouteNetlinkMessage::DelRoute(message),
            0,
        )
        .map(drop)
    }

    /// The IPv4 routes of the main table, in the kernel's order.
    ///
    /// # Errors
    /// When the dump fails.
    pub(super) fn routes(&mut self) -> Result<Vec<RouteMessage>, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        let message = RouteNetlinkMessage::GetRoute(message);
        let answers = self.request("list routes", message, NLM_F_DUMP)?;
        let routes = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => Some(route),
            _ => None,
        });
        Ok(routes
            .filter(|route| route.header.table == RouteHeader::RT_TABLE_MAIN)
            .collect())
    }

    /// The name of each link by its index.
    ///
    /// # Errors
    /// When the dump fails.
    pub(super) fn link_names(&mut self) -> Result<Vec<(u32, String)>, Error> {
        let message = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answers = self.request("list links", message, NLM_F_DUMP)?;
        Ok(answers.into_iter().filter_map(named_link).collect())
    }

    fn index(&mut self, link: &str) -> Result<u32, Error> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(link.to_owned()));
        let request = format!("find link {link}");
        let answers = self.request(&request, RouteNetlinkMessage::GetLink(message), 0)?;
        let found = answers.into_iter().find_map(named_link);
        found.map(|(index, _)| index).ok_or(Error::Answer { request })
    }

    fn route(&mut self, prefix: Ipv4Net, target: Target<'_>) -> Result<RouteMessage, Error> {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = AddressFamily::Inet;
        header.destination_prefix_length = prefix.prefix_len();
        header.table = RouteHeader::RT_TABLE_MAIN;
        header.protocol = RouteProtocol::Boot;
        header.kind = RouteType::Unicast;
        message
            .attributes
            .push(RouteAttribute::Destination(prefix.network().into()));
        match target {
            Target::Blackhole => message.header.kind = RouteType::BlackHole,
            Target::Via(router) => message
                .attributes
                .push(RouteAttribute::Gateway(IpAddr::V4(router).into())),
            Target::Link(link) => {
                message.header.scope = RouteScope::Link;
                message.attributes.push(RouteAttribute::Oif(self.index(link)?));
            }
        }
        Ok(message)
    }

    fn create(&mut self, request: &str, message: RouteNetlinkMessage) -> Result<(), Error> {
        self.request(request, message, NLM_F_CREATE | NLM_F_EXCL)
            .map(drop)
    }

    /// Sends one request and collects the answers up to its acknowledgement or the end of the dump.
    fn request(
        &mut self,
        request: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        self.sequence += 1;
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
        self.socket.send(&bytes, 0).map_err(Error::Socket)?;

        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full().map_err(Error::Socket)?;
            if self.read_answers(request, &datagram, &mut answers)? {
                return Ok(answers);
            }
        }
    }

    /// Reads the messages of one datagram; true after the last one of the request.
    fn read_answers(
        &self,
        request: &str,
        datagram: &[u8],
        answers: &mut Vec<RouteNetlinkMessage>,
    ) -> Result<bool, Error> {
        let not_understood = || Error::Answer {
            request: request.to_owned(),
        };
        let mut rest = datagram;
        while !rest.is_empty() {
            let answer =
                NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(|_| not_understood())?;
            let length = usize::try_from(answer.header.length).map_err(|_| not_understood())?;
            rest = rest
                .get(length.max(ALIGNMENT).next_multiple_of(ALIGNMENT)..)
                .unwrap_or_default();
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => answers.push(message),
                NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::Error(error) if error.code.is_none() => return Ok(true),
                NetlinkPayload::Error(error) => {
                    return Err(Error::Refused {
                        request: request.to_owned(),
                        source: error.to_io(),
                    });
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

/// A message about a link by its name, to be up.
fn up(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

fn named_link(answer: RouteNetlinkMessage) -> Option<(u32, String)> {
    let RouteNetlinkMessage::NewLink(link) = answer else {
        return None;
    };
    let name = link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    });
    Some((link.header.index, name?))
}

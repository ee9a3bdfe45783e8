//! The kernel's side, on a netlink socket of its own: what it can take at most, and what is in its table.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, bail};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEXTHOP: u16 = 104;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const EXCL: u16 = 0x200;
const CREATE: u16 = 0x400;
const DST: u16 = 1;
const OIF: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const MULTIPATH: u16 = 9;
const TABLE: u16 = 15;
const NH_ID: u16 = 30;
const MAIN: u8 = 254;
const FIB_MATCH: u32 = 0x2000;
/// Requests in one send; the last asks for an acknowledgement.
const BATCH: usize = 256;

/// One route of the main table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub prefix: (u32, u8),
    /// Next hops; 1 where there is no list.
    pub hops: usize,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    Gateway(Ipv4Addr, u32),
    Nexthop(u32),
    Blackhole,
}

/// A socket in the namespace of the thread that opened it.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    pub fn open() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_rx_buf_sz(4 << 20)?;
        socket.set_netlink_get_strict_chk(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(1 << 16),
        })
    }

    /// Adds or removes routes as fast as the kernel takes them; every one must succeed.
    pub fn change(&mut self, add: bool, prefixes: &[(u32, u8)], protocol: u8, via: Via) -> Result<()> {
        let mut out = Vec::new();
        for batch in prefixes.chunks(BATCH) {
            out.clear();
            for (place, &prefix) in batch.iter().enumerate() {
                let ack = if place + 1 == batch.len() { ACK } else { 0 };
                self.sequence += 1;
                encode_route(&mut out, self.sequence, (add, ack), prefix, protocol, via);
            }
            self.socket.send(&out, 0)?;
            self.acknowledged()?;
        }
        Ok(())
    }

    /// A nexthop object: a gateway, or a group of others.
    pub fn add_nexthop(&mut self, id: u32, gateway: Option<(Ipv4Addr, u32)>, group: &[u32]) -> Result<()> {
        let mut out = Vec::new();
        self.sequence += 1;
        begin(
            &mut out,
            RTM_NEWNEXTHOP,
            REQUEST | ACK | CREATE | EXCL,
            self.sequence,
        );
        out.extend([if gateway.is_some() { 2 } else { 0 }, 0, 4, 0, 0, 0, 0, 0]);
        put(&mut out, 1, &id.to_ne_bytes());
        if let Some((gateway, interface)) = gateway {
            put(&mut out, 5, &interface.to_ne_bytes());
            put(&mut out, 6, &gateway.octets());
        } else {
            let members: Vec<u8> = group
                .iter()
                .flat_map(|member| [member.to_ne_bytes(), [0; 4]].concat())
                .collect();
            put(&mut out, 2, &members);
        }
        finish(&mut out, 0);
        self.socket.send(&out, 0)?;
        self.acknowledged()
    }

    /// Whether the main table has exactly this prefix.
    pub fn has(&mut self, (address, length): (u32, u8)) -> Result<Option<Route>> {
        let mut out = Vec::new();
        self.sequence += 1;
        begin(&mut out, RTM_GETROUTE, REQUEST, self.sequence);
        out.extend([2, 32, 0, 0, 0, 0, 0, 0]);
        out.extend(FIB_MATCH.to_ne_bytes());
        put(&mut out, DST, &address.to_be_bytes());
        finish(&mut out, 0);
        self.socket.send(&out, 0)?;
        let mut found = None;
        self.read(|kind, payload| {
            if kind == RTM_NEWROUTE {
                found = parse_route(payload).filter(|route| route.prefix == (address, length));
            }
            true
        })?;
        Ok(found)
    }

    /// Every IPv4 route of the main table.
    pub fn dump(&mut self, mut sink: impl FnMut(Route)) -> Result<()> {
        let mut out = Vec::new();
        self.sequence += 1;
        begin(&mut out, RTM_GETROUTE, REQUEST | DUMP, self.sequence);
        out.extend([2, 0, 0, 0, MAIN, 0, 0, 0, 0, 0, 0, 0]);
        put(&mut out, TABLE, &u32::from(MAIN).to_ne_bytes());
        finish(&mut out, 0);
        self.socket.send(&out, 0)?;
        self.read(|kind, payload| {
            if kind == RTM_NEWROUTE
                && let Some(route) = parse_route(payload)
            {
                sink(route);
            }
            kind == NLMSG_DONE || kind == NLMSG_ERROR
        })
    }

    fn acknowledged(&mut self) -> Result<()> {
        let last = self.sequence;
        loop {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0)?;
            let mut done = false;
            for (kind, sequence, payload) in messages(&self.buffer) {
                if kind != NLMSG_ERROR {
                    continue;
                }
                let errno = word(payload, 0);
                if errno != 0 {
                    let error = std::io::Error::from_raw_os_error(0_i32.wrapping_sub(errno as i32));
                    return Err(error).context("the kernel refuses");
                }
                done |= sequence == last;
            }
            if done {
                return Ok(());
            }
        }
    }

    /// Reads answers until `last` says so.
    fn read(&mut self, mut last: impl FnMut(u16, &[u8]) -> bool) -> Result<()> {
        loop {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0)?;
            for (kind, sequence, payload) in messages(&self.buffer) {
                if sequence == self.sequence && last(kind, payload) {
                    return Ok(());
                }
            }
        }
    }
}

/// The index of an interface.
pub fn interface(name: &str) -> Result<u32> {
    let path = format!("/sys/class/net/{name}/ifindex");
    // /sys shows the namespace of whoever mounted it; the system call shows ours.
    nix_index(name).with_context(|| format!("no interface {name} ({path})"))
}

fn nix_index(name: &str) -> Result<u32> {
    let output = std::process::Command::new("ip")
        .args(["-o", "link", "show", "dev", name])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(index) = text.split(':').next().and_then(|index| index.trim().parse().ok()) else {
        bail!("{}", String::from_utf8_lossy(&output.stderr))
    };
    Ok(index)
}

fn encode_route(
    out: &mut Vec<u8>,
    sequence: u32,
    (add, ack): (bool, u16),
    (address, length): (u32, u8),
    protocol: u8,
    via: Via,
) {
    let (kind, flags) = if add {
        (RTM_NEWROUTE, CREATE | EXCL)
    } else {
        (RTM_DELROUTE, 0)
    };
    let start = out.len();
    begin(out, kind, REQUEST | ack | flags, sequence);
    let scope = if add { 0 } else { 255 };
    let rtn = match via {
        _ if !add => 0,
        Via::Blackhole => 6,
        Via::Gateway(..) | Via::Nexthop(_) => 1,
    };
    out.extend([2, length, 0, 0, MAIN, protocol, scope, rtn, 0, 0, 0, 0]);
    put(out, DST, &address.to_be_bytes());
    put(out, PRIORITY, &200_u32.to_ne_bytes());
    if add {
        match via {
            Via::Gateway(gateway, interface) => {
                put(out, GATEWAY, &gateway.octets());
                put(out, OIF, &interface.to_ne_bytes());
            }
            Via::Nexthop(id) => put(out, NH_ID, &id.to_ne_bytes()),
            Via::Blackhole => {}
        }
    }
    finish(out, start);
}

fn begin(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32) {
    out.extend([0; 4]);
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]);
}

fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend((value.len() as u16 + 4).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn finish(out: &mut [u8], start: usize) {
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four octets"))
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().expect("two octets"))
}

fn messages(mut buffer: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = (buffer.len() >= 16).then(|| word(buffer, 0) as usize)?;
        let message = buffer.get(..length)?;
        buffer = buffer.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((half(message, 4), word(message, 8), &message[16..]))
    })
}

fn parse_route(payload: &[u8]) -> Option<Route> {
    let (length, table) = (payload[1], payload[4]);
    if table != MAIN {
        return None;
    }
    let mut route = Route {
        prefix: (0, length),
        hops: 1,
    };
    let mut rest = &payload[12..];
    while rest.len() >= 4 {
        let (size, kind) = (usize::from(half(rest, 0)), half(rest, 2));
        let value = rest.get(4..size)?;
        match kind {
            DST => route.prefix.0 = u32::from_be_bytes(value.try_into().ok()?),
            MULTIPATH => route.hops = count_hops(value),
            _ => {}
        }
        rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(route)
}

fn count_hops(mut list: &[u8]) -> usize {
    let mut count = 0;
    while list.len() >= 8 {
        count += 1;
        list = list
            .get(usize::from(half(list, 0)).next_multiple_of(4)..)
            .unwrap_or_default();
    }
    count
}

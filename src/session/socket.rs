//! TCP sockets as BGP wants them: keys (RFC 2385), hop limits (RFC 5082), timeouts, marking, binding.
//!
//! The one file of the crate that may use `unsafe`: for socket options that no safe wrapper offers, and to own sockets that
//! another process hands over.

#![expect(
    unsafe_code,
    reason = "TCP_MD5SIG, IP_MINTTL, IPV6_MINHOPCOUNT and SCM_RIGHTS have no safe wrapper"
)]

use std::io::{self, IoSlice, Read};
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use ipnet::IpNet;
use libc::{c_int, socklen_t};
use socket2::{Domain, MaybeUninitSlice, MsgHdr, MsgHdrMut, Protocol, SockAddr, SockRef, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::place::is_link_local;
use super::settings::PeerSettings;
use crate::route::Secret;

/// Connections that the kernel holds for us until they are accepted.
const BACKLOG: c_int = 4096;
/// DSCP CS6, network control, in the place of the traffic class (RFC 4594 §3.2).
const TRAFFIC_CLASS: u32 = 0xc0;
const MAX_HOPS: u8 = 255;

/// What a socket refused.
#[derive(Debug, Error)]
#[error("{what}: {error}")]
pub(super) struct SocketError {
    /// What was asked of it.
    pub(super) what: String,
    /// What the kernel said.
    pub(super) error: io::Error,
}

trait Asked<T> {
    fn asked(self, what: impl FnOnce() -> String) -> Result<T, SocketError>;
}

impl<T, E: Into<io::Error>> Asked<T> for Result<T, E> {
    fn asked(self, what: impl FnOnce() -> String) -> Result<T, SocketError> {
        self.map_err(|error| SocketError {
            what: what(),
            error: error.into(),
        })
    }
}

/// Listens at an address.
///
/// # Errors
///
/// [`SocketError`]: the address is taken or not there, or a privileged port is not ours to use.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, SocketError> {
    let what = || format!("cannot listen at {address}");
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )
    .asked(what)?;
    socket.set_reuse_address(true).asked(what)?;
    match address {
        SocketAddr::V4(_) => socket.set_ttl_v4(MAX_HOPS.into()),
        // One listener for each family: a key for an IPv4 peer has no place on an IPv6 socket.
        SocketAddr::V6(_) => socket
            .set_only_v6(true)
            .and_then(|()| socket.set_unicast_hops_v6(MAX_HOPS.into())),
    }
    .asked(what)?;
    socket.bind(&address.into()).asked(what)?;
    save_syns(&socket).asked(what)?;
    socket.listen(BACKLOG).asked(what)?;
    TcpListener::from_std(socket.into()).asked(what)
}

/// Goes on listening at a socket that a predecessor handed over.
///
/// # Errors
///
/// [`SocketError`]: it is no listening socket.
pub(super) fn inherit(socket: OwnedFd) -> Result<TcpListener, SocketError> {
    let what = || "cannot use the socket that was handed over".into();
    let socket = Socket::from(socket);
    socket.set_nonblocking(true).asked(what)?;
    save_syns(&socket).asked(what)?;
    TcpListener::from_std(socket.into()).asked(what)
}

/// Prepares a socket for connecting to a peer; `connect` on the result does it.
///
/// # Errors
///
/// [`SocketError`]: the interface or source address is not there, or an option is not allowed.
pub(super) fn prepare(settings: &PeerSettings, remote: SocketAddr) -> Result<TcpSocket, SocketError> {
    let socket = Socket::new(
        Domain::for_address(remote),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )
    .asked(|| "cannot open a socket".into())?;
    if let Some(interface) = &settings.interface {
        socket
            .bind_device(Some(interface.as_bytes()))
            .asked(|| format!("cannot bind to interface {interface}"))?;
    }
    if let Some(source) = settings.source_address {
        let scope = scope_id(settings, source)?;
        socket
            .bind(&SockAddr::from(with_scope(source, 0, scope)))
            .asked(|| format!("cannot connect from source_address {source}"))?;
    }
    if let Some(password) = &settings.password {
        set_key(&socket, IpNet::from(remote.ip()), Some(&password.key))?;
    }
    apply(&SockRef::from(&socket), settings, remote)?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// Where to connect to: the address with its port and, for a link-local one, the interface.
///
/// # Errors
///
/// [`SocketError`]: the configured interface is not there.
pub(super) fn destination(settings: &PeerSettings, address: IpAddr) -> Result<SocketAddr, SocketError> {
    Ok(with_scope(address, settings.port, scope_id(settings, address)?))
}

fn scope_id(settings: &PeerSettings, address: IpAddr) -> Result<u32, SocketError> {
    match (address, &settings.interface) {
        (IpAddr::V6(address), Some(interface)) if address.is_unicast_link_local() => {
            nix::net::if_::if_nametoindex(interface.as_ref())
                .asked(|| format!("cannot find interface {interface}"))
        }
        _ => Ok(0),
    }
}

fn with_scope(address: IpAddr, port: u16, scope_id: u32) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::new(address, port),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope_id).into(),
    }
}

/// Whether an accepted connection of a peer with `ttl_security` began near enough, RFC 5082 §3: what came in before
/// [`adopt`] has had no other check, and a whole session fits into it.
///
/// # Errors
///
/// [`SocketError`]: it began too far away.
pub(super) fn came_from_near(stream: &TcpStream, settings: &PeerSettings) -> Result<(), SocketError> {
    let (_, Some(least)) = hops(settings) else {
        return Ok(());
    };
    // Where the kernel saw a flood it keeps no SYN (SYN cookies).
    let Some(hops) = saved_hops(stream) else {
        return Ok(());
    };
    if hops >= least {
        return Ok(());
    }
    Err(io::Error::from(io::ErrorKind::PermissionDenied))
        .asked(|| format!("it began with TTL {hops}, and ttl_security asks for {least}"))
}

/// Has the kernel keep the first packet of each connection for [`came_from_near`].
fn save_syns(listener: &Socket) -> io::Result<()> {
    let on: c_int = 1;
    set_option(listener, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, &on)
}

/// IPv4 and IPv6 headers with all their options, and TCP's.
const SYN_LEN: usize = 512;

/// The TTL or hop limit with which the first packet of an accepted connection came.
fn saved_hops(stream: &TcpStream) -> Option<u8> {
    let mut header = [0_u8; SYN_LEN];
    let mut len = socklen_t::try_from(header.len()).ok()?;
    // SAFETY: the descriptor is open for as long as it is borrowed, and `header` is valid for writes of `len` octets.
    let outcome = unsafe {
        libc::getsockopt(
            stream.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            header.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    let header = header.get(..usize::try_from(len).ok()?)?;
    if outcome != 0 {
        return None;
    }
    match header.first()? >> 4 {
        4 => header.get(8).copied(),
        6 => header.get(7).copied(),
        _ => None,
    }
}

/// Keeps an accepted connection to the peer's interface, as `prepare` does for one of ours: what comes in elsewhere is not for
/// it. The kernel does so for link-local addresses, and the listener has looked at their link.
///
/// # Errors
///
/// [`SocketError`]: the interface is not there.
pub(super) fn stay_on_interface(
    stream: &TcpStream,
    settings: &PeerSettings,
    remote: SocketAddr,
) -> Result<(), SocketError> {
    match &settings.interface {
        Some(interface) if !is_link_local(remote.ip()) => SockRef::from(stream)
            .bind_device(Some(interface.as_bytes()))
            .asked(|| format!("cannot bind to interface {interface}")),
        Some(_) | None => Ok(()),
    }
}

/// Sets the options of an accepted connection, or new ones on an open connection.
///
/// # Errors
///
/// [`SocketError`]: an option is not allowed.
pub(super) fn adopt(
    stream: &TcpStream,
    settings: &PeerSettings,
    remote: SocketAddr,
) -> Result<(), SocketError> {
    apply(&SockRef::from(stream), settings, remote)
}

fn apply(socket: &Socket, settings: &PeerSettings, remote: SocketAddr) -> Result<(), SocketError> {
    socket
        .set_tcp_nodelay(true)
        .asked(|| "cannot set TCP_NODELAY".into())?;
    // Never shorter than the send hold time: a zero window counts as silence too, and the peer may open it in time.
    let timeout = Some(settings.send_hold_time).filter(|time| !time.is_zero());
    socket
        .set_tcp_user_timeout(timeout)
        .asked(|| "cannot set TCP_USER_TIMEOUT".into())?;
    match remote {
        SocketAddr::V4(_) => socket.set_tos_v4(TRAFFIC_CLASS),
        SocketAddr::V6(_) => socket.set_tclass_v6(TRAFFIC_CLASS),
    }
    .asked(|| "cannot set the traffic class".into())?;
    let (sent, least) = hops(settings);
    // Set in any case: the connection may have been opened under other settings.
    let hops = sent.unwrap_or(MAX_HOPS);
    match remote {
        SocketAddr::V4(_) => socket.set_ttl_v4(hops.into()),
        SocketAddr::V6(_) => socket.set_unicast_hops_v6(hops.into()),
    }
    .asked(|| format!("cannot send with TTL {hops}"))?;
    let (level, option) = match remote {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MINTTL),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    let least = c_int::from(least.unwrap_or(0));
    set_option(socket, level, option, &least).asked(|| "cannot set ttl_security".into())
}

/// The TTL to send with, and the least to accept (RFC 5082 §3).
fn hops(settings: &PeerSettings) -> (Option<u8>, Option<u8>) {
    if let Some(away) = settings.ttl_security {
        return (
            Some(MAX_HOPS),
            Some(MAX_HOPS.saturating_sub(away.saturating_sub(1))),
        );
    }
    let external = settings.remote_asn.is_external(settings.local_asn);
    // RFC 4271 §5.1.3 takes an external peer to be directly connected unless multihop says otherwise.
    (settings.multihop.or_else(|| external.then_some(1)), None)
}

/// Reads what the socket holds, whatever tokio believes of its readiness.
///
/// # Errors
///
/// `WouldBlock` when it holds nothing, and whatever ended the connection.
pub(super) fn read_now(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    (&*SockRef::from(stream)).read(buffer)
}

/// Sends without waiting what fits: the farewell to a connection that is not taken.
pub(super) fn send_now(stream: &TcpStream, bytes: &[u8]) {
    // The connection is closed next; whether the peer learns why is its luck.
    SockRef::from(stream).send(bytes).ok();
}

/// Ends our side of a connection; the peer's is still read.
///
/// # Errors
///
/// Whatever the kernel says, mostly that the connection is gone.
pub(super) fn shut(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).shutdown(std::net::Shutdown::Write)
}

/// `struct tcp_md5sig` of Linux; its first field is a `struct sockaddr_storage`, which is aligned as a pointer is.
#[repr(C, align(8))]
struct Md5Signature {
    address: [u8; ADDRESS_LEN],
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    interface: c_int,
    key: [u8; KEY_LEN],
}

/// `sizeof(struct sockaddr_storage)`.
const ADDRESS_LEN: usize = size_of::<libc::sockaddr_storage>();
/// `TCP_MD5SIG_MAXKEYLEN`.
const KEY_LEN: usize = 80;
/// `TCP_MD5SIG_FLAG_PREFIX`: the prefix length counts.
const FLAG_PREFIX: u8 = 1;

/// Sets the key for peers in a network on a listener or a connection, or removes it (RFC 2385).
///
/// # Errors
///
/// [`SocketError`]: the key is longer than 80 octets, or the kernel knows no TCP MD5.
pub(super) fn set_key(socket: &impl AsFd, network: IpNet, key: Option<&Secret>) -> Result<(), SocketError> {
    let what = || format!("cannot set the TCP MD5 key for {network}");
    let octets = key.map(Secret::expose).unwrap_or_default();
    let mut signature = Md5Signature {
        address: socket_address(network.network()),
        flags: 0,
        prefix_len: 0,
        key_len: u16::try_from(octets.len()).unwrap_or(u16::MAX),
        interface: 0,
        key: [0; KEY_LEN],
    };
    let Some(place) = signature.key.get_mut(..octets.len()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput)).asked(what);
    };
    place.copy_from_slice(octets);
    let single = network.prefix_len() == network.max_prefix_len();
    let option = if single {
        libc::TCP_MD5SIG
    } else {
        signature.flags = FLAG_PREFIX;
        signature.prefix_len = network.prefix_len();
        libc::TCP_MD5SIG_EXT
    };
    match set_option(socket, libc::IPPROTO_TCP, option, &signature) {
        // Removing what is not there.
        Err(error) if key.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.asked(what),
    }
}

/// `struct sockaddr_in` or `struct sockaddr_in6` with neither port, flow nor scope.
fn socket_address(address: IpAddr) -> [u8; ADDRESS_LEN] {
    let (family, start, octets) = match address {
        IpAddr::V4(address) => (libc::AF_INET, 4, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, 8, address.octets().to_vec()),
    };
    let family = u16::try_from(family).unwrap_or_default().to_ne_bytes();
    let mut bytes = [0; ADDRESS_LEN];
    let fields = family
        .into_iter()
        .chain(std::iter::repeat_n(0, start - family.len()))
        .chain(octets);
    for (place, octet) in bytes.iter_mut().zip(fields) {
        *place = octet;
    }
    bytes
}

/// `struct cmsghdr` of 64-bit Linux: length, level, type; on 32 bits the length is shorter.
const CONTROL_HEADER: usize = size_of::<usize>() + 2 * size_of::<c_int>();
/// `SCM_MAX_FD`: more descriptors do not fit one message.
const MOST_DESCRIPTORS: usize = 253;

/// Sends octets over a Unix socket with descriptors attached (`SCM_RIGHTS`); how many octets went out.
///
/// # Errors
///
/// Whatever the kernel says.
pub(super) fn send_descriptors(
    stream: impl AsFd,
    octets: &[u8],
    sockets: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut control = Vec::new();
    if !sockets.is_empty() {
        control.extend((CONTROL_HEADER + size_of_val(sockets)).to_ne_bytes());
        control.extend(libc::SOL_SOCKET.to_ne_bytes());
        control.extend(libc::SCM_RIGHTS.to_ne_bytes());
        for socket in sockets {
            control.extend(socket.as_raw_fd().to_ne_bytes());
        }
    }
    let buffers = [IoSlice::new(octets)];
    let message = MsgHdr::new().with_buffers(&buffers).with_control(&control);
    SockRef::from(&stream).sendmsg(&message, libc::MSG_NOSIGNAL)
}

/// Reads octets from a Unix socket, and the descriptors that came with them; none mean its end.
///
/// # Errors
///
/// Whatever the kernel says.
pub(super) fn receive_descriptors(
    stream: impl AsFd,
    buffer: &mut [u8],
    sockets: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control = [MaybeUninit::new(0); CONTROL_HEADER + MOST_DESCRIPTORS * size_of::<RawFd>()];
    let mut octets: Vec<MaybeUninit<u8>> = vec![MaybeUninit::new(0); buffer.len()];
    let mut slices = [MaybeUninitSlice::new(&mut octets)];
    let mut message = MsgHdrMut::new()
        .with_buffers(&mut slices)
        .with_control(&mut control);
    let count = SockRef::from(&stream).recvmsg(&mut message, libc::MSG_CMSG_CLOEXEC)?;
    let control_len = message.control_len();
    for (place, octet) in buffer.iter_mut().zip(&octets).take(count) {
        // SAFETY: every octet was initialised above.
        *place = unsafe { octet.assume_init() };
    }
    // SAFETY: every octet was initialised above.
    let control: Vec<u8> = control
        .iter()
        .map(|octet| unsafe { octet.assume_init() })
        .collect();
    for descriptor in descriptors(control.get(..control_len).unwrap_or_default()) {
        // SAFETY: the kernel has just made the descriptor for us, and nobody else in this process knows of it.
        sockets.push(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
    Ok(count)
}

/// The descriptors of a control message; the reader has room for one only. What follows its length is padding.
fn descriptors(control: &[u8]) -> Vec<RawFd> {
    let Some((header, _)) = control.split_at_checked(CONTROL_HEADER) else {
        return Vec::new();
    };
    let kind = [libc::SOL_SOCKET.to_ne_bytes(), libc::SCM_RIGHTS.to_ne_bytes()].concat();
    let len = header.first_chunk().map_or(0, |len| usize::from_ne_bytes(*len));
    let Some(numbers) = control
        .get(CONTROL_HEADER..len)
        .filter(|_| header.ends_with(&kind))
    else {
        return Vec::new();
    };
    let (numbers, _) = numbers.as_chunks();
    numbers
        .iter()
        .map(|number| RawFd::from_ne_bytes(*number))
        .collect()
}

fn set_option<T>(socket: &impl AsFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let len = socklen_t::try_from(size_of::<T>()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open for as long as it is borrowed, and `value` is valid for reads of `len` octets.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            len,
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests;

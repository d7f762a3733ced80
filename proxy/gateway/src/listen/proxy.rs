//! The PROXY protocol: who is at the other end of a load balancer that hands bytes on, as the first bytes of each connection
//! say it (`proxy-protocol.txt` of `HAProxy`, versions 1 and 2).

mod text;
mod tlv;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use pingora::protocols::{GetSocketDigest as _, SocketDigest, UniqueID as _, l4::stream::Stream};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

/// Whom a header speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// A client with this address.
    Client(SocketAddr),
    /// Nobody else: the connection is the balancer's own, or it does not know whose.
    Nobody,
}

/// Why a connection has no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// The bytes are no header.
    #[error("no valid header of the PROXY protocol: {0}")]
    Invalid(&'static str),
    /// It was not there in time.
    #[error("no header of the PROXY protocol in time")]
    Late,
    /// The connection failed or ended before.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a connection's header. From then on, a client that it names is the connection's peer to everybody who asks.
pub(super) async fn receive(stream: &mut Stream) -> Result<Behind, Unread> {
    let read = timeout(PATIENCE, read(stream)).await;
    let (behind, rest) = read.map_err(|_| Unread::Late)??;
    stream.rewind(&rest);
    if let Behind::Client(address) = behind {
        let digest = SocketDigest::from_raw_fd(stream.id());
        // It is new, so nothing is set yet.
        let _ = digest.peer_addr.set(Some(address.into()));
        stream.set_socket_digest(digest);
    }
    Ok(behind)
}

/// What a header at the beginning of these bytes says: its client, if it names one, and its length.
pub(crate) fn check_proxy_header(
    bytes: &[u8],
) -> Result<Option<(Option<SocketAddr>, usize)>, &'static str> {
    let header = parse(bytes)?;
    Ok(header.map(|(behind, length)| match behind {
        Behind::Client(address) => (Some(address), length),
        Behind::Nobody => (None, length),
    }))
}

/// The header, and what came with it.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<(Behind, Vec<u8>), Unread> {
    let mut seen = Vec::with_capacity(256);
    loop {
        if let Some((behind, length)) = parse(&seen).map_err(Unread::Invalid)? {
            return Ok((behind, seen.split_off(length)));
        }
        // A header that is not whole by then is refused by `parse`.
        let room = LONGEST.saturating_sub(seen.len());
        let limit = u64::try_from(room).unwrap_or_default();
        if (&mut *stream).take(limit).read_buf(&mut seen).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Whom the header names and how long it is; `None` where more must come first.
fn parse(bytes: &[u8]) -> Result<Option<(Behind, usize)>, &'static str> {
    if bytes.starts_with(SIGNATURE) {
        return binary(bytes);
    }
    if bytes.starts_with(text::START) {
        return text::parse(bytes);
    }
    if SIGNATURE.starts_with(bytes) || text::START.starts_with(bytes) {
        return Ok(None);
    }
    Err("it begins otherwise")
}

/// Version 2, section 2.2.
fn binary(bytes: &[u8]) -> Result<Option<(Behind, usize)>, &'static str> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(None);
    };
    let [.., command, kind, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 {
        return Err("the version is unknown");
    }
    if length > LONGEST - FIXED {
        return Err("it is too long");
    }
    let Some(block) = rest.get(..length) else {
        return Ok(None);
    };
    let behind = match command & 0x0f {
        // What stands in the block is to be ignored.
        0 => Behind::Nobody,
        1 => {
            let (behind, values) = addresses(kind, block)?;
            let whole = bytes.get(..FIXED + length).unwrap_or_default();
            tlv::check(values, whole)?;
            behind
        }
        _ => return Err("the command is unknown"),
    };
    Ok(Some((behind, FIXED + length)))
}

/// The source in an address block, and what follows the addresses.
fn addresses(kind: u8, block: &[u8]) -> Result<(Behind, &[u8]), &'static str> {
    const SHORT: &str = "the addresses are cut off";
    match kind {
        UNKNOWN => Ok((Behind::Nobody, block)),
        TCP4 => {
            let (ends, rest) = block.split_first_chunk::<12>().ok_or(SHORT)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *ends;
            Ok((client(Ipv4Addr::new(a, b, c, d), [high, low]), rest))
        }
        TCP6 => {
            let (ends, rest) = block.split_first_chunk::<36>().ok_or(SHORT)?;
            let (source, ports) = ends.split_first_chunk::<16>().ok_or(SHORT)?;
            let port = ports.get(16..18).and_then(|port| port.try_into().ok());
            let port = port.ok_or(SHORT)?;
            Ok((client(Ipv6Addr::from(*source), port), rest))
        }
        UNIX => {
            let (_, rest) = block.split_first_chunk::<216>().ok_or(SHORT)?;
            Ok((Behind::Nobody, rest))
        }
        _ => Err("the connection it speaks of is no TCP"),
    }
}

fn client(address: impl Into<IpAddr>, port: [u8; 2]) -> Behind {
    Behind::Client(SocketAddr::new(address.into(), u16::from_be_bytes(port)))
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
const UNKNOWN: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;
/// Balancers send names, identifiers and perhaps a certificate's subject.
const LONGEST: usize = FIXED + 4096;
/// Balancers send it at once.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;

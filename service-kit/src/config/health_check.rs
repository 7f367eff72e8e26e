//! The client side of `/health`, so that a container needs no curl.

use std::io::{Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::CommonConfig;

/// Bound on connecting and on each read and write.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the service with these settings answers `/health` with 200.
pub(super) fn is_alive(config: &CommonConfig) -> bool {
    ask(target(config)).is_ok_and(|head| head.starts_with("HTTP/1.1 200"))
}

/// Where that service listens: with port 0 only its address file can tell.
fn target(config: &CommonConfig) -> SocketAddr {
    let told = config.addr_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    let mut addr = told.and_then(|text| text.trim().parse().ok()).unwrap_or(config.http_addr);
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    addr
}

fn ask(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // In one write: the pieces of a formatted one would be packets of their own.
    stream.write_all(format!("GET /health HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
mod tests;

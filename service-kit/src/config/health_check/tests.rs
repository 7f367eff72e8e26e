use std::net::TcpListener;
use std::thread;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: CommonConfig,
}

fn config(args: &[&str]) -> CommonConfig {
    Args::parse_from([&["service"], args].concat()).common
}

/// A server that answers one request with this head; gives its address.
fn answering(head: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        assert!(request[..length].starts_with(b"GET /health HTTP/1.1\r\nHost: "));
        stream.write_all(head.as_bytes()).unwrap();
    });
    addr
}

#[test]
fn only_a_200_is_alive() {
    for (head, alive) in [
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
        ("HTTP/1.1 2", false),
        ("", false),
    ] {
        let addr = answering(head).to_string();
        assert_eq!(is_alive(&config(&["--http-addr", &addr])), alive, "{head:?}");
    }
}

#[test]
fn nobody_listening_is_not_alive() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert!(!is_alive(&config(&["--http-addr", &addr])));
}

#[test]
fn asks_on_loopback_when_listening_everywhere() {
    assert_eq!(target(&config(&["--http-addr", "0.0.0.0:81"])).to_string(), "127.0.0.1:81");
    assert_eq!(target(&config(&["--http-addr", "[::]:81"])).to_string(), "[::1]:81");
}

#[test]
fn finds_a_picked_port_in_the_address_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "127.0.0.1:4711\n").unwrap();
    let path = file.path().to_str().unwrap();
    let told = target(&config(&["--http-addr", "127.0.0.1:0", "--addr-file", path]));
    assert_eq!(told.to_string(), "127.0.0.1:4711");
}

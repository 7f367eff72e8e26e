//! A service of a few routes, on a free port of loopback.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use reqwest::{Client, RequestBuilder};
use service_kit::auth::{Role, Verifier, mint};
use service_kit::config::{CommonConfig, Secret, ServiceConfig, try_load};
use service_kit::routes::Routes;
use service_kit::server::{Server, Serving};
use service_kit::shutdown::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[derive(Parser)]
struct Config {
    #[command(flatten)]
    common: CommonConfig,
}

impl ServiceConfig for Config {
    const DEFAULT_HTTP_ADDR: &'static str = "127.0.0.1:0";

    fn common(&self) -> &CommonConfig {
        &self.common
    }
}

/// The settings that all services share, as these flags give them.
pub(crate) fn config(flags: &[&str]) -> CommonConfig {
    let args = [&["service"], flags].concat();
    try_load::<Config>(args.into_iter().map(OsString::from), |_| None).unwrap().common
}

/// A running service.
pub(crate) struct Service {
    pub(crate) addr: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) serving: Option<Serving>,
    client: Client,
}

impl Service {
    pub(crate) async fn start(routes: Routes<()>) -> Self {
        let shutdown = Shutdown::manual(Duration::from_secs(30));
        Self::start_with(routes, &[], shutdown).await
    }

    pub(crate) async fn start_with(routes: Routes<()>, flags: &[&str], shutdown: Shutdown) -> Self {
        let server = Server::bind(&config(flags)).await.unwrap();
        let addr = server.local_addr();
        let router = routes.into_router((), Arc::new(Verifier::new(&Secret::new(SECRET))));
        let serving = Some(server.start(router, &shutdown));
        Self { addr, shutdown, serving, client: Client::new() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    /// A connection of its own, after sending this.
    pub(crate) async fn raw(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// What comes next on a connection, up to 64 KiB; empty at its end.
pub(crate) async fn next_text(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 1 << 16];
    let length =
        tokio::time::timeout(Duration::from_secs(30), stream.read(&mut buffer)).await.expect("an answer in 30 s").unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

pub(crate) fn token(roles: &[Role]) -> String {
    mint(&Secret::new(SECRET), "me", roles, Duration::from_secs(60)).unwrap()
}

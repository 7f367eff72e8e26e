//! A network between services and a server: cut, stalled, slow.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// How bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Nothing arrives; what was sent does later.
    Stalled,
    /// Each packet takes this long.
    Slow(Duration),
}

/// A TCP proxy.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    refusing: AtomicBool,
    weather: watch::Sender<Weather>,
    connections: Mutex<CancellationToken>,
}

impl Proxy {
    /// Listens on this port for those who want to reach the server at this address.
    pub async fn start(port: u16, server: String) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let shared = Arc::new(Shared {
            refusing: AtomicBool::new(false),
            weather: watch::Sender::new(Weather::Fair),
            connections: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, server, Arc::clone(&shared)));
        Ok(Self { port, shared, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Breaks all connections; new ones are closed at once.
    pub fn cut(&self) {
        self.shared.refusing.store(true, Ordering::SeqCst);
        let mut connections = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *connections).cancel();
    }

    /// Keeps connections open and holds back what is sent, also for whoever has given up waiting for an answer.
    pub fn stall(&self) {
        self.shared.weather.send_replace(Weather::Stalled);
    }

    /// Lets each packet take this long, in both directions.
    pub fn slow(&self, delay: Duration) {
        self.shared.weather.send_replace(Weather::Slow(delay));
    }

    /// Lets everything through again, what was held back first.
    pub fn restore(&self) {
        self.shared.refusing.store(false, Ordering::SeqCst);
        self.shared.weather.send_replace(Weather::Fair);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: String, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if shared.refusing.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(carry(client, server.clone(), Arc::clone(&shared)));
    }
}

/// Both ways, until one side has ended: a server that was killed is heard of at once.
async fn carry(client: TcpStream, server: String, shared: Arc<Shared>) {
    let broken = shared.connections.lock().unwrap_or_else(PoisonError::into_inner).child_token();
    let Ok(server) = TcpStream::connect(&server).await else { return };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let weather = shared.weather.subscribe();
    tokio::select! {
        () = broken.cancelled() => {}
        () = pump(client_read, server_write, weather.clone()) => {}
        () = pump(server_read, client_write, weather) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let Ok(now) = weather.wait_for(|weather| *weather != Weather::Stalled).await.map(|weather| *weather) else { return };
        if let Weather::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

//! A TCP proxy before Postgres that can be cut, at a chosen moment of a chosen statement.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
};
use tokio_util::sync::CancellationToken;

/// Where a connection is cut when a marker comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The statement does not reach the server.
    Statement,
    /// The statement reaches the server; nothing of its answer comes back.
    Answer,
    /// Likewise, and nobody can connect any more until [`Proxy::restore`].
    AnswerForGood,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    refusing: AtomicBool,
    /// Bytes are taken and go nowhere.
    stalled: AtomicBool,
    cuts: AtomicUsize,
    armed: Mutex<Option<(Vec<u8>, Cut)>>,
    connections: Mutex<CancellationToken>,
}

impl Proxy {
    pub(crate) async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            refusing: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            cuts: AtomicUsize::new(0),
            armed: Mutex::new(None),
            connections: Mutex::new(CancellationToken::new()),
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared }
    }

    /// Breaks all connections; new ones are closed at once.
    pub(crate) fn cut(&self) {
        self.shared.refusing.store(true, Ordering::SeqCst);
        self.shared.break_all();
    }

    /// Keeps connections open and delivers nothing, as a network that drops packets.
    pub(crate) fn stall(&self) {
        self.shared.stalled.store(true, Ordering::SeqCst);
    }

    /// Lets everything through again; what was stalled is lost.
    pub(crate) fn restore(&self) {
        if self.shared.stalled.swap(false, Ordering::SeqCst) {
            self.shared.break_all();
        }
        self.shared.refusing.store(false, Ordering::SeqCst);
    }

    /// Cuts the next connection that sends this.
    pub(crate) fn cut_at(&self, marker: &str, cut: Cut) {
        *self.shared.armed.lock().unwrap() = Some((marker.as_bytes().to_vec(), cut));
    }

    /// How often a marker came by.
    pub(crate) fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn break_all(&self) {
        std::mem::take(&mut *self.connections.lock().unwrap()).cancel();
    }

    fn triggered(&self, bytes: &[u8]) -> Option<Cut> {
        let mut armed = self.armed.lock().unwrap();
        let (marker, cut) = armed.as_ref()?;
        let found = bytes.windows(marker.len()).any(|window| window == marker);
        let cut = *cut;
        found.then(|| {
            *armed = None;
            self.cuts.fetch_add(1, Ordering::SeqCst);
            cut
        })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        if shared.refusing.load(Ordering::SeqCst) {
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let server = TcpStream::connect(&shared.server).await.unwrap();
            drop((client.set_nodelay(true), server.set_nodelay(true)));
            let broken = shared.connections.lock().unwrap().child_token();
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            let answers = CancellationToken::new();
            tokio::select! {
                () = broken.cancelled() => {}
                () = requests(client_read, server_write, &shared, &answers) => {}
                () = responses(server_read, client_write, &shared, &answers) => {}
            }
        });
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, unanswered: &CancellationToken) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if shared.stalled.load(Ordering::SeqCst) {
            continue;
        }
        let bytes = &buffer[..length];
        match shared.triggered(bytes) {
            None => {}
            Some(Cut::Statement) => return,
            Some(Cut::Answer) => unanswered.cancel(),
            Some(Cut::AnswerForGood) => {
                shared.refusing.store(true, Ordering::SeqCst);
                unanswered.cancel();
            }
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

async fn responses(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, unanswered: &CancellationToken) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if unanswered.is_cancelled() {
            // The server has answered, so that it has committed; the client never hears of it.
            if shared.refusing.load(Ordering::SeqCst) {
                shared.break_all();
            }
            return;
        }
        if shared.stalled.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

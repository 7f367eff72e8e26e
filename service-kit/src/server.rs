//! The HTTP/1.1 server: binds early, says where, and lets what was begun finish.

mod small_writes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::CommonConfig;
use crate::shutdown::Shutdown;

use small_writes::SmallWrites;

/// The pause after a failed `accept`, which is mostly about file descriptors that others may free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection is still read from after its last answer (nginx: `lingering_close`). Closed with something unread,
/// the kernel would reset it, and a client in the midst of a body that was refused would never see the answer.
const LINGER: Duration = Duration::from_secs(5);

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken, or not ours.
    #[error("HTTP_ADDR: cannot listen on {addr}: {source}")]
    Bind {
        /// The configured address.
        addr: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// `ADDR_FILE` cannot be written.
    #[error("ADDR_FILE: cannot write {path}: {source}")]
    AddrFile {
        /// The configured file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// A bound listener that does not accept yet.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    delay: Duration,
    patience: Patience,
}

/// How long a connection may stand still.
#[derive(Clone, Copy)]
struct Patience {
    /// Without a complete request head.
    idle: Duration,
    /// With something to be sent that the client does not take.
    write: Duration,
}

impl Server {
    /// Binds, logs `listening` with the address, and writes it to `ADDR_FILE` if there is one.
    pub async fn bind(config: &CommonConfig) -> Result<Self, ServerError> {
        let unbound = |source| ServerError::Bind { addr: config.http_addr, source };
        let listener = TcpListener::bind(config.http_addr).await.map_err(unbound)?;
        let addr = listener.local_addr().map_err(unbound)?;
        if let Some(path) = &config.addr_file {
            // By rename, so that whoever waits for the file never reads half an address.
            let partial = path.with_extension("partial");
            std::fs::write(&partial, addr.to_string())
                .and_then(|()| std::fs::rename(&partial, path))
                .map_err(|source| ServerError::AddrFile { path: path.clone(), source })?;
        }
        tracing::info!(http.addr = %addr, "listening");
        let delay = Duration::from_secs(config.shutdown_delay);
        let patience = Patience {
            idle: Duration::from_secs(config.http_idle_timeout),
            write: Duration::from_secs(config.http_write_timeout),
        };
        Ok(Self { listener, addr, delay, patience })
    }

    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until shutdown begins (and `SHUTDOWN_DELAY` has passed).
    pub fn start(self, router: Router, shutdown: &Shutdown) -> Serving {
        let begun = shutdown.token();
        let stop = CancellationToken::new();
        let accepting = stop.clone();
        let delay = self.delay;
        tokio::spawn(async move {
            begun.cancelled().await;
            tokio::time::sleep(delay).await;
            stop.cancel();
        });
        Serving(tokio::spawn(accept(self.listener, self.patience, router, accepting)))
    }
}

/// A running server.
pub struct Serving(JoinHandle<()>);

impl Serving {
    /// Waits until no connection is accepted any more and all requests are answered.
    pub async fn finished(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the server's accept loop failed");
        }
    }
}

fn connection_builder(idle: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(idle);
    builder
}

async fn accept(listener: TcpListener, patience: Patience, router: Router, stop: CancellationToken) {
    let builder = connection_builder(patience.idle);
    let connections = TaskTracker::new();
    let open = metrics::gauge!("orderflow_http_connections");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let (builder, router) = (builder.clone(), router.clone());
                let (stop, open) = (stop.clone(), open.clone());
                connections.spawn(async move {
                    open.increment(1);
                    serve_connection(stream, &builder, patience.write, router, stop).await;
                    open.decrement(1);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve_connection(
    stream: TcpStream,
    builder: &http1::Builder,
    write_timeout: Duration,
    router: Router,
    stop: CancellationToken,
) {
    // Answers are written whole; waiting for more to send would only add to their latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_timeout));
    let mut stream = SmallWrites(Box::pin(stream));
    let ended = {
        let service = TowerToHyperService::new(router);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(&mut stream), service));
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Err(error) = ended {
        if is_stalled(&error) {
            metrics::counter!("orderflow_http_stalled_connections_total").increment(1);
        }
        // The peer went away or spoke something else: its affair, unless one is looking for it.
        tracing::debug!(%error, "connection ended");
        return;
    }
    let mut nowhere = tokio::io::sink();
    tokio::select! {
        _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut stream, &mut nowhere)) => {}
        () = stop.cancelled() => {}
    }
}

/// Whether the connection ended because the client took nothing for too long.
fn is_stalled(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut)
}

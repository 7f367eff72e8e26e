//! What people would use instead, each as small as its tutorial has it. A peer is this program again, as a process of its
//! own: it reads the same variables as the services, listens on `HTTP_ADDR` and writes its address to `ADDR_FILE`.

mod one_tx;
mod outbox;
mod reading;

use axum::Router;
use clap::ValueEnum;
use tokio::net::TcpListener;

pub(crate) use outbox::TOPIC as OUTBOX_TOPIC;
pub(crate) use reading::{ANSWER as HELLO_ANSWER, key as redis_key};

/// The peers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Peer {
    /// Axum answering a constant.
    Hello,
    /// Axum and one Redis GET a request.
    RedisGet,
    /// Axum and one SELECT a request.
    Postgres,
    /// An outbox table that is polled.
    PollingOutbox,
    /// Orders, one transaction a request.
    OneTx,
}

/// Runs a peer until it is killed.
pub(crate) fn run(peer: Peer) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match peer {
            Peer::Hello => serve(reading::hello()?).await,
            Peer::RedisGet => serve(reading::redis_get().await?).await,
            Peer::Postgres => serve(reading::postgres().await?).await,
            Peer::PollingOutbox => serve(outbox::router().await?).await,
            Peer::OneTx => serve(one_tx::router().await?).await,
        }
    })
}

/// Serves as the services do, where the environment says.
async fn serve(router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(std::env::var("HTTP_ADDR")?).await?;
    if let Ok(file) = std::env::var("ADDR_FILE") {
        std::fs::write(file, listener.local_addr()?.to_string())?;
    }
    Ok(axum::serve(listener, router).await?)
}

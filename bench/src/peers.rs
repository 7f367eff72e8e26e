//! What people would use instead, each as small as its tutorial has it. A peer is this program again, as a process of its
//! own: it reads the same variables as the services, listens on `HTTP_ADDR` and writes its address to `ADDR_FILE`.

mod one_tx;

use axum::Router;
use clap::ValueEnum;
use tokio::net::TcpListener;

/// The peers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Peer {
    /// Axum answering a constant.
    Hello,
    /// Orders, one transaction a request.
    OneTx,
}

/// Runs a peer until it is killed.
pub(crate) fn run(peer: Peer) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match peer {
            Peer::Hello => serve(Router::new()).await,
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

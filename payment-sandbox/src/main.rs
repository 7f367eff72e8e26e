//! Wires the payment sandbox.

use std::{process::ExitCode, sync::Arc};

use payment_sandbox::{application::desk::Desk, config::Config, inbound::http, outbound::book_file::BookFile};
use service_kit::{auth::Verifier, config, exit, health::Health, server::Server, shutdown::Shutdown, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(serve().await)
}

async fn serve() -> anyhow::Result<ExitCode> {
    let config = config::load::<Config>();
    let metrics = telemetry::init(&config.common)?;
    payment_sandbox::metrics::describe();
    let verifier = Arc::new(Verifier::new(&config.common.jwt_secret()?));
    let shutdown = Shutdown::on_signals(config.common.shutdown_timeout())?;
    let desk = match &config.book_file {
        Some(path) => {
            let (file, entries) = BookFile::open(path)?;
            Desk::with_file(config.chances(), file, entries)
        }
        None => Desk::new(config.chances()),
    };
    let server = Server::bind(&config.common).await?;
    let health = Health::new(shutdown.token());
    let api = http::Api::new(desk, config.sandbox_key.clone(), config.slow(), shutdown.token());
    let router = http::routes().operations(&health, &metrics).into_router(api, verifier);
    let serving = server.start(router, &shutdown);

    let mut drain = shutdown.begun().await;
    drain.step("http", serving.finished()).await;
    Ok(drain.finish())
}

//! The command service: parses its settings and wires its parts.

use std::{process::ExitCode, sync::Arc};

use command_service::{
    config::Config,
    inbound::http,
    service::{self, Service},
};
use mimalloc::MiMalloc;
use service_kit::{
    auth::Verifier, config, exit, health::Health, registry::Registration, server::Server, shutdown::Shutdown, telemetry,
};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(serve().await)
}

async fn serve() -> anyhow::Result<ExitCode> {
    let _failpoints = fail::FailScenario::setup();
    let config = config::load::<Config>();
    let metrics = telemetry::init(&config.common)?;
    command_service::metrics::describe();
    let shutdown = Shutdown::on_signals(config.common.shutdown_timeout())?;
    let Some(stores) = shutdown.unless_begun(service::open(&config)).await else {
        return Ok(shutdown.begun().await.finish());
    };
    let stores = stores?;
    let health = service::check_stores(Health::new(shutdown.token()), &config, &stores)?;
    let service = Service::start(&config, stores, &health, shutdown.token())?;

    let server = Server::bind(&config.common).await?;
    let verifier = Arc::new(Verifier::new(&config.common.jwt_secret()?));
    let routes = http::routes().operations(&health, &metrics).documented(&http::ABOUT);
    let router = routes.into_router(Arc::clone(&service.commands), verifier);
    let contexts = config.command_contexts.iter().map(|context| context.name().to_owned()).collect();
    let instance = config.registry.instance("command-service", env!("CARGO_PKG_VERSION"), contexts, server.local_addr());
    let serving = server.start(router, &shutdown);
    let registration = Registration::start(config.registry.open(None)?, instance, &health, shutdown.token());

    let mut drain = shutdown.begun().await;
    drain.step("registry", registration.finished()).await;
    drain.step("http", serving.finished()).await;
    drain.step("writers and relays", service.finish()).await;
    Ok(drain.finish())
}

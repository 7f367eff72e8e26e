//! Wires the query service.

use std::{process::ExitCode, sync::Arc};

use query_service::{application::services::Services, config::Config, inbound::http, outbound::redis::Link};
use service_kit::{
    auth::Verifier, config, exit, health::Health, registry::Registration, server::Server, shutdown::Shutdown, telemetry,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(serve().await)
}

async fn serve() -> anyhow::Result<ExitCode> {
    let config = config::load::<Config>();
    let metrics = telemetry::init(&config.common)?;
    query_service::metrics::describe();
    let verifier = Arc::new(Verifier::new(&config.common.jwt_secret()?));
    let shutdown = Shutdown::on_signals(config.common.shutdown_timeout())?;
    let server = Server::bind(&config.common).await?;

    let link = Link::start(config.redis(), shutdown.token());
    let probe = link.clone();
    let health = Health::new(shutdown.token()).check("redis", move || {
        let link = probe.clone();
        async move { link.check().await.map_err(|error| error.to_string()) }
    });
    let registry = config.registry.open(Some(config.own_redis()))?;
    let instance = config.registry.instance("query-service", env!("CARGO_PKG_VERSION"), Vec::new(), server.local_addr());
    let api = http::Api::new(link, config.live(), Services::new(Arc::clone(&registry))?);
    let router = http::routes().operations(&health, &metrics).documented(&http::ABOUT).into_router(api, verifier);
    let serving = server.start(router, &shutdown);
    let registration = Registration::start(registry, instance, &health, shutdown.token());

    let mut drain = shutdown.begun().await;
    drain.step("registry", registration.finished()).await;
    drain.step("http", serving.finished()).await;
    Ok(drain.finish())
}

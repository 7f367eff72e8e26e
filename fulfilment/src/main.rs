//! Wires fulfilment.

use std::{process::ExitCode, sync::Arc};

use fulfilment::{
    application::{executor::Executor, taking::Taker, timers},
    config::Config,
    inbound::{
        events::Orders,
        http::{self, Api},
    },
    outbound::{command_service::CommandService, postgres::Store, provider::HttpProvider},
};
use service_kit::{
    auth::Verifier, breaker, config, exit, health::Health, instances::Instances, registry::Registration, server::Server,
    shutdown::Shutdown, telemetry,
};
use tokio::sync::Notify;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What command services are registered as.
const COMMANDS: &str = "command-service";

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(serve().await)
}

async fn serve() -> anyhow::Result<ExitCode> {
    let config = config::load::<Config>();
    let metrics = telemetry::init(&config.common)?;
    fulfilment::metrics::describe();
    let secret = config.common.jwt_secret()?;
    let shutdown = Shutdown::on_signals(config.common.shutdown_timeout())?;
    let opening = Store::open(config.database_url.expose(), config.patience());
    let Some(store) = shutdown.unless_begun(opening).await else { return Ok(shutdown.begun().await.finish()) };
    let store = store?;
    let registry = config.registry.open(None)?;
    let instances = Instances::new(COMMANDS, registry.watch(COMMANDS), breaker::Settings::default());
    let commands = Arc::new(CommandService::new(instances, secret.clone())?);
    let provider = HttpProvider::new(config.provider.settings()?)?;

    let server = Server::bind(&config.common).await?;
    let due = Arc::new(Notify::new());
    let status = consumer::Status::default();
    let health = checks(Health::new(shutdown.token()), &store, &status);
    let api = Api { store: store.clone(), due: Arc::clone(&due) };
    let verifier = Arc::new(Verifier::new(&secret));
    let instance = config.registry.instance("fulfilment", env!("CARGO_PKG_VERSION"), Vec::new(), server.local_addr());
    let serving = server.start(http::routes().operations(&health, &metrics).into_router(api, verifier), &shutdown);

    let registration = Registration::start(registry, instance, &health, shutdown.token());

    let steps = usize::from(config.steps_at_once);
    let taker = Taker::new(Arc::clone(&commands), provider);
    let executor = Executor::new(store.clone(), taker, steps, config.step_timeout(), Arc::clone(&due));
    let executing = tokio::spawn(executor.run(shutdown.token()));
    let timing = tokio::spawn(timers::run(store.clone(), Arc::clone(&due), shutdown.token()));
    tokio::spawn(timers::gauge(store.clone(), shutdown.token()));
    let orders = Arc::new(Orders::new(store, commands, config.orders_since, due));
    let failing = shutdown.clone();
    let reading = async move {
        if let Err(error) = consumer::run(config.consumer(), orders, failing.token(), status).await {
            failing.fail("kafka", error);
        }
    };
    let reading = tokio::spawn(reading);

    let mut drain = shutdown.begun().await;
    drain.step("registry", registration.finished()).await;
    drain.step("events", reading).await;
    drain.step("timers", timing).await;
    drain.step("steps", executing).await;
    drain.step("http", serving.finished()).await;
    Ok(drain.finish())
}

fn checks(health: Health, store: &Store, status: &consumer::Status) -> Health {
    let (store, status) = (store.clone(), status.clone());
    health
        .check("postgres", move || {
            let store = store.clone();
            async move { store.ping().await.map_err(|error| error.to_string()) }
        })
        .check("partitions", move || std::future::ready(status.check()))
}

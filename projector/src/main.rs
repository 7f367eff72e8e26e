//! Wires the projector.

use std::{collections::HashMap, process::ExitCode, sync::Arc, time::Duration};

use events::{Context, topics};
use projector::{
    application::{
        audit::{Auditor, brake::Brake},
        conductor::Conductor,
        filling::Fillings,
        generations::{self, Feeds, Shape},
        journey::Journeys,
        operating::Operating,
        rebuilding::Rebuilding,
        shapes::Shapes,
        status::Partitions,
        verify::Verification,
        worker::Shared,
    },
    config::Config,
    inbound::{
        group::{Group, GroupSettings},
        http,
        inspect::{self, Inspecting},
        topics::{Cluster, Topics},
    },
    outbound::{command_service::CommandService, dead_letters::DeadLetters, notifier::Notifier, redis::RedisStore},
    projections,
};
use read_model::Generation;
use service_kit::{
    auth::Verifier,
    breaker, config, exit,
    health::{Health, StateCheck},
    instances::Instances,
    registry::{OwnRedis, Registration, ServiceRegistry},
    server::Server,
    shutdown::Shutdown,
    telemetry,
};
use tokio::sync::Semaphore;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Chunks that are worked on at a time: enough that both cores and Redis are busy, and few enough that their buffers, some
/// megabytes each, do not add up over the partitions.
const TURNS: usize = 4;

/// The same for generations that are built or kept: they take what is left.
const TURNS_ASIDE: usize = 1;

/// Whom journeys ask for receipts, as the registry has it.
const NOTIFIER: &str = "notifier";

/// The pause between two looks for what is missing at the start.
const RETRY: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(serve().await)
}

async fn serve() -> anyhow::Result<ExitCode> {
    let config = config::load::<Config>();
    let _failpoints = fail::FailScenario::setup();
    let metrics = telemetry::init(&config.common)?;
    projector::metrics::describe();
    let secret = config.common.jwt_secret()?;
    let shutdown = Shutdown::on_signals(config.common.shutdown_timeout())?;
    let server = Server::bind(&config.common).await?;

    let topics = Arc::new(Topics::new(&config.kafka_brokers, &config.topic_prefix)?);
    let store = Arc::new(RedisStore::new(config.redis_url.expose(), &config.redis_prefix, config.log_changes)?);
    let commands = Arc::new(CommandService::new(config.command_services(), secret.clone())?);
    let partitions = Partitions::default();

    let health = checks(Health::new(shutdown.token()), &topics, &store, &commands, &partitions);
    let generations = health.state("generations");
    let verifier = Arc::new(Verifier::new(&secret));
    let rebuilding = Rebuilding::new(Arc::clone(&store));
    let registry = config.registry.open(Some(OwnRedis { url: config.redis_url.expose(), prefix: &config.redis_prefix }))?;
    let notifiers = Instances::new(NOTIFIER, registry.watch(NOTIFIER), breaker::Settings::default());
    let inspecting = inspecting(&config, &store, &commands, Notifier::new(notifiers, secret)?);
    let api = http::Api { operating: Operating::new(store.clone(), commands.clone()), rebuilding: rebuilding.clone() };
    let router = http::routes().merge(inspect::routes(inspecting)).operations(&health, &metrics).into_router(api, verifier);
    let registration = register(&config, registry, &server, &health, &shutdown);
    let serving = server.start(router, &shutdown);

    let working = async {
        let (cluster, feeds) = prepare(&config, &topics, &store, &generations).await;
        let shapes = shapes(&cluster);
        rebuilding.begin(shapes.clone());
        tokio::spawn(topics.watch(shapes.clone(), shutdown.token()));
        let conductor = Conductor {
            store: Arc::clone(&store),
            shapes: shapes.clone(),
            partitions: partitions.clone(),
            keep: config.keep_previous(),
        };
        tokio::spawn(conductor.run(shutdown.token()));
        let letters = DeadLetters::new(&config.kafka_brokers, topics::dead_letters(&config.topic_prefix))?;
        if let Some(settings) = config.audit() {
            let auditor = Auditor::new(Arc::clone(&store), Arc::clone(&commands), partitions.clone(), shapes.clone(), settings);
            tokio::spawn(auditor.run(shutdown.token()));
        }
        let shared = Shared {
            store,
            fillings: Fillings::new(Arc::clone(&commands)),
            commands,
            letters,
            cluster: cluster.id,
            group: config.group_id.as_str().into(),
            limits: config.limits(),
            turns: Arc::new(Semaphore::new(TURNS)),
            turns_aside: Arc::new(Semaphore::new(TURNS_ASIDE)),
            run: Uuid::new_v4(),
            brake: Brake::default(),
            alone: Arc::default(),
        };
        Group::join(group_settings(&config, shapes), Arc::new(shared), partitions, feeds)
    };
    let joined = shutdown.unless_begun(working).await.transpose()?;
    let group = joined.map(|group| {
        let shutdown = shutdown.clone();
        tokio::spawn(async move { group.run(&shutdown).await })
    });

    let mut drain = shutdown.begun().await;
    drain.step("registry", registration.finished()).await;
    if let Some(group) = group {
        drain.step("workers", group).await;
    }
    drain.step("http", serving.finished()).await;
    Ok(drain.finish())
}

/// Makes it known to others.
fn register(
    config: &Config,
    registry: Arc<dyn ServiceRegistry>,
    server: &Server,
    health: &Health,
    shutdown: &Shutdown,
) -> Registration {
    let contexts = Context::ALL.map(|context| context.name().to_owned()).to_vec();
    let instance = config.registry.instance("projector", env!("CARGO_PKG_VERSION"), contexts, server.local_addr());
    Registration::start(registry, instance, health, shutdown.token())
}

/// How it shares partitions with others.
fn group_settings(config: &Config, shapes: Shapes) -> GroupSettings {
    GroupSettings {
        brokers: config.kafka_brokers.clone(),
        group_id: config.group_id.clone(),
        instance_id: config.group_instance_id.clone(),
        session_timeout: config.session_timeout(),
        contexts: Context::ALL.map(|context| (context, topics::events(&config.topic_prefix, context))).to_vec(),
        shapes,
    }
}

/// What the read models of this process have to be.
fn shapes(cluster: &Cluster) -> Shapes {
    Shapes::new(cluster.partitions.iter().map(|(context, partitions)| (*context, shape(*context, *partitions))).collect())
}

/// What a read model of this process has to be.
fn shape(context: Context, partitions: u32) -> Shape {
    Shape { partitions, projection: projections::version(context) }
}

fn inspecting(config: &Config, store: &Arc<RedisStore>, commands: &Arc<CommandService>, notifier: Notifier) -> Inspecting {
    let (brokers, topics) = (&config.kafka_brokers, &config.topic_prefix);
    Inspecting {
        journeys: Journeys::new(Arc::clone(commands), notifier, Arc::clone(store), brokers, topics),
        verification: Verification::new(Arc::clone(commands), Arc::clone(store), brokers, topics),
    }
}

fn checks(
    health: Health,
    topics: &Arc<Topics>,
    store: &Arc<RedisStore>,
    commands: &Arc<CommandService>,
    partitions: &Partitions,
) -> Health {
    let (topics, store, commands, partitions) = (topics.clone(), store.clone(), commands.clone(), partitions.clone());
    health
        .check("kafka", move || {
            let topics = Arc::clone(&topics);
            async move {
                let asked = tokio::task::spawn_blocking(move || topics.ping().map_err(|error| error.to_string()));
                asked.await.unwrap_or_else(|error| Err(error.to_string()))
            }
        })
        .check("redis", move || {
            let store = Arc::clone(&store);
            async move { store.ping().await.map_err(|error| error.to_string()) }
        })
        .check("command-service", move || {
            let commands = Arc::clone(&commands);
            async move { commands.ping().await.map_err(|error| error.to_string()) }
        })
        .check("partitions", move || std::future::ready(partitions.check()))
}

/// Waits until Kafka has the topics and Redis the generations, and says what is missing; finds out what to feed. A read
/// model that was built otherwise than this process builds it is left alone, and built anew beside it.
async fn prepare(
    config: &Config,
    topics: &Arc<Topics>,
    store: &RedisStore,
    state: &StateCheck,
) -> (Cluster, HashMap<Context, Feeds>) {
    let cluster = until_ready(state, async || {
        let asking = Arc::clone(topics);
        let cluster = tokio::task::spawn_blocking(move || asking.cluster()).await??;
        topics.create_dead_letters(config.topic_replication).await?;
        Ok(cluster)
    })
    .await;
    let mut found = HashMap::new();
    for (context, partitions) in &cluster.partitions {
        let shape = shape(*context, *partitions);
        let ours = Generation { number: 1, partitions: shape.partitions, projection: shape.projection };
        until_ready(state, async || Ok(store.generation(*context, ours).await?)).await;
        let pointers = until_ready(state, async || Ok(store.pointers().await?)).await;
        let pointers = pointers.get(context).cloned().unwrap_or_default();
        if let Some(outgrown) = generations::outgrown(&pointers, shape) {
            tracing::warn!(%context, outgrown, "the read model is built anew; until then the old one is read");
        }
        found.insert(*context, generations::feeds(&pointers, shape));
    }
    state.set_ok();
    (cluster, found)
}

async fn until_ready<T>(state: &StateCheck, mut attempt: impl AsyncFnMut() -> anyhow::Result<T>) -> T {
    let mut failures = 0_u32;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => {
                failures += 1;
                if failures.is_power_of_two() {
                    tracing::warn!(failures, %error, "can't begin yet");
                }
                state.set_failed(format!("{error:#}"));
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

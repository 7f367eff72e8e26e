//! Wires the notifier.

use std::{process::ExitCode, sync::Arc};

use consumer::Status;
use mimalloc::MiMalloc;
use notifier::{
    application::{
        explaining::Explaining,
        handling::Handling,
        keeper::{Dying, Policy},
        mailboxes::{Mailboxes, Senders},
        sender::Sender,
        webhooks::{Vault, Webhooks},
    },
    config::Config,
    domain::address::Reachable,
    inbound::http::{self, Api},
    outbound::{
        email::EmailSender, http_client::HttpClient, personal_keys::PersonalKeys, postgres::PostgresStore, sms::SmsSender,
        topic_reader::TopicReader, webhook::WebhookSender,
    },
};
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
    notifier::metrics::describe();
    let secret = config.common.jwt_secret()?;
    let shutdown = Shutdown::on_signals(config.common.shutdown_timeout())?;
    let Some(store) = shutdown.unless_begun(PostgresStore::open(config.database_url.expose())).await else {
        return Ok(shutdown.begun().await.finish());
    };
    let store = store?;

    let keys = PersonalKeys::new(&config.command_service_url, secret.clone())?;
    let vault = Vault::new(config.notifier_key()?);
    let client = HttpClient::new(config.reachable(), config.timeout());
    let senders = senders(&config, &store, &keys, &vault, &client)?;
    let (dying, status) = (Dying::default(), Status::default());
    let mailboxes = Mailboxes::new(store.clone(), senders, config.patience(), Policy::default(), dying.clone());
    let mailboxes = Arc::new(mailboxes);

    let health = checks(Health::new(shutdown.token()), &store, &status, &dying);
    let topics = TopicReader { brokers: config.kafka_brokers.clone(), prefix: config.topic_prefix.clone() };
    let api = Api {
        webhooks: Webhooks::new(store.clone(), vault, Arc::clone(&mailboxes)),
        store: store.clone(),
        keys,
        explaining: Explaining::new(store.clone(), topics, config.horizon()),
        client,
        allow_http: config.webhook_allow_http,
    };
    let server = Server::bind(&config.common).await?;
    let router = http::routes().operations(&health, &metrics).into_router(api, Arc::new(Verifier::new(&secret)));
    let instance = config.registry.instance("notifier", env!("CARGO_PKG_VERSION"), Vec::new(), server.local_addr());
    let serving = server.start(router, &shutdown);
    let registration = Registration::start(config.registry.open(None)?, instance, &health, shutdown.token());

    let (keeping, stop) = (Arc::clone(&mailboxes), shutdown.token());
    let sending = tokio::spawn(async move { keeping.run(stop).await });
    let handling = Arc::new(Handling::new(store, mailboxes, config.horizon()));
    let (failing, reading) = (shutdown.clone(), consumer::run(config.consumer(), handling, shutdown.token(), status));
    let reading = tokio::spawn(async move {
        if let Err(error) = reading.await {
            failing.fail("consumer", error);
        }
    });

    let mut drain = shutdown.begun().await;
    drain.step("registry", registration.finished()).await;
    drain.step("consumer", reading).await;
    drain.step("mailboxes", sending).await;
    drain.step("http", serving.finished()).await;
    Ok(drain.finish())
}

fn senders(
    config: &Config,
    store: &PostgresStore,
    keys: &PersonalKeys,
    vault: &Vault,
    client: &HttpClient,
) -> anyhow::Result<Senders> {
    let webhook = Arc::new(WebhookSender::new(store.clone(), vault.clone(), client.clone()));
    let (timeout, shop) = (config.timeout(), config.shop_name.clone());
    let email = match config.smtp_url()? {
        None => None,
        Some(url) => {
            let (server, name) = ((url.expose(), timeout), (config.mail_from.as_str(), shop.clone()));
            Some(Arc::new(EmailSender::new(store.clone(), keys.clone(), server, name)?) as Arc<dyn Sender>)
        }
    };
    let sms = config.sms_url()?.map(|url| {
        let client = HttpClient::new(Reachable::everything(), timeout);
        let token = config.sms_provider_token.clone();
        Arc::new(SmsSender::new(store.clone(), keys.clone(), client, url, token, shop)) as Arc<dyn Sender>
    });
    Ok(Senders { webhook, email, sms })
}

fn checks(health: Health, store: &PostgresStore, status: &Status, dying: &Dying) -> Health {
    let (store, status, dying) = (store.clone(), status.clone(), dying.clone());
    health
        .check("postgres", move || {
            let store = store.clone();
            async move { store.ping().await.map_err(|error| error.to_string()) }
        })
        .check("events", move || std::future::ready(status.check()))
        .check("mailboxes", move || std::future::ready(dying.check()))
}

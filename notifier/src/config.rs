//! Settings.

use std::{path::PathBuf, time::Duration};

use events::DataKey;
use http::Uri;
use ipnet::IpNet;
use service_kit::{
    config::{CommonConfig, ConfigError, Secret, ServiceConfig, secret_from},
    registry::RegistryConfig,
};

use crate::{
    application::{folding::Horizon, handling::CONTEXTS, mailbox::Patience},
    domain::{address::Reachable, backoff::Backoff},
};

/// Records that are handled in one transaction, at most.
const BATCH: usize = 200;

/// Tells the world what happened: webhooks, e-mail and text messages from the events on Kafka.
#[derive(Debug, clap::Parser)]
#[command(version, about)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub common: CommonConfig,

    /// How others find it.
    #[command(flatten)]
    pub registry: RegistryConfig,

    /// Postgres: `postgres://user:password@host:port/database`; the schema is `notifier`.
    #[arg(long, env)]
    pub database_url: Secret,

    /// Kafka brokers, `host:port,host:port`.
    #[arg(long, env)]
    pub kafka_brokers: String,

    /// What topic names begin with.
    #[arg(long, env, default_value = "orderflow")]
    pub topic_prefix: String,

    /// The command service, for keys of personal data.
    #[arg(long, env, default_value = "http://127.0.0.1:8080")]
    pub command_service_url: String,

    /// The consumer group.
    #[arg(long, env, default_value = "orderflow-notifier")]
    pub group_id: String,

    /// A name that stays with this instance: coming back under it within the session timeout moves no partition.
    #[arg(long, env)]
    pub group_instance_id: Option<String>,

    /// Seconds until the partitions of a silent instance go to others.
    #[arg(long, env, default_value_t = 10, value_parser = clap::value_parser!(u64).range(6..=1800))]
    pub session_timeout: u64,

    /// What secrets of webhooks are sealed under: base64 of 32 bytes.
    #[arg(long, env)]
    pub notifier_key: Option<Secret>,

    /// A file with that key.
    #[arg(long, env)]
    pub notifier_key_file: Option<PathBuf>,

    /// Hours after which an event is no news any more: what follows from it is written down and not sent.
    #[arg(long, env, default_value_t = 72, value_parser = clap::value_parser!(u64).range(1..=87_600))]
    pub max_age_hours: u64,

    /// Seconds that one attempt to send something may take.
    #[arg(long, env, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub send_timeout: u64,

    /// Seconds until the first retry; the pauses double.
    #[arg(long, env, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub retry_first: u64,

    /// Seconds between two attempts, at most.
    #[arg(long, env, default_value_t = 14_400, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub retry_most: u64,

    /// Seconds after which a message that could not be sent is given up.
    #[arg(long, env, default_value_t = 259_200, value_parser = clap::value_parser!(u64).range(1..=2_592_000))]
    pub give_up_after: u64,

    /// Seconds of nothing but failures after which a webhook is disabled.
    #[arg(long, env, default_value_t = 432_000, value_parser = clap::value_parser!(u64).range(1..=2_592_000))]
    pub webhook_disable_after: u64,

    /// Networks that webhooks may be in although they are not public, such as 10.1.0.0/16, separated by commas.
    #[arg(long, env, value_delimiter = ',')]
    pub webhook_allowed_networks: Vec<IpNet>,

    /// Webhooks may have http:// URLs.
    #[arg(long, env)]
    pub webhook_allow_http: bool,

    /// The mail server, `smtp://user:password@host:port?tls=required` or `smtps://…`; without it no e-mail is sent.
    #[arg(long, env)]
    pub smtp_url: Option<Secret>,

    /// A file with that URL.
    #[arg(long, env)]
    pub smtp_url_file: Option<PathBuf>,

    /// Whom e-mail comes from.
    #[arg(long, env, default_value = "orderflow <orders@orderflow.invalid>")]
    pub mail_from: String,

    /// What the shop calls itself in messages.
    #[arg(long, env, default_value = "orderflow")]
    pub shop_name: String,

    /// The text message provider, to whose `/messages` they are posted; without it none is sent.
    #[arg(long, env)]
    pub sms_provider_url: Option<String>,

    /// The token that the provider wants.
    #[arg(long, env)]
    pub sms_provider_token: Option<Secret>,
}

impl ServiceConfig for Config {
    const DEFAULT_HTTP_ADDR: &'static str = "127.0.0.1:8084";

    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.registry.validate()?;
        self.notifier_key()?;
        self.smtp_url()?;
        self.sms_url()?;
        if !self.command_service_url.starts_with("http://") {
            return Err(ConfigError::new("COMMAND_SERVICE_URL", "must be an http:// URL"));
        }
        for (name, value) in
            [("KAFKA_BROKERS", &self.kafka_brokers), ("TOPIC_PREFIX", &self.topic_prefix), ("GROUP_ID", &self.group_id)]
        {
            if value.is_empty() {
                return Err(ConfigError::new(name, "must not be empty"));
            }
        }
        if self.retry_first > self.retry_most {
            return Err(ConfigError::new("RETRY_FIRST", "must not be longer than RETRY_MOST"));
        }
        Ok(())
    }
}

impl Config {
    /// What secrets are sealed under.
    pub fn notifier_key(&self) -> Result<DataKey, ConfigError> {
        let secret = secret_from(self.notifier_key.as_ref(), self.notifier_key_file.as_deref(), "NOTIFIER_KEY", 44)?;
        DataKey::from_base64(secret.expose())
            .map_err(|_| ConfigError::new("NOTIFIER_KEY", "must be base64 of 32 bytes: openssl rand -base64 32"))
    }

    /// The mail server, if there is one.
    pub fn smtp_url(&self) -> Result<Option<Secret>, ConfigError> {
        if self.smtp_url.is_none() && self.smtp_url_file.is_none() {
            return Ok(None);
        }
        let url = secret_from(self.smtp_url.as_ref(), self.smtp_url_file.as_deref(), "SMTP_URL", 1)?;
        if !["smtp://", "smtps://"].iter().any(|scheme| url.expose().starts_with(scheme)) {
            return Err(ConfigError::new("SMTP_URL", "must be an smtp:// or smtps:// URL"));
        }
        Ok(Some(url))
    }

    /// Where text messages are posted, if anywhere.
    pub fn sms_url(&self) -> Result<Option<Uri>, ConfigError> {
        let Some(base) = &self.sms_provider_url else { return Ok(None) };
        let url = format!("{}/messages", base.trim_end_matches('/')).parse::<Uri>();
        let url = url.ok().filter(|url| url.host().is_some() && matches!(url.scheme_str(), Some("http" | "https")));
        url.map(Some).ok_or_else(|| ConfigError::new("SMS_PROVIDER_URL", "must be an http:// or https:// URL"))
    }

    /// Which effects are sent.
    #[must_use]
    pub fn horizon(&self) -> Horizon {
        Horizon {
            max_age: Duration::from_secs(self.max_age_hours * 3600),
            email: self.smtp_url.is_some() || self.smtp_url_file.is_some(),
            sms: self.sms_provider_url.is_some(),
        }
    }

    /// How mailboxes go about it.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience {
            backoff: Backoff { first: Duration::from_secs(self.retry_first), most: Duration::from_secs(self.retry_most) },
            // What an attempt does beside sending, as asking for a key, takes as long again at most.
            lease: self.timeout() * 2 + Duration::from_secs(5),
            give_up: Duration::from_secs(self.give_up_after),
            disable_after: Duration::from_secs(self.webhook_disable_after),
        }
    }

    /// The bound on one attempt.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.send_timeout)
    }

    /// Where webhooks may be.
    #[must_use]
    pub fn reachable(&self) -> Reachable {
        Reachable::public_and(self.webhook_allowed_networks.clone())
    }

    /// How events are read.
    #[must_use]
    pub fn consumer(&self) -> consumer::Settings {
        consumer::Settings {
            brokers: self.kafka_brokers.clone(),
            client_id: "orderflow-notifier".to_owned(),
            group_id: self.group_id.clone(),
            instance_id: self.group_instance_id.clone(),
            session_timeout: Duration::from_secs(self.session_timeout),
            topic_prefix: self.topic_prefix.clone(),
            contexts: CONTEXTS.to_vec(),
            batch: BATCH,
        }
    }
}

//! Which instances of services there are, and how they are.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::registry::{Instance, ServiceRegistry};

/// An instance that does not say by then how it is does not answer. Its own checks may take two seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Instances that are asked at a time.
const AT_A_TIME: usize = 64;

/// The instances in the registry. Cloning shares connections.
#[derive(Clone)]
pub struct Services {
    registry: Arc<dyn ServiceRegistry>,
    http: reqwest::Client,
}

/// Everybody who is there.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Services")]
pub struct Listed {
    /// Whether the registry answered. Otherwise these are those that were known last.
    pub current: bool,
    /// By name and address.
    pub services: Vec<Service>,
}

/// An instance, and how it is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServiceInstance")]
pub struct Service {
    /// What the registry says of it.
    #[serde(flatten)]
    pub instance: Instance,
    /// What it says of itself.
    pub health: Health,
}

/// What an instance says of itself.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InstanceHealth")]
pub struct Health {
    /// How it is.
    pub status: Status,
    /// How long it took to say so, in milliseconds.
    pub latency_ms: f64,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "InstanceStatus")]
pub enum Status {
    /// It can do its work.
    Healthy,
    /// It answers, and says that it can't.
    Unhealthy,
    /// It does not answer.
    Unreachable,
}

/// The answer of `/ready`, as far as it matters here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    checks: BTreeMap<String, Check>,
}

#[derive(Deserialize)]
struct Check {
    status: String,
}

impl Services {
    /// Those in this registry. Fails when no HTTP client can be made.
    pub fn new(registry: Arc<dyn ServiceRegistry>) -> Result<Self, reqwest::Error> {
        // A health URL is asked itself, not what it points to.
        let http = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(Self { registry, http })
    }

    /// Lists them, and asks each how it is: all at once, so that one that hangs costs its time-out and no more.
    pub async fn list(&self) -> Listed {
        let listing = self.registry.list().await;
        let asking = stream::iter(listing.instances).map(|instance| async move {
            let health = self.ask(&instance.health_url).await;
            Service { instance, health }
        });
        let mut services: Vec<_> = asking.buffer_unordered(AT_A_TIME).collect().await;
        let place = |service: &Service| (service.instance.name.clone(), service.instance.address(), service.instance.id);
        services.sort_by_key(place);
        Listed { current: listing.is_current, services }
    }

    async fn ask(&self, url: &str) -> Health {
        let started = Instant::now();
        let (status, detail) = match self.http.get(url).send().await {
            Ok(answer) if answer.status().is_success() => (Status::Healthy, None),
            Ok(answer) => (Status::Unhealthy, Some(complaint(answer).await)),
            Err(error) => (Status::Unreachable, Some(root_of(&error))),
        };
        Health { status, latency_ms: (started.elapsed().as_secs_f64() * 1e6).round() / 1e3, detail }
    }
}

/// The names of the checks that have failed, or else the status.
async fn complaint(answer: reqwest::Response) -> String {
    let status = answer.status();
    let report: Report = answer.json().await.unwrap_or_default();
    let failed = report.checks.iter().filter(|(_, check)| check.status == "failed");
    let failed: Vec<_> = failed.map(|(name, _)| name.as_str()).collect();
    if failed.is_empty() { format!("it answered {status}") } else { format!("failed: {}", failed.join(", ")) }
}

/// The innermost cause: what surrounds it only repeats the URL.
fn root_of(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

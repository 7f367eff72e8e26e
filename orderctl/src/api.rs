//! The services' HTTP APIs, as this tool calls them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use futures::StreamExt;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use service_kit::auth::{Role, mint};
use service_kit::config::{Secret, secret_from};

/// Whom this tool's own tokens name. Idempotency keys are kept per subject, so it never changes.
const SUBJECT: &str = "orderctl";

/// How long this tool's own tokens are valid: an import outlives none of them.
const TOKEN_TTL: Duration = Duration::from_secs(12 * 60 * 60);

/// Bytes that a secret has at least, as the services demand it.
const MIN_SECRET: usize = 32;

/// Where the services are, and who is calling.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The command service
    #[arg(long, env, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    command_url: String,
    /// Another command service that runs the context `users`
    #[arg(long, env, value_name = "URL")]
    command_url_users: Option<String>,
    /// Another command service that runs the context `products`
    #[arg(long, env, value_name = "URL")]
    command_url_products: Option<String>,
    /// Another command service that runs the context `orders`
    #[arg(long, env, value_name = "URL")]
    command_url_orders: Option<String>,
    /// Another command service that runs the context `payments`
    #[arg(long, env, value_name = "URL")]
    command_url_payments: Option<String>,
    /// The query service
    #[arg(long, env, default_value = "http://127.0.0.1:8081", value_name = "URL")]
    query_url: String,
    /// A projector, whichever
    #[arg(long, env, default_value = "http://127.0.0.1:8082", value_name = "URL")]
    projector_url: String,
    /// Fulfilment
    #[arg(long, env, default_value = "http://127.0.0.1:8083", value_name = "URL")]
    fulfilment_url: String,
    /// The notifier
    #[arg(long, env, default_value = "http://127.0.0.1:8084", value_name = "URL")]
    notifier_url: String,
    /// The payment sandbox, for its book
    #[arg(long, env = "PAYMENT_PROVIDER_URL", default_value = "http://127.0.0.1:8090", value_name = "URL")]
    sandbox_url: String,
    #[command(flatten)]
    signing: Signing,
    /// A token to call with, instead of minting one
    #[arg(long, env = "ORDERCTL_TOKEN", hide_env_values = true, conflicts_with_all = ["jwt_secret", "jwt_secret_file"])]
    token: Option<String>,
}

impl Connection {
    fn command_url(&self, context: BoundedContext) -> &str {
        let own = match context {
            BoundedContext::Users => &self.command_url_users,
            BoundedContext::Products => &self.command_url_products,
            BoundedContext::Orders => &self.command_url_orders,
            BoundedContext::Payments => &self.command_url_payments,
        };
        own.as_ref().unwrap_or(&self.command_url)
    }
}

/// The secret that tokens are signed with.
#[derive(Debug, Clone, Args)]
pub struct Signing {
    /// The secret that the services check tokens with
    #[arg(long, env, hide_env_values = true, value_name = "SECRET")]
    jwt_secret: Option<Secret>,
    /// A file with that secret
    #[arg(long, env, value_name = "FILE")]
    jwt_secret_file: Option<PathBuf>,
}

impl Signing {
    /// The secret, checked.
    pub fn secret(&self) -> Result<Secret> {
        secret_from(self.jwt_secret.as_ref(), self.jwt_secret_file.as_deref(), "JWT_SECRET", MIN_SECRET)
            .context("a token can't be signed")
    }
}

/// A bounded context: each may have a command service of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundedContext {
    /// Accounts.
    Users,
    /// Catalogue and stock.
    Products,
    /// Orders and returns.
    Orders,
    /// Payments.
    Payments,
}

impl BoundedContext {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Users, Self::Products, Self::Orders, Self::Payments];

    /// The name, as paths have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Products => "products",
            Self::Orders => "orders",
            Self::Payments => "payments",
        }
    }
}

/// Which service a request goes to.
#[derive(Debug, Clone, Copy)]
pub enum Service {
    /// The write side of a context.
    Command(BoundedContext),
    /// The read side.
    Query,
    /// The read side's writer, for dead letters.
    Projector,
    /// Fulfilment, for sagas.
    Fulfilment,
    /// The notifier, for what is sent.
    Notifier,
    /// The payment sandbox, for what it was asked.
    Sandbox,
}

/// A connected caller. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    /// By context, in the order of [`BoundedContext::ALL`].
    command_urls: [String; 4],
    query_url: String,
    projector_url: String,
    fulfilment_url: String,
    notifier_url: String,
    sandbox_url: String,
    token: String,
}

/// An error as the services report it (RFC 9457).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// What kind of problem it is, as a URI that ends in its slug.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub title: String,
    /// What the caller can do.
    pub detail: String,
    /// The rule of the domain that was broken.
    pub rule: Option<String>,
    /// Seconds after which to try again.
    pub retry_after: Option<u64>,
    /// What is wrong with which field.
    pub errors: Vec<FieldError>,
}

/// What is wrong with a field of a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FieldError {
    /// Which, as a JSON pointer.
    pub pointer: String,
    /// What.
    pub detail: String,
}

impl Problem {
    /// What it is called: the rule, or else the slug.
    pub fn name(&self) -> &str {
        self.rule.as_deref().unwrap_or_else(|| self.slug())
    }

    /// The last segment of its type.
    pub fn slug(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or_default()
    }
}

impl Api {
    /// Prepares a caller; nothing is sent yet.
    pub fn new(connection: &Connection) -> Result<Self> {
        let token = match &connection.token {
            Some(token) => token.clone(),
            None => {
                let secret = connection.signing.secret().context(
                    "set JWT_SECRET or JWT_SECRET_FILE to what the services have, or ORDERCTL_TOKEN to a token of a service and staff role",
                )?;
                mint(&secret, SUBJECT, &[Role::Staff, Role::Service], TOKEN_TTL)?
            }
        };
        let client = Client::builder().tcp_nodelay(true).connect_timeout(Duration::from_secs(3)).build()?;
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        Ok(Self {
            client,
            command_urls: BoundedContext::ALL.map(|context| base(connection.command_url(context))),
            query_url: base(&connection.query_url),
            projector_url: base(&connection.projector_url),
            fulfilment_url: base(&connection.fulfilment_url),
            notifier_url: base(&connection.notifier_url),
            sandbox_url: base(&connection.sandbox_url),
            token,
        })
    }

    /// The address of a path of a service.
    pub fn url(&self, service: Service, path: &str) -> String {
        let base = match service {
            Service::Command(BoundedContext::Users) => &self.command_urls[0],
            Service::Command(BoundedContext::Products) => &self.command_urls[1],
            Service::Command(BoundedContext::Orders) => &self.command_urls[2],
            Service::Command(BoundedContext::Payments) => &self.command_urls[3],
            Service::Query => &self.query_url,
            Service::Projector => &self.projector_url,
            Service::Fulfilment => &self.fulfilment_url,
            Service::Notifier => &self.notifier_url,
            Service::Sandbox => &self.sandbox_url,
        };
        format!("{base}{path}")
    }

    /// A request with the caller's token.
    pub fn request(&self, method: Method, service: Service, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(service, path)).bearer_auth(&self.token)
    }

    /// Asks one instance, wherever it is, and gives its answer's document.
    pub async fn at(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Value> {
        let request = self.client.request(method, url).bearer_auth(&self.token);
        let request = if let Some(body) = body { request.json(body) } else { request };
        Self::document(request.send().await.with_context(|| format!("{url} does not answer"))?, url).await
    }

    /// Fails with advice when a command service doesn't answer.
    pub async fn check_commands_alive(&self) -> Result<()> {
        for context in BoundedContext::ALL {
            self.check_alive(Service::Command(context)).await?;
        }
        Ok(())
    }

    /// Fails with advice when a service doesn't answer.
    pub async fn check_alive(&self, service: Service) -> Result<()> {
        self.request(Method::GET, service, "/health").send().await.map_err(|error| self.unreachable(service, error))?;
        Ok(())
    }

    /// A JSON document, or the problem as an error.
    pub async fn get(&self, service: Service, path: &str) -> Result<Value> {
        let response = self.request(Method::GET, service, path).send().await;
        Self::document(response.map_err(|error| self.unreachable(service, error))?, path).await
    }

    /// Sends a command with an idempotency key, and gives its answer.
    pub async fn command(&self, context: BoundedContext, path: &str, key: &str, body: &Value) -> Result<Value> {
        let service = Service::Command(context);
        let request = self.request(Method::POST, service, path).header("idempotency-key", key).json(body);
        let response = request.send().await.map_err(|error| self.unreachable(service, error))?;
        Self::document(response, path).await
    }

    /// Posts a document, and gives the answer's.
    pub async fn post(&self, service: Service, path: &str, body: &Value) -> Result<Value> {
        let response = self.request(Method::POST, service, path).json(body).send().await;
        Self::document(response.map_err(|error| self.unreachable(service, error))?, path).await
    }

    async fn document(response: reqwest::Response, path: &str) -> Result<Value> {
        let status = response.status();
        let body = response.bytes().await.with_context(|| format!("the answer to {path} broke off"))?;
        if !status.is_success() {
            return Err(Self::refusal(status, &body, path));
        }
        serde_json::from_slice(&body).with_context(|| format!("the answer to {path} is not JSON"))
    }

    /// What a projector tells line by line, until `each` gives what is asked for.
    pub async fn lines<M: DeserializeOwned, T>(
        &self,
        method: Method,
        path: &str,
        each: impl FnMut(M) -> Result<Option<T>>,
    ) -> Result<T> {
        self.lines_of(Service::Projector, method, path, each).await
    }

    /// What a service tells line by line, until `each` gives what is asked for.
    pub async fn lines_of<M: DeserializeOwned, T>(
        &self,
        service: Service,
        method: Method,
        path: &str,
        mut each: impl FnMut(M) -> Result<Option<T>>,
    ) -> Result<T> {
        let response = self.request(method, service, path).send().await;
        let response = response.map_err(|error| self.unreachable(service, error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Self::refusal(status, &response.bytes().await.unwrap_or_default(), path));
        }
        let (mut chunks, mut waiting) = (response.bytes_stream(), Vec::new());
        while let Some(chunk) = chunks.next().await {
            waiting.extend_from_slice(&chunk.context("the answer broke off")?);
            while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = waiting.drain(..=end).collect();
                if let Some(last) = each(serde_json::from_slice(&line).context("the answer is something else")?)? {
                    return Ok(last);
                }
            }
        }
        bail!("the answer broke off")
    }

    /// An answer that refuses, as an error that says what to do.
    pub fn refusal(status: StatusCode, body: &[u8], path: &str) -> anyhow::Error {
        let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
        let advice = match status {
            StatusCode::UNAUTHORIZED => " (is JWT_SECRET the one that the services have?)",
            StatusCode::FORBIDDEN => " (the token needs the roles staff and service)",
            _ => "",
        };
        let fields: String = problem.errors.iter().map(|error| format!(" {}: {}", error.pointer, error.detail)).collect();
        anyhow!("{path} was answered {status}: {} {}{fields}{advice}", problem.title, problem.detail)
    }

    /// A failure to reach a service, as an error that says what to do.
    pub fn unreachable(&self, service: Service, error: reqwest::Error) -> anyhow::Error {
        let name = match service {
            Service::Command(_) => "command service",
            Service::Query => "query service",
            Service::Projector => "projector",
            Service::Fulfilment => "fulfilment service",
            Service::Notifier => "notifier",
            Service::Sandbox => "payment sandbox",
        };
        let url = self.url(service, "");
        anyhow::Error::new(error).context(format!("the {name} does not answer at {url}: is the stack up? `make up` starts it"))
    }
}

/// The version in an answer of the command service.
pub fn version_of(answer: &Value) -> Result<u64> {
    match answer["version"].as_u64() {
        Some(version) => Ok(version),
        None => bail!("the command service answered without a version: {answer}"),
    }
}

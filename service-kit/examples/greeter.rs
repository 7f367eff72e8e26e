//! A complete service that greets.

use std::process::ExitCode;
use std::sync::Arc;

use http::Method;
use service_kit::auth::{Principal, Role, Verifier};
use service_kit::config::{self, CommonConfig, ConfigError, Secret, ServiceConfig};
use service_kit::exit;
use service_kit::health::Health;
use service_kit::json::{Json, Path};
use service_kit::problem::Problem;
use service_kit::routes::Routes;
use service_kit::server::Server;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry;
use uuid::Uuid;

/// Answers greetings.
#[derive(clap::Parser)]
#[command(version, about)]
struct Config {
    #[command(flatten)]
    common: CommonConfig,
    /// Where greetings are kept.
    #[arg(long, env)]
    database_url: Secret,
}

impl ServiceConfig for Config {
    const DEFAULT_HTTP_ADDR: &'static str = "127.0.0.1:8080";

    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.database_url.expose().starts_with("postgres://") {
            return Ok(());
        }
        Err(ConfigError::new("DATABASE_URL", "must begin with postgres://"))
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    text: String,
}

async fn greet(caller: Principal, Path(id): Path<Uuid>, Json(greeting): Json<Greeting>) -> Result<String, Problem> {
    if !caller.may_act_for(id) {
        return Err(Problem::not_found("There is no such user."));
    }
    Ok(greeting.text)
}

/// Apart from `main`, so that a test can walk its table.
fn routes() -> Routes<()> {
    Routes::new().route(Method::POST, "/v1/users/{id}/greet", &[Role::Customer, Role::Staff], greet)
}

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(serve().await)
}

async fn serve() -> anyhow::Result<ExitCode> {
    let config = config::load::<Config>();
    let metrics = telemetry::init(&config.common)?;
    let shutdown = Shutdown::on_signals(config.common.shutdown_timeout())?;
    let server = Server::bind(&config.common).await?;

    let health = Health::new(shutdown.token()).check("postgres", || async { Ok(()) });
    let verifier = Arc::new(Verifier::new(&config.common.jwt_secret()?));
    let router = routes().operations(&health, &metrics).into_router((), verifier);
    let serving = server.start(router, &shutdown);

    let mut drain = shutdown.begun().await;
    drain.step("http", serving.finished()).await;
    drain.step("writers", async { /* finish what was taken, flush, leave */ }).await;
    Ok(drain.finish())
}

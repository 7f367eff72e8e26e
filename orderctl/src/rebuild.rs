//! `orderctl rebuild` and `orderctl rollback`: a read model is built anew beside the one that is read, compared with it, and
//! takes its place.
//!
//! The projectors do the work and Redis remembers where they are: when this tool is stopped the build goes on, and the same
//! command takes it up again.

mod compare;
mod stream;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::api::{Api, Connection, Service};
use crate::text::{duration, grouped, per_second};

/// How often progress is asked for.
const LOOK: Duration = Duration::from_millis(500);

/// Which read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Projection {
    Users,
    Products,
    Orders,
    Payments,
}

impl Projection {
    const ALL: [Self; 4] = [Self::Users, Self::Products, Self::Orders, Self::Payments];

    fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Products => "products",
            Self::Orders => "orders",
            Self::Payments => "payments",
        }
    }
}

/// Where a build begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Origin {
    /// With Kafka, as far as the topic reaches back
    Kafka,
    /// With the event store, and then Kafka
    Store,
}

/// Build read models anew beside those that are read, compare, and switch
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Which; without it all
    #[arg(long, value_name = "NAME")]
    projection: Vec<Projection>,
    /// Where to begin; without it with Kafka, where the topic reaches back to its beginning
    #[arg(long, value_name = "ORIGIN", conflicts_with = "verb")]
    from: Option<Origin>,
    /// Only the view of this stream, where it is read; --projection says whose it is
    #[arg(long, value_name = "ID", group = "verb", requires = "projection")]
    stream: Option<Uuid>,
    /// With --stream: say what would change, and change nothing
    #[arg(long, requires = "stream")]
    dry_run: bool,
    /// Fail, and do not switch, when the new one differs from the one that is read
    #[arg(long)]
    expect_no_difference: bool,
    /// Build and compare only: run it again to switch
    #[arg(long)]
    no_switch: bool,
    /// Show which generations there are, and do nothing
    #[arg(long, group = "verb")]
    status: bool,
    /// Have the build stand still; run it again without this to go on
    #[arg(long, group = "verb")]
    pause: bool,
    /// Give the build up, and delete it
    #[arg(long, group = "verb")]
    abort: bool,
    /// Delete what was read before the last switch; there is no rollback then
    #[arg(long, group = "verb")]
    finish: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Read again what was read before the last rebuild
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Which
    #[arg(long, value_name = "NAME", required = true)]
    projection: Vec<Projection>,
    #[command(flatten)]
    connection: Connection,
}

/// Rebuilds, or what is asked instead.
pub async fn run(args: &RebuildArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let chosen = if args.projection.is_empty() { &Projection::ALL[..] } else { &args.projection };
    for projection in chosen {
        let name = projection.name();
        let verb = match args {
            RebuildArgs { pause: true, .. } => Some("pause"),
            RebuildArgs { abort: true, .. } => Some("abort"),
            RebuildArgs { finish: true, .. } => Some("finish"),
            _ => None,
        };
        match verb {
            Some(verb) => show(&act(&api, name, verb).await?),
            None if args.status => show(&status(&api, name).await?),
            None => match args.stream {
                Some(stream) => stream::rebuild(&api, name, stream, args).await?,
                None => rebuild(&api, name, args).await?,
            },
        }
    }
    Ok(())
}

/// Goes back.
pub async fn roll_back(args: &RollbackArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    for projection in &args.projection {
        show(&act(&api, projection.name(), "rollback").await?);
    }
    Ok(())
}

async fn rebuild(api: &Api, name: &str, args: &RebuildArgs) -> Result<()> {
    let verb = if args.from == Some(Origin::Store) { "build?from=store" } else { "build" };
    let begun = act(api, name, verb).await?;
    let (new, live) = (number(&begun["building"]), &begun["live"]["number"]);
    let from = if begun["building"]["origin"] == "store" { ", from the event store" } else { "" };
    println!("{name}: generation {new} is built beside generation {live}{from}.");
    if !built(api, name).await? {
        return Ok(());
    }
    let differences = compare::compare(api, name).await?;
    if differences > 0 && args.expect_no_difference {
        bail!(
            "{name}: {} differences, and none was expected: nothing was switched (--abort gives the build up)",
            grouped(differences)
        );
    }
    if args.no_switch {
        return Ok(());
    }
    let switched = act(api, name, "switch").await?;
    println!(
        "{name}: generation {} is read now. `orderctl rollback --projection {name}` goes back to generation {}; \
         `orderctl rebuild --projection {name} --finish` deletes that.",
        switched["live"]["number"],
        number(&switched["previous"])
    );
    Ok(())
}

/// Shows progress until the build has caught up. False: it was switched or given up meanwhile.
async fn built(api: &Api, name: &str) -> Result<bool> {
    let bar = ProgressBar::new(1);
    let style = "{msg} {bar:30} {percent}% {human_pos}/{human_len}";
    bar.set_style(ProgressStyle::with_template(style).context("a progress bar")?);
    let (start, mut first) = (Instant::now(), None);
    loop {
        let status = status(api, name).await?;
        let building = &status["building"];
        if building.is_null() {
            bar.finish_and_clear();
            println!("{name}: nothing is being built any more; generation {} is read.", status["live"]["number"]);
            return Ok(false);
        }
        if building["paused"] == true {
            bar.finish_and_clear();
            bail!("{name}: the build was paused; run this again to go on");
        }
        let done = building["done"].as_u64().unwrap_or(0);
        let rate = per_second(done.saturating_sub(*first.get_or_insert(done)), start.elapsed());
        let to_do = building["to_do"].as_u64();
        bar.set_length(done + to_do.unwrap_or(0));
        bar.set_position(done);
        let left = to_do.and_then(|to_do| to_do.checked_div(rate)).map(|seconds| duration(Duration::from_secs(seconds)));
        bar.set_message(format!("{name}: {} events/s, {} left", grouped(rate), left.unwrap_or_else(|| "?".to_owned())));
        if building["caught_up"] == true {
            bar.finish_and_clear();
            println!("{name}: built, {} log positions after {}.", grouped(done), duration(start.elapsed()));
            return Ok(true);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn act(api: &Api, name: &str, verb: &str) -> Result<Value> {
    let path = format!("/v1/rebuilds/{name}/{verb}");
    let response = api.request(Method::POST, Service::Projector, &path).send().await;
    let response = response.map_err(|error| api.unreachable(Service::Projector, error))?;
    let (status, body) = (response.status(), response.bytes().await.with_context(|| format!("the answer to {path} broke off"))?);
    if !status.is_success() {
        return Err(Api::refusal(status, &body, &path));
    }
    serde_json::from_slice(&body).with_context(|| format!("the answer to {path} is not JSON"))
}

async fn status(api: &Api, name: &str) -> Result<Value> {
    let mut all = api.get(Service::Projector, "/v1/rebuilds").await?;
    let all = all["rebuilds"].as_array_mut().context("the projector answered without rebuilds")?;
    all.iter_mut().find(|one| one["context"] == name).map(Value::take).context("the projector does not know this projection")
}

fn number(generation: &Value) -> &Value {
    &generation["generation"]["number"]
}

fn show(status: &Value) {
    let name = status["context"].as_str().unwrap_or_default();
    println!("{name}: generation {} is read.", status["live"]["number"]);
    let building = &status["building"];
    if !building.is_null() {
        let how = if building["paused"] == true { "stands still" } else { "is being built" };
        println!("{name}: generation {} {how}: {} done, {} to do.", number(building), building["done"], building["to_do"]);
    }
    let previous = &status["previous"];
    if !previous.is_null() {
        let how = if previous["caught_up"] == true { "can be gone back to" } else { "is behind" };
        println!("{name}: generation {} was read before, and {how}.", number(previous));
    }
    for dropped in status["dropped"].as_array().into_iter().flatten() {
        println!("{name}: generation {dropped} is being deleted.");
    }
}

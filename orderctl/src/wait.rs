//! `orderctl wait`: until the read side has all of an import.
//!
//! The file says which streams there are and at which version each ends, so every single one is read at that version
//! (`min_version` with `Prefer: wait`): no sampling, and nothing remembered from the import.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode, header};

use crate::api::{Api, Connection, Service};
use crate::import::jobs::{Expected, expected};
use crate::import::plan::Plan;
use crate::text::{duration, grouped};

/// Reads under way at a time.
const READERS: usize = 32;

/// Seconds that the query service holds a read.
const HOLD: u64 = 5;

/// Wait until the read side has everything of a file.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The file that was imported
    file: PathBuf,
    /// Seconds to wait at most
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    connection: Connection,
}

/// Waits and reports.
pub async fn run(args: &WaitArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let plan = Plan::read(&args.file)?;
    let start = Instant::now();
    let streams = wait(&api, &plan, Duration::from_secs(args.timeout)).await?;
    println!("The read side has all {} streams, after {}.", grouped(streams), duration(start.elapsed()));
    Ok(())
}

/// Waits for every stream of the plan; gives their number.
pub async fn wait(api: &Api, plan: &Plan, timeout: Duration) -> Result<u64> {
    api.check_alive(Service::Query).await?;
    let deadline = Instant::now() + timeout;
    let streams = expected(plan);
    let count = u64::try_from(streams.len())?;
    stream::iter(streams.into_iter().map(|expected| visible(api, expected, deadline)))
        .buffer_unordered(READERS)
        .try_collect::<()>()
        .await?;
    Ok(count)
}

async fn visible(api: &Api, expected: Expected, deadline: Instant) -> Result<()> {
    let Expected { segment, id, version } = expected;
    let path = format!("/v1/{segment}/{id}?min_version={version}");
    loop {
        let read = api.request(Method::GET, Service::Query, &path).header("prefer", format!("wait={HOLD}")).send().await;
        let response = read.map_err(|error| api.unreachable(Service::Query, error))?;
        let status = response.status();
        if status == StatusCode::OK {
            return check_version(&response, version).with_context(|| path);
        }
        let body = response.bytes().await.unwrap_or_default();
        let refusal = Api::refusal(status, &body, &path);
        // Not there yet, or not for now; anything else won't get better by waiting.
        let may_come = matches!(status, StatusCode::NOT_FOUND | StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE);
        if !may_come {
            return Err(refusal);
        }
        if Instant::now() > deadline {
            return Err(refusal.context("the read side did not get everything in time; `make logs` shows the projector's"));
        }
        if status != StatusCode::GATEWAY_TIMEOUT {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn check_version(response: &reqwest::Response, wanted: u64) -> Result<()> {
    let etag = response.headers().get(header::ETAG).and_then(|value| value.to_str().ok());
    let version = etag.and_then(|etag| etag.trim_matches('"').parse::<u64>().ok());
    match version {
        Some(version) if version >= wanted => Ok(()),
        _ => bail!("the query service answered with ETag {etag:?} where version {wanted} was asked for"),
    }
}

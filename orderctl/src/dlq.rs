//! `orderctl dlq`: dead letters, listed, looked at, redriven and discarded by the projector. Personal data is never shown:
//! the projector does not give it out.

mod retry;
mod show;

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{Api, Connection, Problem, Service},
    token::parse_ttl,
};

/// Streams that one run looks at, at most: what the projector lists.
const MOST: usize = 10_000;

/// List, show, retry and discard dead letters: streams whose next event could not be handled.
#[derive(Debug, Args)]
pub struct DlqArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List parked streams, by group of equal failures
    List(ListArgs),
    /// Show one parked stream, and what was done to it
    Show(ShowArgs),
    /// Fold parked streams anew, by today's code, from the event store
    Retry(retry::RetryArgs),
    /// Accept that streams stay at the version that they have
    Discard(DiscardArgs),
    /// Show who did what to dead letters, and what came of it
    Log(LogArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// Only this group of equal failures
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// The discarded ones instead of the others
    #[arg(long)]
    discarded: bool,
    /// Streams to list, those parked first; the groups are of all
    #[arg(long, default_value_t = 50, value_name = "STREAMS")]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The stream, as the list has it
    #[arg(value_name = "CONTEXT/ID")]
    stream: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct DiscardArgs {
    #[command(flatten)]
    selection: Selection,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// Operations to show, the last ones
    #[arg(long, default_value_t = 50, value_name = "OPERATIONS")]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

/// Which parked streams, beside the group.
#[derive(Debug, Args)]
struct Filter {
    /// Only of this context: users, products, orders or payments
    #[arg(long)]
    context: Option<String>,
    /// Only where the failed event is of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only parked since then: a time (RFC 3339), or so long ago (30m, 2h, 7d)
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Only parked before then
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
}

/// Which parked streams to work on.
#[derive(Debug, Args)]
struct Selection {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    filter: Filter,
    /// The discarded ones instead of the others
    #[arg(long)]
    discarded: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// These streams, as the list has them
    #[arg(value_name = "CONTEXT/ID")]
    streams: Vec<String>,
    /// A group of equal failures
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Everything that is parked
    #[arg(long)]
    all: bool,
}

/// What the projector lists.
#[derive(Debug, Deserialize)]
struct Listing {
    total: usize,
    groups: Vec<Group>,
    dead_letters: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Group {
    fingerprint: String,
    context: String,
    #[serde(rename = "type")]
    event_type: String,
    cause: String,
    streams: usize,
    first: String,
    last: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Entry {
    context: String,
    stream: String,
    version: u64,
    #[serde(rename = "type")]
    event_type: String,
    cause: String,
    fingerprint: String,
    attempts: u32,
    first: String,
    last: String,
    waiting: u64,
    #[serde(default)]
    discarded: Option<Value>,
}

/// Runs one of the verbs.
pub async fn run(args: &DlqArgs) -> Result<()> {
    match &args.verb {
        Verb::List(args) => {
            let api = Api::new(&args.connection)?;
            let listing = list(&api, &args.filter, args.group.as_deref(), args.discarded, args.limit).await?;
            print!("{}", show::listing(&listing));
            Ok(())
        }
        Verb::Show(args) => {
            let found = Api::new(&args.connection)?.get(Service::Projector, &path(&args.stream, "")?).await?;
            print!("{}", show::details(&serde_json::from_value(found.clone())?, &found));
            Ok(())
        }
        Verb::Retry(args) => retry::run(args).await,
        Verb::Discard(args) => discard(args).await,
        Verb::Log(args) => {
            let path = format!("/v1/dead-letters/log?limit={}", args.limit);
            let log = Api::new(&args.connection)?.get(Service::Projector, &path).await?;
            print!("{}", show::operations(&log["operations"]));
            Ok(())
        }
    }
}

async fn discard(args: &DiscardArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let (mut done, mut failed) = (0_u32, 0_u32);
    for stream in selected(&api, &args.selection).await?.iter().map(Entry::name) {
        let answer = ask(&api, &path(&stream, "/discard")?, Some(&json!({ "reason": args.reason }))).await?;
        if answer.outcome == "discarded" {
            done += 1;
        } else {
            failed += 1;
        }
        println!("{}", show::answer(&stream, &answer));
    }
    println!("{done} discarded");
    if failed > 0 {
        bail!("{failed} streams were not discarded");
    }
    Ok(())
}

/// What became of a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    outcome: String,
    cause: Option<String>,
    version: u64,
    events: u64,
    changes: Vec<Difference>,
    entries: u64,
    redacted: Vec<String>,
}

impl Answer {
    /// In one word.
    pub(crate) fn outcome(&self) -> &str {
        &self.outcome
    }
}

/// How it is written on a terminal; `stream` names the stream.
pub(crate) fn describe(stream: &str, answer: &Answer) -> String {
    show::answer(stream, answer)
}

#[derive(Debug, Clone, Deserialize)]
struct Difference {
    path: String,
    #[serde(default)]
    before: Option<Value>,
    #[serde(default)]
    after: Option<Value>,
}

/// Asks the projector for something. What says only that this stream can't be worked on is an answer too.
async fn ask(api: &Api, path: &str, body: Option<&Value>) -> Result<Answer> {
    let mut request = api.request(Method::POST, Service::Projector, path);
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.map_err(|error| api.unreachable(Service::Projector, error))?;
    let status = response.status();
    let body = response.bytes().await.with_context(|| format!("the answer to {path} broke off"))?;
    match status {
        StatusCode::OK => serde_json::from_slice(&body).with_context(|| format!("the answer to {path} is not JSON")),
        StatusCode::NOT_FOUND => Ok(Answer { outcome: "not-parked".to_owned(), ..Answer::default() }),
        StatusCode::SERVICE_UNAVAILABLE => {
            let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
            let cause = Some(format!("{}. {}", problem.title, problem.detail));
            Ok(Answer { outcome: problem.slug().to_owned(), cause, ..Answer::default() })
        }
        _ => Err(Api::refusal(status, &body, path)),
    }
}

async fn list(api: &Api, filter: &Filter, group: Option<&str>, discarded: bool, limit: usize) -> Result<Listing> {
    let rfc3339 = |at: &Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    let parameters = [
        ("context", filter.context.clone()),
        ("type", filter.event_type.clone()),
        ("since", rfc3339(&filter.since)),
        ("until", rfc3339(&filter.until)),
        ("fingerprint", group.map(str::to_owned)),
        ("discarded", discarded.then(|| "true".to_owned())),
        ("limit", Some(limit.clamp(1, MOST).to_string())),
    ];
    let mut url: Url = api.url(Service::Projector, "/v1/dead-letters").parse().context("PROJECTOR_URL is not a URL")?;
    url.query_pairs_mut().extend_pairs(parameters.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?))));
    let path = format!("/v1/dead-letters?{}", url.query().unwrap_or_default());
    let found = api.get(Service::Projector, &path).await?;
    serde_json::from_value(found).context("the projector lists something else than dead letters")
}

/// The streams to work on, those parked first.
async fn selected(api: &Api, selection: &Selection) -> Result<Vec<Entry>> {
    let What { streams, group, .. } = &selection.what;
    if streams.is_empty() {
        let listing = list(api, &selection.filter, group.as_deref(), selection.discarded, MOST).await?;
        if listing.total > listing.dead_letters.len() {
            println!("{} streams are parked: this run works on the first {}", listing.total, listing.dead_letters.len());
        }
        return Ok(listing.dead_letters);
    }
    let mut entries = Vec::with_capacity(streams.len());
    for stream in streams {
        let found = api.get(Service::Projector, &path(stream, "")?).await?;
        entries.push(serde_json::from_value(found).context("the projector shows something else than a dead letter")?);
    }
    Ok(entries)
}

impl Entry {
    /// As the list has it.
    fn name(&self) -> String {
        format!("{}/{}", self.context, self.stream)
    }
}

/// The address of a stream that was named as the list has it.
fn path(stream: &str, action: &str) -> Result<String> {
    match stream.split_once('/') {
        Some((context, id)) if id.parse::<uuid::Uuid>().is_ok() && context.chars().all(|letter| letter.is_ascii_lowercase()) => {
            Ok(format!("/v1/dead-letters/{context}/{id}{action}"))
        }
        _ => bail!("{stream:?} names no stream: give it as `orderctl dlq list` has it, such as orders/01890a5d-…"),
    }
}

/// A time (RFC 3339), or so long ago.
pub(crate) fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = text.parse::<DateTime<Utc>>() {
        return Ok(time);
    }
    let ago = parse_ttl(text).map_err(|_| format!("{text:?} is no time such as 2026-01-31T12:00:00Z, 30m, 2h or 7d"))?;
    Ok(Utc::now() - ago)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named_with_their_context() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(path(&format!("orders/{id}"), "/retry").unwrap(), format!("/v1/dead-letters/orders/{id}/retry"));
        for wrong in [id, "orders/1", "../x/01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert!(path(wrong, "").is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_given_as_such_or_as_so_long_ago() {
        assert_eq!(parse_time("2026-01-31T12:00:00Z").unwrap().to_rfc3339(), "2026-01-31T12:00:00+00:00");
        assert!(parse_time("2h").unwrap() < Utc::now());
        assert!(parse_time("yesterday").is_err());
    }
}

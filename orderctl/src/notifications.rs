//! `orderctl notifications`: what the notifier has sent, and what it would send.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use reqwest::{Method, Url};
use serde::Deserialize;

use crate::{
    api::{Api, Connection, Service},
    dlq::parse_time,
    text::{grouped, table},
};

/// Explain and count webhooks, e-mails and text messages.
#[derive(Debug, Args)]
pub struct NotificationsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what would be sent because of the events since some time, and what the ledger says of it; sends nothing
    Explain(ExplainArgs),
    /// Count what is in the ledger, by kind and state
    Summary(SummaryArgs),
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// Events published since then: a time (RFC 3339), or so long ago (30m, 2h, 7d)
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    from: DateTime<Utc>,
    /// Only those recorded before then
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Messages to show, at most
    #[arg(long, default_value_t = 1_000, value_name = "MESSAGES")]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct SummaryArgs {
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    Effect(Effect),
    Done { events: u64, effects: u64, more: bool },
    Error(String),
}

#[derive(Debug, Deserialize)]
struct Effect {
    at: DateTime<Utc>,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    kind: String,
    recipient: String,
    message_id: String,
    #[serde(default)]
    ledger: Option<String>,
    #[serde(default)]
    skipped: Option<String>,
}

impl Effect {
    /// What the ledger says, or what would become of it.
    fn state(&self) -> String {
        match (&self.ledger, &self.skipped) {
            (Some(state), _) => state.clone(),
            (None, Some(why)) => format!("would be skipped: {why}"),
            (None, None) => "would be sent".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Summary {
    effects: Vec<Count>,
}

#[derive(Debug, Deserialize)]
struct Count {
    kind: String,
    state: String,
    count: i64,
}

/// Runs one of the verbs.
pub async fn run(args: &NotificationsArgs) -> Result<()> {
    match &args.verb {
        Verb::Explain(args) => explain(args).await,
        Verb::Summary(args) => {
            let found = Api::new(&args.connection)?.get(Service::Notifier, "/v1/notifications").await?;
            let summary: Summary = serde_json::from_value(found).context("the notifier counts something else")?;
            let rows = summary.effects.into_iter().map(|count| vec![count.kind, count.state, grouped(count.count)]);
            print!("{}", table(&rows.collect::<Vec<_>>()));
            Ok(())
        }
    }
}

async fn explain(args: &ExplainArgs) -> Result<()> {
    let api = Api::new(&args.connection)?;
    let path = path(&api, args)?;
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    let told = api.lines_of(Service::Notifier, Method::GET, &path, |told: Told| match told {
        Told::Effect(effect) => {
            let (at, state) = (effect.at.to_rfc3339_opts(SecondsFormat::Millis, true), effect.state());
            let Effect { event_type, subject, kind, recipient, message_id, .. } = effect;
            println!("{at}  {event_type} {subject}  {kind} to {recipient}  {message_id}  {state}");
            *states.entry(state).or_default() += 1;
            Ok(None)
        }
        Told::Done { events, effects, more } => Ok(Some((events, effects, more))),
        Told::Error(cause) => bail!("the notifier could not go on: {cause}"),
    });
    let (events, effects, more) = told.await?;
    let counts: Vec<String> = states.iter().map(|(state, count)| format!("{} {state}", grouped(*count))).collect();
    println!("{} messages from {} events: {}", grouped(effects), grouped(events), counts.join(", "));
    if more {
        println!("there may be more: raise --limit, or begin later");
    }
    Ok(())
}

fn path(api: &Api, args: &ExplainArgs) -> Result<String> {
    let rfc3339 = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut url: Url = api.url(Service::Notifier, "/v1/notifications/explain").parse().context("NOTIFIER_URL is not a URL")?;
    url.query_pairs_mut().append_pair("from", &rfc3339(args.from)).append_pair("limit", &args.limit.to_string());
    if let Some(until) = args.until {
        url.query_pairs_mut().append_pair("until", &rfc3339(until));
    }
    Ok(format!("/v1/notifications/explain?{}", url.query().unwrap_or_default()))
}

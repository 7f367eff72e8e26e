//! What differs between the generation that is read and the one that was built, as the projector finds it.

use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::api::Api;
use crate::text::{grouped, table};

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(100);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    Progress(Progress),
    Report(Box<Report>),
    Error(String),
}

#[derive(Debug, Deserialize)]
struct Progress {
    side: String,
    views: u64,
    lists: u64,
}

#[derive(Debug, Deserialize)]
struct Report {
    views: Differences,
    lists: Differences,
    owners: Differences,
    counters: Differences,
}

#[derive(Debug, Deserialize)]
struct Differences {
    compared: u64,
    different: u64,
    missing: u64,
    extra: u64,
    undecided: u64,
    samples: Vec<Value>,
}

impl Report {
    fn parts(&self) -> [(&'static str, &Differences); 4] {
        [("views", &self.views), ("list entries", &self.lists), ("owners", &self.owners), ("counters", &self.counters)]
    }
}

/// Compares both generations, shows what differs, and gives the number of that.
pub(super) async fn compare(api: &Api, name: &str) -> Result<u64> {
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(TURN);
    let path = format!("/v1/rebuilds/{name}/differences");
    let report = api.lines(Method::GET, &path, |message| {
        match message {
            Message::Progress(Progress { side, views, lists }) => {
                let (views, lists) = (grouped(views), grouped(lists));
                bar.set_message(format!("{name}: comparing, {side} side: {views} views, {lists} list entries"));
            }
            Message::Report(report) => return Ok(Some(report)),
            Message::Error(cause) => bail!("{name} could not be compared: {cause}"),
        }
        Ok(None)
    });
    let report = report.await;
    bar.finish_and_clear();
    let report = report?;
    println!("{}", text(name, &report));
    Ok(report.parts().iter().map(|(_, part)| part.different + part.missing + part.extra).sum())
}

fn text(name: &str, report: &Report) -> String {
    let header = [name, "compared", "different", "not any more", "not before", "undecided"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (part, found) in report.parts() {
        let numbers = [found.compared, found.different, found.missing, found.extra, found.undecided].map(grouped);
        rows.push([vec![part.to_owned()], numbers.to_vec()].concat());
    }
    let mut text = table(&rows);
    let samples = |part: &Differences, line: fn(&Value) -> String| {
        part.samples.iter().map(|sample| format!("DIFFERENCE  {name}: {}\n", line(sample))).collect::<String>()
    };
    text += &samples(&report.views, view);
    text += &samples(&report.lists, |sample| held("the list", sample));
    text += &samples(&report.owners, |sample| held("the owners of", sample));
    text += &samples(&report.counters, counter);
    text.truncate(text.trim_end().len());
    text
}

fn view(sample: &Value) -> String {
    let (stream, live, new) = (said(&sample["stream"]), &sample["live"], &sample["new"]);
    format!("the view of {stream} at version {live} differs from that at version {new}: {}", sample["fields"])
}

fn held(what: &str, sample: &Value) -> String {
    let (name, partition, stream) = (said(&sample["name"]), &sample["partition"], said(&sample["stream"]));
    let (live, new) = (&sample["live"], &sample["new"]);
    let how = match (live.is_null(), new.is_null()) {
        (false, true) => "it is only in the generation that is read".to_owned(),
        (true, false) => "it is only in the new generation".to_owned(),
        _ => format!("it is {} where it is read, and {} in the new generation", said(live), said(new)),
    };
    format!("{stream} in {what} {name}, partition {partition}: {how}")
}

fn counter(sample: &Value) -> String {
    let (name, field, partition) = (said(&sample["name"]), said(&sample["field"]), &sample["partition"]);
    format!("the counter {name} {field}, partition {partition}, is {}, and new {}", said(&sample["live"]), said(&sample["new"]))
}

/// Text without quotation marks.
fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_names_what_differs() {
        let none = json!({"compared": 1000, "different": 0, "missing": 0, "extra": 0, "undecided": 0, "samples": []});
        let entry = json!({"name": "recent", "partition": 2, "stream": "S", "live": "0", "new": null});
        let total = json!({"name": "days", "partition": 1, "field": "2010-12-01|orders", "live": "5", "new": "4"});
        let with = |sample: Value, of: &str| {
            let mut part = none.clone();
            part[of] = json!(1);
            part["samples"] = json!([sample]);
            part
        };
        let report = json!({
            "views": none, "lists": with(entry, "missing"), "owners": none, "counters": with(total, "different")
        });
        let text = text("orders", &serde_json::from_value(report).unwrap());
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert!(lines[1].starts_with("views") && lines[1].contains("1,000"), "{text}");
        assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["list", "entries", "1,000", "0", "1", "0", "0"], "{text}");
        assert_eq!(
            lines[5..],
            [
                "DIFFERENCE  orders: S in the list recent, partition 2: it is only in the generation that is read",
                "DIFFERENCE  orders: the counter days 2010-12-01|orders, partition 1, is 5, and new 4",
            ]
        );
    }
}

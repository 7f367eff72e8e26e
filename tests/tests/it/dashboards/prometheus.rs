//! A Prometheus of the test's own, with the configuration and the rules that are shipped: only targets and pauses are others.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use system_tests::{Stack, process::Process, wait::until};

use super::panels::Query;

/// Longer than its start takes on a machine that others starve.
const START: Duration = Duration::from_secs(120);

/// A running Prometheus.
pub(super) struct Prometheus {
    process: Process,
    http: reqwest::Client,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus")
}

/// The shipped rules: file and text.
pub(super) fn rules() -> Vec<(String, String)> {
    let files = fs::read_dir(folder().join("rules")).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())).collect()
}

fn program() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join("prometheus")).find(|path| path.is_file());
    found.expect("prometheus is not installed: `apt-get install prometheus`, which deploy/test does by itself")
}

/// The shipped configuration, for these services, and without long pauses.
fn configuration(services: &[(String, String)]) -> String {
    let shipped = fs::read_to_string(folder().join("prometheus.yml")).unwrap();
    let mut text = shipped.replace("_interval: 15s", "_interval: 1s");
    for (job, url) in services {
        let target = text.split('"').find(|target| target.strip_prefix(job.as_str()).is_some_and(|rest| rest.starts_with(':')));
        let target = target.unwrap_or_else(|| panic!("prometheus.yml has no target {job}")).to_owned();
        text = text.replace(&target, url.trim_start_matches("http://"));
    }
    text
}

impl Prometheus {
    /// Starts it and waits until it has scraped each of these services, given by job and URL.
    pub(super) async fn start(stack: &Stack, services: &[(String, String)]) -> Self {
        let directory = stack.file("prometheus");
        fs::create_dir_all(directory.join("rules")).unwrap();
        for (file, text) in rules() {
            fs::write(directory.join("rules").join(file), text).unwrap();
        }
        fs::write(directory.join("prometheus.yml"), configuration(services)).unwrap();
        let process = Process::new("prometheus", program(), Vec::new(), &directory);
        let (config, data) = (directory.join("prometheus.yml"), directory.join("data"));
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", data.display()),
            format!("--web.listen-address={}", process.url().trim_start_matches("http://")),
        ];
        let mut process = process.with_arguments(&arguments.each_ref().map(String::as_str));
        process.spawn();
        let mut prometheus = Self { process, http: reqwest::Client::new() };
        let expected: BTreeSet<_> = services.iter().map(|(job, _)| job.clone()).collect();
        until("Prometheus reaches every service", START, async || {
            assert!(prometheus.process.is_running(), "{}", prometheus.tail());
            let up = prometheus.answer("up == 1").await?;
            let up = up.iter().filter_map(|series| series["metric"]["job"].as_str().map(str::to_owned));
            (up.collect::<BTreeSet<_>>() == expected).then_some(())
        })
        .await;
        prometheus
    }

    /// The end of its log.
    pub(super) fn tail(&self) -> String {
        self.process.tail()
    }

    /// Those of the queries that have no answer, or none but "not a number".
    pub(super) async fn without_answer(&self, queries: Vec<Query>) -> Vec<Query> {
        let mut open = Vec::new();
        for query in queries {
            let answer = self.answer(&query.expression).await.unwrap_or_default();
            let is_number = |series: &Value| series["value"][1].as_str().is_some_and(|value| value != "NaN");
            if !answer.iter().any(is_number) {
                open.push(query);
            }
        }
        open
    }

    /// Fails unless every rule was evaluated without an error.
    pub(super) async fn rules_work(&self) {
        let groups = until("the rules were evaluated", START, async || {
            let answer = self.get("/api/v1/rules").await?;
            let groups = answer["data"]["groups"].as_array()?.clone();
            let mut rules = groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
            (!groups.is_empty() && rules.all(|rule| rule["health"] != "unknown")).then_some(groups)
        })
        .await;
        for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
            assert_eq!(rule["health"], "ok", "{rule:#}");
        }
    }

    /// The series that an expression gives now; none when Prometheus does not answer.
    async fn answer(&self, expression: &str) -> Option<Vec<Value>> {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("query", expression).finish();
        let answer = self.get(&format!("/api/v1/query?{query}")).await?;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        Some(answer["data"]["result"].as_array()?.clone())
    }

    async fn get(&self, path: &str) -> Option<Value> {
        self.http.get(format!("{}{path}", self.process.url())).send().await.ok()?.json().await.ok()
    }
}

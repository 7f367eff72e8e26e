//! The dashboards as files.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

/// A query of a panel.
#[derive(Debug)]
pub(super) struct Query {
    /// Its dashboard and title.
    pub(super) panel: String,
    /// As Prometheus reads it.
    pub(super) expression: String,
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana")
}

/// By file name.
fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(folder().join("dashboards")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let read = |path: &Path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    files.iter().map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(path))).collect()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let top = dashboard["panels"].as_array().unwrap();
    let inside = top.iter().filter_map(|panel| panel["panels"].as_array()).flatten();
    top.iter().chain(inside)
}

/// Every query of every dashboard, as Grafana would send it.
pub(super) fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
                assert!(!expression.contains('$'), "{file}: a variable in {expression}");
                queries.push(Query { panel: format!("{file}, {}", panel["title"].as_str().unwrap()), expression });
            }
        }
    }
    queries
}

/// The names of our metrics in a text; those of recording rules, which have a colon, are left out.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'));
    words.filter(|word| (word.starts_with("orderflow_") || word.starts_with("process_")) && !word.contains(':'))
}

/// Fails on what Grafana would not show, or would show wrongly.
pub(super) fn check() {
    let datasource = fs::read_to_string(folder().join("provisioning/datasources/prometheus.yml")).unwrap();
    assert!(datasource.contains("uid: prometheus"));
    let dashboards = dashboards();
    let uids: BTreeSet<_> = dashboards.iter().map(|(_, dashboard)| dashboard["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), dashboards.len(), "two dashboards have one uid");
    for (file, dashboard) in &dashboards {
        assert!(dashboard["title"].as_str().unwrap().starts_with("Orderflow / "), "{file}");
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39, "{file}");
        let ids: BTreeSet<_> = panels(dashboard).map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels(dashboard).count(), "{file}: two panels have one id");
        let mut taken = BTreeSet::new();
        for panel in panels(dashboard) {
            let name = format!("{file}, {}", panel["title"].as_str().unwrap());
            let place = |what: &str| panel["gridPos"][what].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24 && place("h") > 0, "{name} is off the grid");
            for cell in
                (place("x")..place("x") + place("w")).flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
            {
                assert!(taken.insert(cell), "{name} lies over another panel");
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(["timeseries", "stat", "heatmap"].iter().any(|known| panel["type"] == *known), "{name}: {}", panel["type"]);
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name} does not say what it shows");
            assert_eq!(panel["datasource"]["uid"], "prometheus", "{name}");
            let targets = panel["targets"].as_array().unwrap();
            let refs: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
            assert!(!targets.is_empty() && refs.len() == targets.len(), "{name}");
        }
    }
}

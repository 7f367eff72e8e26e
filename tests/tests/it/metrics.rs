//! Metrics: `docs/METRICS.md` is written from the tables that services describe theirs by, the tables are what the sources
//! record, and (in `dashboards.rs`) what running services export is in the tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use service_kit::metrics::{LABELS, Metric};

/// A crate that records metrics.
pub(crate) struct Crate {
    /// Its folder.
    pub(crate) folder: &'static str,
    heading: &'static str,
    /// Its table.
    pub(crate) metrics: &'static [Metric],
}

/// All of them.
pub(crate) const CRATES: [Crate; 7] = [
    Crate { folder: "service-kit", heading: "Every service", metrics: service_kit::metrics::METRICS },
    Crate { folder: "command-service", heading: "command-service", metrics: command_service::metrics::METRICS },
    Crate { folder: "projector", heading: "projector", metrics: projector::metrics::METRICS },
    Crate { folder: "query-service", heading: "query-service", metrics: query_service::metrics::METRICS },
    Crate { folder: "consumer", heading: "fulfilment, notifier, and whatever consumes", metrics: consumer::METRICS },
    Crate { folder: "fulfilment", heading: "fulfilment", metrics: fulfilment::metrics::METRICS },
    Crate { folder: "notifier", heading: "notifier", metrics: notifier::metrics::METRICS },
];

/// The metric of this name.
pub(crate) fn metric(name: &str) -> Option<&'static Metric> {
    CRATES.iter().flat_map(|of| of.metrics).find(|metric| metric.name == name)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn names_keep_to_the_rules_and_mean_one_thing() {
    let all = || CRATES.iter().flat_map(|of| of.metrics);
    let misnomers: Vec<_> = all().filter_map(Metric::misnomer).collect();
    assert!(misnomers.is_empty(), "{misnomers:#?}");
    let names: BTreeSet<_> = all().map(|metric| metric.name).collect();
    assert_eq!(names.len(), all().count(), "a name is described twice");
    let used: BTreeSet<_> = all().flat_map(|metric| metric.labels).copied().collect();
    let unused: Vec<_> = LABELS.iter().filter(|(label, _)| !used.contains(label)).collect();
    assert!(unused.is_empty(), "no metric has {unused:?}");
}

/// What the sources of a crate record: names, and what each is recorded as.
fn recorded(folder: &str) -> BTreeMap<String, &'static str> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(folder).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                // A service's own table begins some at 0, which records nothing yet.
                let is_table = path.ends_with("src/metrics.rs") && !folder.starts_with(root().join("service-kit"));
                if !is_table {
                    record(&fs::read_to_string(&path).unwrap(), &mut found);
                }
            }
        }
    }
    found
}

fn record(source: &str, found: &mut BTreeMap<String, &'static str>) {
    for kind in ["counter", "gauge", "histogram"] {
        for (at, head) in source.match_indices(&format!("{kind}!(")) {
            let rest = &source[at + head.len()..];
            let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            if let Some(name) = name.filter(|name| name.starts_with("orderflow_") || name.starts_with("process_")) {
                found.insert(name.to_owned(), kind);
            }
        }
    }
}

#[test]
fn what_is_described_is_recorded_and_the_other_way_round() {
    for of in &CRATES {
        let described: BTreeMap<_, _> = of.metrics.iter().map(|metric| (metric.name.to_owned(), metric.kind.name())).collect();
        assert_eq!(recorded(of.folder), described, "left: what {} records; right: what its metrics.rs describes", of.folder);
    }
    assert!(recorded("payment-sandbox").is_empty(), "payment-sandbox needs a table");
}

#[test]
fn finds_what_is_recorded() {
    let mut found = BTreeMap::new();
    record("a!(counter!(\n    \"orderflow_a_total\", x); metrics::gauge!(\"orderflow_b\").set(0); counter!(name)", &mut found);
    let found: Vec<_> = found.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    assert_eq!(found, [("orderflow_a_total", "counter"), ("orderflow_b", "gauge")]);
}

#[test]
fn the_page_is_what_the_tables_say() {
    let path = root().join("docs/METRICS.md");
    let page = page();
    if fs::read_to_string(&path).is_ok_and(|published| published == page) {
        return;
    }
    let update = env::var_os("UPDATE_SCHEMAS").is_some();
    assert!(update, "docs/METRICS.md is old: run `UPDATE_SCHEMAS=1 cargo test -p system-tests --test it -- metrics::`");
    fs::write(&path, page).unwrap();
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "\n| label | what it says |\n|---|---|\n";
    for (label, meaning) in LABELS {
        writeln!(page, "| `{label}` | {meaning} |").unwrap();
    }
    for of in &CRATES {
        let heading = of.heading;
        writeln!(page, "\n## {heading}\n\n| metric | type | counts | labels | |\n|---|---|---|---|---|").unwrap();
        for Metric { name, kind, unit, labels, help } in of.metrics {
            let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(page, "| `{name}` | {} | {unit} | {} | {help} |", kind.name(), labels.join(", ")).unwrap();
        }
    }
    page
}

const INTRODUCTION: &str = "# Metrics

Every service answers `GET /metrics` in Prometheus' text format, without a token: nothing there is about a person, and labels have
few values (routes, never paths). `deploy/prometheus/` has the configuration, recording rules and alerts, `deploy/grafana/` the
dashboards, [runbooks/](runbooks/README.md) what to do when an alert fires.

This page is written by a test from what the services describe their metrics by (`metrics.rs` in each crate), and compared with what
they record and with what they export: `UPDATE_SCHEMAS=1 cargo test -p system-tests --test it -- metrics::`. `payment-sandbox` has what
every service has.

**Names** are Prometheus': `orderflow_`, the component, what is counted; base units at the end (`_seconds`, `_bytes`), `_total` for counters.
How long a piece of work took ends in `_duration_seconds`; how old something is, in `_seconds`. Metrics of the process have the names that
all Prometheus clients give them (`process_…`). Where OpenTelemetry has a word, the label's meaning names it. Counters of what should never
happen begin at 0, so that their first rise is one.

**Critical time** is what a customer waits for: from the moment that the command service decides an event (after the mailbox, before the
commit; `ce_recordedat`) to the moment that its view is committed in Redis and can be read. Both are clocks of machines: keep them
synchronised. What never becomes visible is not in it; `orderflow_relay_lag_seconds`, `orderflow_projection_lag_seconds` and
`orderflow_parked_streams` tell of that.

**Metrics of several instances**: sum counters. Gauges that an owner tells (`orderflow_relay_…`, `orderflow_projection_…`,
`orderflow_parked_streams`) are 0 elsewhere: sum or take the maximum. Those that every instance tells of all
(`orderflow_sagas`, `orderflow_rebuild_…`, `orderflow_notifier_pending_effects`, …): take the maximum.

## Labels

Prometheus adds `job` (the service) and `instance` (the process).
";

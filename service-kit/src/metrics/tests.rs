use super::*;
use crate::telemetry;

#[test]
fn names_keep_to_the_rules() {
    let misnomers: Vec<_> = METRICS.iter().filter_map(Metric::misnomer).collect();
    assert!(misnomers.is_empty(), "{misnomers:#?}");
}

#[test]
fn rules_are_told_apart() {
    let said = |metric: Metric| metric.misnomer().unwrap_or_default();
    assert_eq!(said(Metric::counter("orderflow_x_total", "events", &["lane"], "Said.")), "");
    assert!(said(Metric::counter("orderflow_x", "events", &[], "Said.")).contains("ends in _total"));
    assert!(said(Metric::gauge("orderflow_x_total", "events", &[], "Said.")).contains("only a counter"));
    assert!(said(Metric::gauge("orderflow_x", "seconds", &[], "Said.")).contains("ends in its unit"));
    assert!(said(Metric::histogram("orderflow_x_events", "events", &[], "Said.")).contains("_size"));
    assert!(said(Metric::gauge("x", "events", &[], "Said.")).contains("prefix"));
    assert!(said(Metric::gauge("orderflow_x", "events", &["colour"], "Said.")).contains("colour"));
    assert!(said(Metric::gauge("orderflow_x", "events", &[], "Said")).contains("sentence"));
}

#[test]
fn what_is_described_says_what_it_is() {
    let metrics = telemetry::Metrics::install().unwrap();
    describe("test-service", "1.2.3", &[]);
    observe_process();
    let text = metrics.render();
    for line in [
        "# HELP orderflow_build_info 1, with what runs as labels.",
        "# TYPE orderflow_build_info gauge",
        r#"orderflow_build_info{service="test-service",version="1.2.3"} 1"#,
        "# TYPE process_cpu_seconds_total counter",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let memory = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")?.parse::<f64>().ok());
    assert!(memory.is_some_and(|bytes| bytes > 1e6), "{memory:?}");
}

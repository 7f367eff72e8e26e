//! What the metrics of a process mean. Each crate that records some has a table of them, `METRICS`, in one file; a service
//! describes all of its tables at its start, so that `/metrics` says what every one is, and `docs/METRICS.md` is written from
//! them.
//!
//! Names follow Prometheus: `orderflow_` and the component, then what is counted, in base units (seconds, bytes) that are the
//! end of the name; `_total` ends counters. How long a piece of work took is a `_duration_seconds`, how old something is just
//! `_seconds`. Labels have one word for one thing in all metrics: [`LABELS`].

mod process;

use metrics::Unit;

/// What every label means.
pub const LABELS: &[(&str, &str)] = &[
    ("cause", "why it was lost"),
    ("channel", "how a message goes out: `webhook`, `email`, `sms`"),
    ("context", "the bounded context: `users`, `products`, `orders`, `payments`"),
    ("ending", "how a saga ended: `fulfilled`, or why its order was cancelled"),
    ("generation", "only of generations beside the one that is read: its number"),
    ("group", "the relay group, from 0"),
    ("kind", "of effects: the kind of message; of divergences: what is wrong with the view"),
    ("lane", "the lane of the event store, from 0"),
    ("method", "the HTTP method; `other` where no route matched (OpenTelemetry: `http.request.method`)"),
    ("name", "what a circuit breaker stands before: `payment-provider`, or `SERVICE/ADDRESS`"),
    ("operation", "what the payment provider is asked for: `authorise`, `capture`, `void`, `refund`"),
    ("outcome", "what came of it"),
    ("partition", "the partition of the context's topic"),
    ("route", "the route's pattern, never a path; `unmatched` where there is none (OpenTelemetry: `http.route`)"),
    ("service", "a kind of service, as it is registered"),
    ("signal", "what is exported: `traces`, `logs`"),
    ("stage", "where a saga is: `running`, `confirmed`, `ending`, `stuck`, `parked`"),
    ("state", "`pending`, or `skipped` for what is written down and not sent"),
    ("status", "the HTTP status (OpenTelemetry: `http.response.status_code`); 499 where the client had gone before the answer"),
    ("step", "a step of the saga: `reserve`, `authorise`, `confirm`, …"),
    ("version", "the version of the program"),
    ("writer", "the writer's number, from 0"),
];

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, from 0 at the process's start.
    Counter,
    /// It is as it is now.
    Gauge,
    /// It counts samples by their size.
    Histogram,
}

impl Kind {
    /// What Prometheus calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// What one of it is: `seconds`, `bytes`, or what is counted.
    pub unit: &'static str,
    /// Its labels, but for those that Prometheus adds.
    pub labels: &'static [&'static str],
    /// One sentence or two.
    pub help: &'static str,
}

impl Metric {
    /// A counter.
    #[must_use]
    pub const fn counter(name: &'static str, unit: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit, labels, help }
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, unit: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, unit, labels, help }
    }

    /// A histogram.
    #[must_use]
    pub const fn histogram(name: &'static str, unit: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Histogram, unit, labels, help }
    }

    /// What is wrong with its name, unit or labels; `None` for one that keeps to the rules above.
    #[must_use]
    pub fn misnomer(&self) -> Option<String> {
        let stem = self.name.strip_suffix("_total");
        let is_base = matches!(self.unit, "seconds" | "bytes");
        let fault = match self.kind {
            _ if !self.name.starts_with("orderflow_") && !self.name.starts_with("process_") => "it has no prefix",
            Kind::Counter if stem.is_none() => "a counter ends in _total",
            Kind::Gauge | Kind::Histogram if stem.is_some() => "only a counter ends in _total",
            _ if is_base && !stem.unwrap_or(self.name).ends_with(&format!("_{}", self.unit)) => "it ends in its unit",
            Kind::Histogram if !is_base && !self.name.ends_with("_size") => "a histogram of counts is a _size",
            _ if !self.help.ends_with('.') => "its help is no sentence",
            _ => "",
        };
        let unknown = self.labels.iter().find(|label| !LABELS.iter().any(|(known, _)| known == *label));
        match unknown {
            Some(label) => Some(format!("{}: LABELS does not say what {label} is", self.name)),
            None => (!fault.is_empty()).then(|| format!("{}: {fault}", self.name)),
        }
    }

    fn describe(&self) {
        let unit = match self.unit {
            "seconds" => Unit::Seconds,
            "bytes" => Unit::Bytes,
            _ => Unit::Count,
        };
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, unit, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, unit, self.help),
            Kind::Histogram => metrics::describe_histogram!(self.name, unit, self.help),
        }
    }
}

/// The metrics of every service.
pub const METRICS: &[Metric] = &[
    Metric::gauge("orderflow_build_info", "processes", &["service", "version"], "1, with what runs as labels."),
    Metric::counter(
        "orderflow_http_requests_total",
        "requests",
        &["method", "route", "status"],
        "Requests, by how they were answered.",
    ),
    Metric::histogram(
        "orderflow_http_request_duration_seconds",
        "seconds",
        &["method", "route"],
        "From the request's head to the answer's; a streamed body comes after that.",
    ),
    Metric::gauge("orderflow_http_connections", "connections", &[], "Open connections."),
    Metric::counter(
        "orderflow_http_stalled_connections_total",
        "connections",
        &[],
        "Connections that were closed because their client took nothing for HTTP_WRITE_TIMEOUT.",
    ),
    Metric::gauge("orderflow_breaker_state", "state", &["name"], "0 closed, 1 half-open, 2 open."),
    Metric::counter("orderflow_breaker_rejected_total", "calls", &["name"], "Calls that an open breaker refused."),
    Metric::gauge(
        "orderflow_registry_registered",
        "processes",
        &[],
        "1 while the service registry hears this process's heartbeats.",
    ),
    Metric::gauge("orderflow_registry_instances", "instances", &["service"], "Instances known of a service that this one calls."),
    Metric::counter("orderflow_telemetry_exported_total", "records", &["signal"], "Spans and log lines that the collector took."),
    Metric::counter(
        "orderflow_telemetry_dropped_total",
        "records",
        &["cause", "signal"],
        "Spans and log lines that were lost: no room was left (`queue-full`), or the collector did not take them (`not-taken`).",
    ),
    Metric::gauge("process_resident_memory_bytes", "bytes", &[], "Memory that the process has in RAM."),
    Metric::counter(
        "process_cpu_seconds_total",
        "seconds",
        &[],
        "CPU time, user and system, in whole seconds: look at minutes of it.",
    ),
    Metric::gauge("process_open_fds", "descriptors", &[], "Open file descriptors."),
    Metric::gauge("process_threads", "threads", &[], "Threads."),
];

/// Describes a service's metrics: ours and its own.
pub fn describe(service: &'static str, version: &'static str, tables: &[&'static [Metric]]) {
    for metric in [METRICS].iter().chain(tables).copied().flatten() {
        metric.describe();
    }
    metrics::gauge!("orderflow_build_info", "service" => service, "version" => version).set(1);
}

/// Looks at the process itself, before its metrics are rendered.
pub(crate) fn observe_process() {
    process::observe();
}

#[cfg(test)]
mod tests;

//! Where traces and logs are exported to: the settings that OpenTelemetry names.

use http::Uri;

use super::ConfigError;

/// How traces and logs are exported.
#[derive(Clone, Debug, clap::Args)]
pub struct OtlpConfig {
    /// Collector that traces and logs are sent to, by OTLP over HTTP (protobuf), as `http://otel-collector:4318`. Without: to
    /// none, and no trace is recorded.
    #[arg(long, env)]
    pub otel_exporter_otlp_endpoint: Option<String>,

    /// Name of this service in traces and logs.
    #[arg(long, env, default_value = "")]
    pub otel_service_name: String,

    /// Share of the traces that begin here that is recorded, 0 to 1. One that a caller has begun is recorded if its
    /// `traceparent` says so.
    #[arg(long, env, default_value_t = 0.01)]
    pub otel_traces_sampler_arg: f64,

    /// `none`: what goes to a collector beside the service is not compressed.
    #[arg(long, env, default_value = "", hide = true)]
    pub otel_exporter_otlp_compression: String,
}

/// The same, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    endpoint: String,
    /// The service's name.
    pub service_name: String,
    /// The share of traces, 0 to 1.
    pub share: f64,
}

impl OtlpConfig {
    /// None, if nothing is exported. A variable that is empty counts as unset.
    pub fn settings(&self) -> Result<Option<Otlp>, ConfigError> {
        let share = self.otel_traces_sampler_arg;
        if !(0.0..=1.0).contains(&share) {
            return Err(ConfigError::new("OTEL_TRACES_SAMPLER_ARG", "must be from 0 to 1"));
        }
        if !["", "none"].iter().any(|none| self.otel_exporter_otlp_compression.eq_ignore_ascii_case(none)) {
            let problem = "must be none: let a collector beside the service compress what leaves the machine";
            return Err(ConfigError::new("OTEL_EXPORTER_OTLP_COMPRESSION", problem));
        }
        let endpoint = self.otel_exporter_otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
        let Some(endpoint) = endpoint else { return Ok(None) };
        check(endpoint).map_err(|problem| ConfigError::new("OTEL_EXPORTER_OTLP_ENDPOINT", problem))?;
        let service_name = self.otel_service_name.clone();
        Ok(Some(Otlp { endpoint: endpoint.trim_end_matches('/').to_owned(), service_name, share }))
    }
}

impl Otlp {
    /// Where a signal goes; `path` begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }
}

fn check(endpoint: &str) -> Result<(), &'static str> {
    let url: Uri = endpoint.parse().map_err(|_| "is no URL")?;
    match url.scheme_str() {
        Some("http") if url.host().is_some_and(|host| !host.is_empty()) && url.query().is_none() => Ok(()),
        // TLS in every service, for what a collector beside it does better.
        Some("https") => Err("must be http://: let a collector beside the service encrypt what leaves the machine"),
        _ => Err("must be as http://otel-collector:4318"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: Option<&str>, share: f64) -> Result<Option<Otlp>, String> {
        let config = OtlpConfig {
            otel_exporter_otlp_endpoint: endpoint.map(str::to_owned),
            otel_service_name: "shop".to_owned(),
            otel_traces_sampler_arg: share,
            otel_exporter_otlp_compression: String::new(),
        };
        config.settings().map_err(|error| error.setting().to_owned())
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        assert_eq!(settings(None, 1.0), Ok(None));
        assert_eq!(settings(Some(""), 1.0), Ok(None));
    }

    #[test]
    fn signals_have_paths_below_the_endpoint() {
        for endpoint in ["http://collector:4318", "http://collector:4318/", "http://[::1]:4318/base/"] {
            let otlp = settings(Some(endpoint), 0.5).unwrap().unwrap();
            assert_eq!(otlp.url("/v1/logs"), format!("{}/v1/logs", endpoint.trim_end_matches('/')));
            assert_eq!((&*otlp.service_name, otlp.share), ("shop", 0.5));
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for endpoint in
            ["collector:4318", "https://collector:4318", "grpc://collector:4317", "http://", "http://a/?b", "not a url"]
        {
            assert_eq!(settings(Some(endpoint), 1.0), Err("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()), "{endpoint}");
        }
        for (compression, is_fine) in [("", true), ("none", true), ("gzip", false), ("zstd", false)] {
            let config = OtlpConfig {
                otel_exporter_otlp_endpoint: None,
                otel_service_name: String::new(),
                otel_traces_sampler_arg: 1.0,
                otel_exporter_otlp_compression: compression.to_owned(),
            };
            let refused = config.settings().map_err(|error| error.setting().to_owned());
            let expected = if is_fine { Ok(None) } else { Err("OTEL_EXPORTER_OTLP_COMPRESSION".to_owned()) };
            assert_eq!(refused, expected, "{compression}");
        }
        for share in [-0.1, 1.1, f64::NAN] {
            assert_eq!(settings(None, share), Err("OTEL_TRACES_SAMPLER_ARG".to_owned()), "{share}");
        }
    }
}

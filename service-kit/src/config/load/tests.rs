use std::io::Write;
use std::path::PathBuf;

use clap::Parser;
use tempfile::NamedTempFile;

use super::*;
use crate::config::{CommonConfig, LogFormat, Secret, secret_from};

/// A service with one required setting, one secret and one list.
#[derive(Debug, Parser)]
struct Config {
    #[command(flatten)]
    common: CommonConfig,
    /// Is required.
    #[arg(long, env = "TEST_BROKERS")]
    brokers: String,
    /// Is a list.
    #[arg(long, env = "TEST_CONTEXTS", value_delimiter = ',')]
    contexts: Vec<String>,
    /// Is a secret with a default.
    #[arg(long, env = "TEST_DATABASE_URL", default_value = "postgres://localhost")]
    database_url: Secret,
    /// Is a flag.
    #[arg(long, env = "TEST_FAST")]
    fast: bool,
    /// Comes from the environment of the test, which cargo sets.
    #[arg(long, env = "CARGO_PKG_NAME")]
    package: Option<String>,
}

impl ServiceConfig for Config {
    const DEFAULT_HTTP_ADDR: &'static str = "127.0.0.1:8080";

    fn common(&self) -> &CommonConfig {
        &self.common
    }
}

fn load_with(args: &[&str]) -> Result<Config, LoadError> {
    let args = [&["service"], args].concat();
    try_load(args.into_iter().map(OsString::from), |_| None)
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_file(text: &str, args: &[&str]) -> Result<Config, LoadError> {
    let file = file(text);
    load_with(&[&["--config", file.path().to_str().unwrap()], args].concat())
}

#[test]
fn a_service_has_its_own_default_address() {
    let config = load_with(&["--brokers", "b"]).unwrap();
    assert_eq!(config.common.http_addr.to_string(), "127.0.0.1:8080");
    // And its own name, whatever the file is called that it was started from.
    assert_eq!(config.common.otlp.otel_service_name, "service-kit");
    assert_eq!((config.common.log_format, config.common.shutdown_timeout), (LogFormat::Json, 10));
}

#[test]
fn the_file_gives_settings_of_every_kind() {
    let text = "# comment\nTEST_BROKERS=\"a b\"\nTEST_CONTEXTS=users,orders\nTEST_FAST=true\nHTTP_ADDR=0.0.0.0:9\n\
                LOG_FORMAT=pretty\nTEST_DATABASE_URL=postgres://x\n";
    let config = load_file(text, &[]).unwrap();
    assert_eq!(config.brokers, "a b");
    assert_eq!(config.contexts, ["users", "orders"]);
    assert!(config.fast);
    assert_eq!(config.common.http_addr.to_string(), "0.0.0.0:9");
    assert_eq!(config.common.log_format, LogFormat::Pretty);
    assert_eq!(config.database_url.expose(), "postgres://x");
}

#[test]
fn a_flag_wins_over_the_file() {
    let config = load_file("TEST_BROKERS=file\n", &["--brokers", "flag"]).unwrap();
    assert_eq!(config.brokers, "flag");
}

#[test]
fn the_environment_wins_over_the_file_and_a_flag_over_it() {
    let text = "TEST_BROKERS=b\nCARGO_PKG_NAME=from-the-file\n";
    assert_eq!(load_file(text, &[]).unwrap().package.as_deref(), Some("service-kit"));
    assert_eq!(load_file(text, &["--package", "flag"]).unwrap().package.as_deref(), Some("flag"));
}

#[test]
fn the_environment_may_name_the_file_and_a_flag_wins_over_that() {
    let (by_env, by_flag) = (file("TEST_BROKERS=env\n"), file("TEST_BROKERS=flag\n"));
    let env = |name: &str| (name == "CONFIG_FILE").then(|| by_env.path().as_os_str().to_owned());
    let config: Config = try_load(["service".into()], env).unwrap();
    assert_eq!(config.brokers, "env");
    let flag = format!("--config={}", by_flag.path().display());
    let config: Config = try_load(["service".into(), flag.into()], env).unwrap();
    assert_eq!(config.brokers, "flag");
}

#[test]
fn errors_name_the_setting() {
    for (text, args, named) in [
        ("", &[][..], "--brokers <BROKERS>"),
        ("TEST_BROKERS=b\nHTTP_ADDR=nowhere\n", &[], "--http-addr <HTTP_ADDR>"),
        ("TEST_BROKERS=b\n", &["--log-format", "xml"], "--log-format <LOG_FORMAT>"),
        ("TEST_BROKERS=b\n", &["--shutdown-timeout", "0"], "--shutdown-timeout <SHUTDOWN_TIMEOUT>"),
        ("TEST_BROKERS=b\nTEST_BROKER=c\n", &[], "TEST_BROKER: is not a setting"),
        ("TEST_BROKERS=b\n", &["--nope"], "--nope"),
    ] {
        let message = load_file(text, args).unwrap_err().to_string();
        assert!(message.contains(named), "{named}: {message}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let message = load_with(&["--config", "/nonexistent/file", "--brokers", "b"]).unwrap_err().to_string();
    assert!(message.contains("CONFIG_FILE") && message.contains("/nonexistent/file"), "{message}");
}

#[test]
fn a_malformed_line_is_reported_without_its_content() {
    let message = load_file("TEST_BROKERS=b\nJWT_SECRET=hush 'hush\n", &[]).unwrap_err().to_string();
    assert!(message.contains("CONFIG_FILE") && !message.contains("hush"), "{message}");
}

#[test]
fn help_shows_no_values_of_environment_or_file() {
    let help = load_file("TEST_BROKERS=b\nTEST_DATABASE_URL=postgres://u:hush@h\n", &["--help"]).unwrap_err().to_string();
    assert!(help.contains("TEST_DATABASE_URL") && !help.contains("hush"), "{help}");
    // But for the name that this program has in traces.
    assert!(!help.replace("[default: service-kit]", "").contains("service-kit"), "{help}");
}

#[test]
fn nothing_secret_is_in_the_debug_text_of_settings() {
    let config = load_with(&["--brokers", "b", "--jwt-secret", "hush-hush", "--database-url", "hush"]).unwrap();
    let text = format!("{config:?} {}", config.database_url);
    assert!(!text.contains("hush"), "{text}");
}

fn common(args: &[&str]) -> CommonConfig {
    load_with(&[&["--brokers", "b"], args].concat()).unwrap().common
}

#[test]
fn validation_names_the_setting() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    for (args, setting) in [
        (&[][..], "JWT_SECRET"),
        (&["--jwt-secret", "short"], "JWT_SECRET"),
        (&["--jwt-secret-file", "/nonexistent"], "JWT_SECRET_FILE"),
        (&["--jwt-secret", SECRET, "--jwt-secret-file", "/nonexistent"], "JWT_SECRET"),
        (&["--jwt-secret", SECRET, "--log-level", "a=b=c"], "LOG_LEVEL"),
        (&["--jwt-secret", SECRET, "--log-level", "loud"], "LOG_LEVEL"),
        (&["--jwt-secret", SECRET, "--otel-exporter-otlp-endpoint", "https://x"], "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (&["--jwt-secret", SECRET, "--otel-traces-sampler-arg", "1.5"], "OTEL_TRACES_SAMPLER_ARG"),
        (&["--jwt-secret", SECRET, "--shutdown-delay", "10"], "SHUTDOWN_DELAY"),
    ] {
        assert_eq!(common(args).validate().unwrap_err().setting(), setting, "{args:?}");
    }
    common(&["--jwt-secret", SECRET, "--log-level", "warn,service_kit=debug"]).validate().unwrap();
}

#[test]
fn a_secret_file_loses_one_line_break() {
    for (text, secret) in [("hush\n", "hush"), ("hush\r\n", "hush"), ("hush", "hush"), ("hush\n\n", "hush\n")] {
        let file = file(text);
        let read = secret_from(None, Some(file.path()), "KEY", 4).unwrap();
        assert_eq!(read.expose(), secret);
    }
    let short = secret_from(None, Some(file("hush").path()), "KEY", 5).unwrap_err();
    assert_eq!(short.to_string(), "KEY_FILE: must have at least 5 bytes, has 4");
}

#[test]
fn what_follows_two_dashes_is_no_file() {
    let args = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
    assert_eq!(config_file(&args(&["service", "--", "--config", "x"])), None);
    assert_eq!(config_file(&args(&["service", "--config=x"])), Some(PathBuf::from("x")));
}

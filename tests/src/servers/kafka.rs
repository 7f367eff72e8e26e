//! A Kafka broker of a test's own: killed and stopped.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use rustix::process::Signal;

use super::daemon::Daemon;
use crate::{process::free_port, wait::until_every};

/// How long a start may take: a JVM on a starved machine.
const START: Duration = Duration::from_secs(240);
/// How long a broker may take to answer, once it is up.
const ANSWER: Duration = Duration::from_secs(2);
/// Of the repository.
const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kafka");
/// Beside the settings that all tests' brokers have: a death of the broker that its own controller notices soon, as it
/// refuses to know it again before.
const MORE: &str = "
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
";

/// A Kafka broker of a test's own.
#[derive(Debug)]
pub struct KafkaServer {
    daemon: Daemon,
    port: u16,
    /// The port of each proxy, and that of the listener behind it.
    behind: BTreeMap<u16, u16>,
    settings: PathBuf,
    jars: PathBuf,
}

impl KafkaServer {
    /// Makes one with its data in `directory`, which is made, and starts it. To those that come through one of these proxies
    /// it says that it is there: it tells its clients where to go, so each proxy has a listener of its own.
    pub async fn start(directory: &Path, log: &Path, proxies: &[u16]) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let (port, controller, settings) = (free_port(), free_port(), directory.join("server.properties"));
        let behind: BTreeMap<_, _> = proxies.iter().map(|proxy| (*proxy, free_port())).collect();
        let template = fs::read_to_string(format!("{TEMPLATES}/server.properties.in")).expect("the broker's settings");
        let ours = ["listeners", "advertised.listeners", "listener.security.protocol.map"];
        let kept = template.lines().filter(|line| line.split_once('=').is_none_or(|(name, _)| !ours.contains(&name)));
        let text = kept.collect::<Vec<_>>().join("\n") + MORE + &listeners(port, controller, &behind);
        let text = text.replace("@CONTROLLER_PORT@", &controller.to_string());
        let data = directory.join("data");
        fs::write(&settings, text.replace("@DATA_DIR@", &data.to_string_lossy())).expect("the broker's settings");
        let mut server = Self { daemon: Daemon::new(log), port, behind, settings, jars: jars() };
        let mut format = server.java();
        format.args(["kafka.tools.StorageTool", "format", "--cluster-id=b3JkZXJmbG93LWNoYW9zLQ", "--config"]);
        let formatted = format.arg(&server.settings).stdout(Stdio::null()).status().expect("java is installed");
        assert!(formatted.success(), "Kafka's format: {formatted}");
        server.restart().await;
        server
    }

    /// Its address, past the proxy.
    #[must_use]
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The address that the proxy at this port has to reach.
    ///
    /// # Panics
    ///
    /// When it was not started with such a proxy.
    #[must_use]
    pub fn behind(&self, proxy: u16) -> String {
        format!("127.0.0.1:{}", self.behind[&proxy])
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Stops it, or lets it go on.
    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Starts it, and waits until it answers.
    pub async fn restart(&mut self) {
        let mut command = self.java();
        self.daemon.start(command.args(["-Xms128m", "-Xmx384m", "kafka.Kafka"]).arg(&self.settings));
        let brokers = self.brokers();
        until_every(Duration::from_millis(200), "Kafka answers", START, async || {
            assert!(self.daemon.is_running(), "Kafka ended at its start");
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &brokers).set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
            let look = tokio::task::spawn_blocking(move || {
                let consumer: BaseConsumer = config.create().ok()?;
                let metadata = consumer.fetch_metadata(None, ANSWER).ok()?;
                (!metadata.brokers().is_empty()).then_some(())
            });
            look.await.ok().flatten()
        })
        .await;
    }

    fn java(&self) -> Command {
        let program = std::env::var_os("JAVA_HOME").map_or("java".into(), |home| PathBuf::from(home).join("bin/java"));
        let mut command = Command::new(program);
        // Compiled quickly rather than well: it lives for seconds.
        command.args(["-XX:TieredStopAtLevel=1", "-cp", &format!("{}/*", self.jars.display())]);
        command.arg(format!("-Dlog4j2.configurationFile={TEMPLATES}/log4j2.properties"));
        command
    }
}

/// The settings of its listeners: one that is reached directly, one for the controller, one behind each proxy.
fn listeners(port: u16, controller: u16, behind: &BTreeMap<u16, u16>) -> String {
    let mut listeners = format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
    let mut advertised = format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port}");
    let mut protocols = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    for (proxy, behind) in behind {
        let _ = write!(listeners, ",PROXIED{proxy}://127.0.0.1:{behind}");
        let _ = write!(advertised, ",PROXIED{proxy}://127.0.0.1:{proxy}");
        let _ = write!(protocols, ",PROXIED{proxy}:PLAINTEXT");
    }
    format!("{listeners}\n{advertised}\n{protocols}\n")
}

/// The broker's jars, where `deploy/backends` keeps them: the newest, should there be several.
fn jars() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"), PathBuf::from);
    let folders = fs::read_dir(cache.join("orderflow")).into_iter().flatten().flatten();
    // One that is still being fetched has another suffix.
    let whole = folders.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_prefix("kafka-").is_some_and(|sum| sum.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let newest = whole.max_by_key(|entry| entry.metadata().and_then(|metadata| metadata.modified()).ok());
    newest.expect("Kafka's jars are fetched by `deploy/backends up`").path()
}

//! The notifier of those stacks that tell somebody something.

use super::{Stack, service};
use crate::process::Process;

/// 32 bytes in base64: the master key of endpoints' secrets.
const NOTIFIER_KEY: &str = "bm90aWZpZXItdGVzdHMtbWFzdGVyLWtleS0zMi1ieXQ=";

impl Stack {
    /// A notifier that may call webhooks on this machine, to be started; with these variables, too. Its log is in a folder of its
    /// own.
    ///
    /// # Panics
    ///
    /// When there is one already.
    #[must_use]
    pub fn notifier(&self, more: &[(&str, &str)]) -> Process {
        let directory = self.file("notifier");
        std::fs::create_dir(&directory).expect("a folder for the notifier");
        let (redis, command_service) = (self.redis.url(), self.commands[0].url());
        let (group, instance) = (format!("{}-notifier", self.name), format!("{}-notifier-0", self.name));
        let mut environment = vec![
            ("DATABASE_URL", self.database.url.as_str()),
            ("KAFKA_BROKERS", &self.topics.brokers),
            ("TOPIC_PREFIX", &self.topics.prefix),
            ("COMMAND_SERVICE_URL", &command_service),
            ("REGISTRY_URL", &redis),
            ("REGISTRY_PREFIX", self.redis_prefix()),
            ("GROUP_ID", &group),
            ("GROUP_INSTANCE_ID", &instance),
            ("SESSION_TIMEOUT", "6"),
            ("NOTIFIER_KEY", NOTIFIER_KEY),
            ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8"),
            ("WEBHOOK_ALLOW_HTTP", "true"),
        ];
        environment.extend(more);
        service("notifier", "notifier", &environment, &directory)
    }
}

//! A payment sandbox: its own server on a port of its own, within the test's process.

use std::{ffi::OsString, sync::Arc, time::Duration};

use payment_sandbox::{application::desk::Desk, config::Config, inbound::http};
use serde_json::Value;
use service_kit::{
    auth::{Role, Verifier, mint},
    config::{Secret, try_load},
    server::Server,
    shutdown::Shutdown,
};

const JWT_SECRET: &str = "a secret of at least thirty-two bytes";
/// What the sandbox knows us by.
pub(crate) const KEY: &str = "sk_test_of_the_sandbox";

pub(crate) struct Sandbox {
    pub(crate) url: String,
    shutdown: Shutdown,
}

impl Sandbox {
    pub(crate) async fn start() -> Self {
        let args = ["payment-sandbox", "--http-addr=127.0.0.1:0", "--jwt-secret", JWT_SECRET, "--sandbox-key", KEY];
        let config = try_load::<Config>(args.map(OsString::from), |_| None).unwrap();
        let shutdown = Shutdown::manual(Duration::from_secs(5));
        let api = http::Api::new(Desk::new(config.chances()), config.sandbox_key.clone(), config.slow(), shutdown.token());
        let router = http::routes().into_router(api, Arc::new(Verifier::new(&Secret::new(JWT_SECRET))));
        let server = Server::bind(&config.common).await.unwrap();
        let url = format!("http://{}", server.local_addr());
        drop(server.start(router, &shutdown));
        Self { url, shutdown }
    }

    pub(crate) async fn book(&self) -> Value {
        self.tell("/v1/book").await
    }

    pub(crate) async fn calls(&self, key: &str) -> Value {
        self.tell(&format!("/v1/calls?key={key}")).await["calls"].take()
    }

    async fn tell(&self, path: &str) -> Value {
        let token = mint(&Secret::new(JWT_SECRET), "me", &[Role::Service], Duration::from_secs(600)).unwrap();
        let answer = reqwest::Client::new().get(format!("{}{path}", self.url)).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

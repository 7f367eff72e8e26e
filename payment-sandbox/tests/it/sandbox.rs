//! A running sandbox.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use service_kit::{
    auth::{Role, mint},
    config::Secret,
};
use tempfile::TempDir;
use tokio::time::Instant;

const JWT_SECRET: &str = "a secret of at least thirty-two bytes";
const KEY: &str = "sk_test";

pub(crate) struct Sandbox {
    child: Child,
    address: String,
    http: Client,
    _directory: TempDir,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

impl Sandbox {
    pub(crate) async fn start(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("address");
        let mut command = Command::new(env!("CARGO_BIN_EXE_payment-sandbox"));
        command.env_clear().env("JWT_SECRET", JWT_SECRET).env("SANDBOX_KEY", KEY).env("HTTP_ADDR", "127.0.0.1:0");
        command.env("ADDR_FILE", &file).envs(environment.iter().copied());
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + super::PATIENCE;
        while !file.exists() {
            assert!(Instant::now() < deadline, "it does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let address = format!("http://{}", std::fs::read_to_string(&file).unwrap());
        Self { child, address, http: Client::new(), _directory: directory }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(KEY)
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.try_post(key, path, body).await.unwrap()
    }

    pub(crate) async fn try_post(&self, key: &str, path: &str, body: &Value) -> reqwest::Result<Answer> {
        answer(self.request(Method::POST, path).header("idempotency-key", key).json(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await.unwrap()
    }

    pub(crate) async fn book(&self) -> Value {
        self.tell("/v1/book").await
    }

    pub(crate) async fn calls(&self, key: &str) -> Value {
        self.tell(&format!("/v1/calls?key={key}")).await["calls"].take()
    }

    async fn tell(&self, path: &str) -> Value {
        let token = mint(&Secret::new(JWT_SECRET), "me", &[Role::Service], Duration::from_secs(600)).unwrap();
        let told = answer(self.http.get(self.url(path)).bearer_auth(token)).await.unwrap();
        assert_eq!(told.status, 200, "{told:?}");
        told.body
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end; the code that it ends with.
    pub(crate) async fn terminate(&mut self, patience: Duration) -> Option<i32> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    Ok(Answer { status: response.status().as_u16(), body: response.json().await? })
}

//! A list of instances that somebody else keeps: where Kubernetes, DNS or a gateway knows who is there, its name is the one
//! entry of a service.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, ready};
use http::Uri;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Instance, Listing, RegistryError, ServiceRegistry};

/// Instances as they were given. Nobody registers here.
#[derive(Clone, Debug, Default)]
pub struct FixedList(Vec<Instance>);

impl FixedList {
    /// Parses `NAME=URL,NAME=URL`; a name may come more than once, and names its contexts where it doesn't serve all:
    /// `NAME/CONTEXT+CONTEXT=URL`. An error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| {
                instance(entry)
                    .ok_or_else(|| format!("`{entry}` is not NAME=http://HOST:PORT or NAME/CONTEXT+CONTEXT=http://HOST:PORT"))
            })
            .collect()
    }
}

impl FromIterator<Instance> for FixedList {
    fn from_iter<I: IntoIterator<Item = Instance>>(instances: I) -> Self {
        Self(instances.into_iter().collect())
    }
}

fn instance(entry: &str) -> Option<Instance> {
    let (name, url) = entry.split_once('=')?;
    let (name, contexts) = name.split_once('/').map_or((name, None), |(name, contexts)| (name, Some(contexts)));
    let contexts: Vec<_> = contexts.map(|contexts| contexts.split('+').map(str::to_owned).collect()).unwrap_or_default();
    let url: Uri = url.parse().ok()?;
    // Anything behind the port would be lost: calls are made to paths from the root.
    let is_plain = url.scheme_str() == Some("http") && url.path() == "/" && url.query().is_none();
    if name.is_empty() || contexts.iter().any(String::is_empty) || !is_plain || url.authority()?.as_str().contains('@') {
        return None;
    }
    let host = url.host()?.trim_matches(['[', ']']).to_owned();
    let port = url.port_u16().unwrap_or(80);
    let mut instance = Instance {
        // The same at each start, as the entry is.
        id: Uuid::new_v5(&Uuid::NAMESPACE_URL, entry.as_bytes()),
        name: name.to_owned(),
        host,
        port,
        health_url: String::new(),
        version: String::new(),
        contexts,
    };
    instance.health_url = format!("{}/ready", instance.base_url());
    Some(instance)
}

impl ServiceRegistry for FixedList {
    fn register<'a>(&'a self, _instance: &'a Instance) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(ready(Ok(())))
    }

    fn heartbeat<'a>(&'a self, _instance: &'a Instance) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(ready(Ok(())))
    }

    fn deregister<'a>(&'a self, _instance: &'a Instance) -> BoxFuture<'a, Result<(), RegistryError>> {
        Box::pin(ready(Ok(())))
    }

    fn heartbeat_every(&self) -> Option<Duration> {
        None
    }

    fn list(&self) -> BoxFuture<'_, Listing> {
        Box::pin(ready(Listing { instances: self.0.clone(), is_current: true }))
    }

    fn watch(&self, name: &str) -> watch::Receiver<Arc<[Instance]>> {
        watch::channel(self.0.iter().filter(|instance| instance.name == name).cloned().collect()).1
    }
}

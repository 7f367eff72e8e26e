//! Orders of two lines, under ids of ours, so that what becomes of each can be followed.

use std::sync::Arc;

use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use crate::{
    load::Requests,
    measures::post,
    system::{Running, token},
};

/// Orders in one body of `POST /v1/commands`.
const CHUNK: usize = 5_000;
/// Such requests at a time.
const STREAMS: usize = 4;

/// The two lines of an order.
#[must_use]
pub(crate) fn lines(products: &[Uuid], random: &mut fastrand::Rng) -> String {
    let (first, second) = (products[random.usize(..products.len())], products[random.usize(..products.len())]);
    let (one, two) = (random.u8(1..9), random.u8(1..9));
    format!(r#""lines":[{{"product_id":"{first}","quantity":{one}}},{{"product_id":"{second}","quantity":{two}}}]"#)
}

/// Places orders one by one, each with an idempotency key; the answers begin with the order's id.
pub(crate) struct Placing {
    token: String,
    products: Arc<[Uuid]>,
}

impl Placing {
    /// Of these products.
    pub(crate) fn of(products: &Arc<[Uuid]>) -> anyhow::Result<Self> {
        Ok(Self { token: token()?, products: Arc::clone(products) })
    }

    /// The requests of one connection.
    #[must_use]
    pub(crate) fn requests(&self) -> Requests {
        let (token, products) = (self.token.clone(), Arc::clone(&self.products));
        let mut random = fastrand::Rng::new();
        Box::new(move |request| {
            let body = format!(r#"{{"id":"{}",{}}}"#, Uuid::now_v7(), lines(&products, &mut random));
            post(request, "/v1/orders", &token, &format!("{:032x}", random.u128(..)), &body);
        })
    }
}

/// The id that an answer begins with.
#[must_use]
pub(crate) fn answered_id(body: &[u8]) -> Option<Uuid> {
    const BEFORE: &[u8] = br#"{"id":""#;
    let id = body.strip_prefix(BEFORE)?.first_chunk::<36>()?;
    Uuid::try_parse_ascii(id).ok()
}

/// Places many orders, as fast as it goes, and gives their ids.
pub(crate) async fn fill(service: &Running, products: &[Uuid], count: usize) -> anyhow::Result<Vec<Uuid>> {
    let client = reqwest::Client::new();
    let (url, token) = (format!("{}/v1/commands", service.url()), token()?);
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    stream::iter(ids.chunks(CHUNK))
        .map(|ids| {
            let request = client.post(&url).bearer_auth(&token).header("content-type", "application/x-ndjson");
            async move {
                let answers = request.body(commands(ids, products)).send().await?.text().await?;
                let refused = answers.lines().find(|answer| !answer.contains(r#""status":201"#));
                ensure!(refused.is_none(), "an order was refused: {}", refused.unwrap_or_default());
                ensure!(answers.lines().count() == ids.len(), "an order was not answered");
                Ok(())
            }
        })
        .buffer_unordered(STREAMS)
        .try_collect::<()>()
        .await?;
    Ok(ids)
}

fn commands(ids: &[Uuid], products: &[Uuid]) -> String {
    let mut random = fastrand::Rng::new();
    let line = |id: &Uuid| format!(r#"{{"command":"place-order","id":"{id}","data":{{{}}}}}"#, lines(products, &mut random));
    ids.iter().map(line).collect::<Vec<_>>().join("\n")
}

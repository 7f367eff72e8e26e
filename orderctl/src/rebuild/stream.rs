//! `orderctl rebuild --stream`: one view folded anew from the event store, by the owner of its partition.

use anyhow::{Context, Result, bail};
use reqwest::Method;
use uuid::Uuid;

use super::RebuildArgs;
use crate::{
    api::{Api, Service},
    dlq::{Answer, describe},
};

/// Has it done, or asks what it would change, and shows that.
pub(super) async fn rebuild(api: &Api, name: &str, stream: Uuid, args: &RebuildArgs) -> Result<()> {
    let path = format!("/v1/rebuilds/{name}/streams/{stream}?dry_run={}", args.dry_run);
    let response = api.request(Method::POST, Service::Projector, &path).send().await;
    let response = response.map_err(|error| api.unreachable(Service::Projector, error))?;
    let (status, body) = (response.status(), response.bytes().await.with_context(|| format!("the answer to {path} broke off"))?);
    if !status.is_success() {
        return Err(Api::refusal(status, &body, &path));
    }
    let answer: Answer = serde_json::from_slice(&body).with_context(|| format!("the answer to {path} is not JSON"))?;
    println!("{}", describe(&format!("{name}/{stream}"), &answer));
    match answer.outcome() {
        "same" => Ok(()),
        "rebuilt" | "differs" if !args.expect_no_difference => Ok(()),
        "rebuilt" | "differs" => bail!("{name}/{stream}: the view is not what the event store makes of it"),
        outcome => bail!("{name}/{stream}: {outcome}; nothing was changed"),
    }
}

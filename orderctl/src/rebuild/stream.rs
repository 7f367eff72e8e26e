//! `orderctl rebuild --stream`: one view folded anew from the event store, by the owner of its partition.

use anyhow::{Context, Result, bail};
use uuid::Uuid;

use super::{RebuildArgs, act};
use crate::{
    api::Api,
    dlq::{Answer, describe},
};

/// Has it done, or asks what it would change, and shows that.
pub(super) async fn rebuild(api: &Api, name: &str, stream: Uuid, args: &RebuildArgs) -> Result<()> {
    let verb = format!("streams/{stream}?dry_run={}", args.dry_run);
    let answer: Answer = serde_json::from_value(act(api, name, &verb).await?).context("the projector answered something else")?;
    println!("{}", describe(&format!("{name}/{stream}"), &answer));
    match answer.outcome() {
        "same" => Ok(()),
        "rebuilt" | "differs" if !args.expect_no_difference => Ok(()),
        "rebuilt" | "differs" => bail!("{name}/{stream}: the view is not what the event store makes of it"),
        outcome => bail!("{name}/{stream}: {outcome}; nothing was changed"),
    }
}

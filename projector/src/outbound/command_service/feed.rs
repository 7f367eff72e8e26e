//! The event store lane by lane, for audits.

use events::{Context, RecordedEvent};
use serde::Deserialize;

use super::{CommandService, CommandServiceError, checked};

#[derive(Deserialize)]
struct Lanes {
    heads: Vec<u64>,
}

impl CommandService {
    /// The `seq` of each lane's last event, by lane.
    pub async fn lanes(&self, context: Context) -> Result<Vec<u64>, CommandServiceError> {
        let url = format!("{}/v1/lanes?context={context}", self.bases.of(context));
        let lanes: Lanes = checked(self.ask(|| self.http.get(&url)).await?).await?.json().await?;
        Ok(lanes.heads)
    }

    /// The first `limit` (at most 10,000) events of a lane after `seq` `after`; fewer: the end, for now.
    pub async fn feed(
        &self,
        context: Context,
        lane: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, CommandServiceError> {
        let url = format!("{}/v1/feed?context={context}&lane={lane}&after={after}&limit={limit}", self.bases.of(context));
        let lines = checked(self.ask(|| self.http.get(&url)).await?).await?.bytes().await?;
        let lines = serde_json::Deserializer::from_slice(&lines).into_iter().collect::<Result<_, _>>();
        lines.map_err(CommandServiceError::Feed)
    }
}

//! Who was known last, and for how long that is believed.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use super::Instance;

/// What lay in the registry at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Another one after the registry was emptied; none: nobody has ever registered.
    pub(super) epoch: Option<String>,
    pub(super) instances: Vec<Instance>,
}

/// Who was known last. After the registry was away or was emptied, those who are not in it (yet) are believed to be there for
/// as long as it takes the living to come back.
#[derive(Debug)]
pub(super) struct Memory {
    known: BTreeMap<Uuid, Instance>,
    epoch: Option<String>,
    is_away: bool,
    believes_until: Option<Instant>,
    patience: Duration,
}

impl Memory {
    pub(super) fn new(patience: Duration) -> Self {
        Self { known: BTreeMap::new(), epoch: None, is_away: false, believes_until: None, patience }
    }

    /// Everybody.
    pub(super) fn known(&self) -> impl Iterator<Item = &Instance> {
        self.known.values()
    }

    /// The registry does not answer. Says whether that is news.
    pub(super) fn lost(&mut self) -> bool {
        !std::mem::replace(&mut self.is_away, true)
    }

    /// The registry has answered.
    pub(super) fn learn(&mut self, found: Found, now: Instant) {
        let was_emptied = self.epoch.is_some() && self.epoch != found.epoch;
        if was_emptied || self.is_away {
            self.believes_until = Some(now + self.patience);
        }
        (self.epoch, self.is_away) = (found.epoch, false);
        if self.believes_until.is_some_and(|until| now < until) {
            // Who was started again at the same place is not there twice.
            let replaces = |new: &Instance, old: &Instance| (&new.host, new.port) == (&old.host, old.port);
            self.known.retain(|_, old| !found.instances.iter().any(|new| replaces(new, old)));
        } else {
            self.believes_until = None;
            self.known.clear();
        }
        self.known.extend(found.instances.into_iter().map(|instance| (instance.id, instance)));
    }
}

//! Reads of single views, and waiting for their next version.

use ::redis::RedisError;
use events::{Context, StreamId};
use read_model::{Generation, keys::Parked};

use super::{
    Link, RedisReadError, View,
    completeness::{self, Said},
    session::{Session, is_lost_connection},
    view_key::ViewKey,
    waiters::Place,
};

/// What a read past the cache finds.
#[derive(Debug)]
pub struct Fresh {
    /// The view, if there is one.
    pub view: Option<View>,
    /// Why its stream is parked, if it is.
    pub parked: Option<Parked>,
}

/// A view as it is in the generation that is read.
#[derive(Debug)]
pub struct Present {
    /// The generation's number.
    pub generation: u32,
    /// The view, if there is one.
    pub view: Option<View>,
}

/// A place among those that wait; see [`Link::wait`].
pub struct Waiting(Place);

impl Waiting {
    /// Resolves when the view may have changed. Enable it before the read that decides whether to wait.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.notify().notified()
    }
}

impl Link {
    /// The view in process, if it is there and true.
    #[must_use]
    pub fn cached(&self, context: Context, stream: StreamId) -> Option<View> {
        let live = self.live()?;
        let session = live.as_ref()?;
        let generation = session.generation_of(context)?;
        session.tracking.cache.get(&ViewKey::new(context, generation, stream))
    }

    /// A view: cached, or read from Redis and then cached.
    pub async fn view(&self, context: Context, stream: StreamId) -> Result<Option<View>, RedisReadError> {
        // Most reads end here, without a task switch, an allocation or a timer.
        if let Some(view) = self.cached(context, stream) {
            return Ok(Some(view));
        }
        Ok(self.present(context, stream).await?.view)
    }

    /// A view, cached or read, and the generation that it is from.
    pub async fn present(&self, context: Context, stream: StreamId) -> Result<Present, RedisReadError> {
        let session = self.session().await?;
        match self.present_in(&session, context, stream).await {
            // The request went down with its connection. Reads may be repeated, and a new session is near.
            Err(RedisReadError::Unavailable(_)) if !session.is_alive() => {
                let session = self.session().await?;
                self.present_in(&session, context, stream).await
            }
            outcome => outcome,
        }
    }

    async fn present_in(&self, session: &Session, context: Context, stream: StreamId) -> Result<Present, RedisReadError> {
        let resolved = session.generations()?;
        if let Ok(generation) = resolved.of(context)
            && let Some(view) = self.load(session, context, generation, stream).await?
        {
            return Ok(Present { generation: generation.number, view: Some(view) });
        }
        // Before saying that it is not there: a flush or a switch may have come between the pointer and the view.
        let settled = session.settled_generations().await?;
        let generation = settled.of(context)?;
        if *settled != *resolved
            && let Some(view) = self.load(session, context, generation, stream).await?
        {
            return Ok(Present { generation: generation.number, view: Some(view) });
        }
        let view = self.absent(context, generation, stream).await?;
        Ok(Present { generation: generation.number, view })
    }

    /// Fails when a view that is not found where this one is might only be missing.
    pub async fn check_complete(&self, context: Context, stream: StreamId) -> Result<(), RedisReadError> {
        let generation = self.session().await?.generations()?.of(context)?;
        let slot = generation.slot_of(&self.settings().prefix, context, stream);
        self.run_whole::<Vec<()>>(context, &[slot], |_| ()).await.map(drop)
    }

    /// Asks again for a view that was not there, together with whether that means anything.
    async fn absent(&self, context: Context, generation: Generation, stream: StreamId) -> Result<Option<View>, RedisReadError> {
        let slot = generation.slot_of(&self.settings().prefix, context, stream);
        let mut pipeline = ::redis::pipe();
        pipeline.atomic();
        completeness::ask(&mut pipeline, &slot);
        pipeline.cmd("GET").arg(slot.view(stream));
        let (said, stored): (Said, Option<Vec<u8>>) = self.run(&pipeline).await?;
        match stored {
            Some(stored) => View::decode(stored).map(Some),
            None if said.is_complete() => Ok(None),
            None => {
                let slots: Vec<_> = generation.slots(&self.settings().prefix, context).collect();
                Err(self.incomplete(context, &slots).await)
            }
        }
    }

    async fn load(
        &self,
        session: &Session,
        context: Context,
        generation: Generation,
        stream: StreamId,
    ) -> Result<Option<View>, RedisReadError> {
        let key = ViewKey::new(context, generation, stream);
        let load = async {
            session.tracking.misses.increment(1);
            let mut connection = session.tracked.clone();
            let redis_key = generation.slot_of(&self.settings().prefix, context, stream).view(stream);
            let stored: Option<Vec<u8>> = ::redis::cmd("GET").arg(redis_key).query_async(&mut connection).await?;
            stored.map(View::decode).transpose()
        };
        session.tracking.cache.get_or_load(key, self.settings().timeout, load).await
    }

    /// Takes a place among those that wait for this view to change.
    pub async fn wait(&self, context: Context, stream: StreamId) -> Result<Waiting, RedisReadError> {
        self.session().await?.generations()?.of(context)?;
        let place = self.listeners().waiters.join((context, stream));
        place.map(Waiting).ok_or(RedisReadError::TooManyWaiting)
    }

    /// Takes a place for a stream that follows this view, whatever becomes of Redis and its generations meanwhile.
    #[must_use]
    pub fn follow(&self, context: Context, stream: StreamId) -> Waiting {
        Waiting(self.listeners().waiters.follow((context, stream)))
    }

    /// How many times Redis was seen to be flushed.
    #[must_use]
    pub fn times_emptied(&self) -> u64 {
        self.listeners().times_emptied()
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.listeners().waiters.count()
    }

    /// Reads past the cache, on the tracked connection: the next change of what was read wakes those that wait.
    pub async fn fresh(&self, context: Context, stream: StreamId) -> Result<Fresh, RedisReadError> {
        let session = self.session().await?;
        let generation = session.generations()?.of(context)?;
        let slot = generation.slot_of(&self.settings().prefix, context, stream);
        let mut pipeline = ::redis::pipe();
        pipeline.cmd("GET").arg(slot.view(stream));
        pipeline.cmd("HGET").arg(slot.parked()).arg(stream.simple().to_string());
        type Reply = (Option<Vec<u8>>, Option<String>);
        let reply: Result<Reply, RedisError> = pipeline.query_async(&mut session.tracked.clone()).await;
        let (stored, parked) = match reply {
            Err(error) if is_lost_connection(&error) => pipeline.query_async(&mut self.session().await?.tracked.clone()).await?,
            reply => reply?,
        };
        let parked = parked.as_deref().map(serde_json::from_str).transpose();
        Ok(Fresh {
            view: stored.map(View::decode).transpose()?,
            parked: parked.map_err(|error| RedisReadError::Malformed(format!("parked stream: {error}")))?,
        })
    }
}

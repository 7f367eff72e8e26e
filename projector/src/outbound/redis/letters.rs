//! Parked streams, what operators ask of them, and the record of what they did.

use std::collections::HashMap;

use events::{Context, StreamId};
use read_model::{
    Generation, Pointers, Slot, StoredView,
    keys::{self, Parked},
};
use uuid::Uuid;

use super::{RedisStore, RedisStoreError, malformed, parked_stream};
use crate::application::redrive::{Operation, Request};

/// The field of the ring of operations that counts them.
pub const NEXT: &str = "next";

impl RedisStore {
    /// The generation of each context that is read.
    pub async fn live(&self) -> Result<Vec<(Context, Generation)>, RedisStoreError> {
        let key = keys::generations(&self.prefix);
        let stored: HashMap<String, Vec<u8>> = redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection()).await?;
        let wrong = malformed(key);
        let known = Context::ALL.into_iter().filter_map(|context| Some((context, stored.get(context.name())?)));
        known.map(|(context, json)| Ok((context, serde_json::from_slice(json).map_err(&wrong)?))).collect()
    }

    /// The generation of a context that is read, if there is one.
    pub async fn live_of(&self, context: Context) -> Result<Option<Generation>, RedisStoreError> {
        Ok(self.live().await?.into_iter().find_map(|(of, generation)| (of == context).then_some(generation)))
    }

    /// The parked streams of a slot.
    pub async fn parked(&self, slot: &Slot) -> Result<Vec<(StreamId, Parked)>, RedisStoreError> {
        let parked: HashMap<String, Vec<u8>> =
            redis::cmd("HGETALL").arg(slot.parked()).query_async(&mut self.connection()).await?;
        parked.into_iter().map(|(stream, json)| parked_stream(slot, &stream, &json)).collect()
    }

    /// Why a stream is parked, if it is, and the version of its view; 0 when there is none.
    pub async fn parked_one(&self, slot: &Slot, stream: StreamId) -> Result<(Option<Parked>, u64), RedisStoreError> {
        let mut pipe = redis::pipe();
        pipe.cmd("HGET").arg(slot.parked()).arg(stream.simple().to_string());
        pipe.cmd("GETRANGE").arg(slot.view(stream)).arg(0).arg(read_model::stored::HEADER_BYTES - 1);
        let (parked, header): (Option<Vec<u8>>, Vec<u8>) = pipe.query_async(&mut self.connection()).await?;
        let parked = parked.map(|json| serde_json::from_slice(&json)).transpose().map_err(malformed(slot.parked()))?;
        Ok((parked, StoredView::decode(&header).map_or(0, |view| view.header.version)))
    }

    /// How some streams are parked in other generations of a context than this one, where they are discarded there.
    pub async fn discarded_elsewhere(
        &self,
        context: Context,
        here: Generation,
        streams: &[StreamId],
    ) -> Result<Vec<(StreamId, Parked)>, RedisStoreError> {
        let Pointers { live, building, previous, .. } = self.pointers().await?.remove(&context).unwrap_or_default();
        let (building, previous) = (building.map(|building| building.generation), previous.map(|previous| previous.generation));
        let others = [live, building, previous].into_iter().flatten().filter(|generation| *generation != here);
        let asked: Vec<(Slot, StreamId)> = others
            .flat_map(|generation| streams.iter().map(move |stream| (generation, *stream)))
            .map(|(generation, stream)| (generation.slot_of(&self.prefix, context, stream), stream))
            .collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for (slot, stream) in &asked {
            pipe.cmd("HGET").arg(slot.parked()).arg(stream.simple().to_string());
        }
        let found: Vec<Option<Vec<u8>>> = pipe.query_async(&mut self.connection()).await?;
        let parked = asked.iter().zip(found).filter_map(|((slot, stream), json)| {
            let parked = serde_json::from_slice::<Parked>(&json?).map_err(malformed(slot.parked()));
            Some(parked.map(|parked| (*stream, parked)))
        });
        parked.filter(|parked| !parked.as_ref().is_ok_and(|(_, parked)| parked.is_open())).collect()
    }

    /// What operators ask of the owner of a slot, the oldest first.
    pub async fn requests(&self, slot: &Slot) -> Result<Vec<(Uuid, Request)>, RedisStoreError> {
        let stored: HashMap<String, Vec<u8>> =
            redis::cmd("HGETALL").arg(slot.redrives()).query_async(&mut self.connection()).await?;
        let mut requests = Vec::with_capacity(stored.len());
        for (id, json) in stored {
            match (id.parse(), serde_json::from_slice::<Request>(&json)) {
                (Ok(id), Ok(request)) => requests.push((id, request)),
                // Of another version of us, whose caller gives up by itself.
                _ => tracing::warn!(request.id = id, "a request about a dead letter can't be read"),
            }
        }
        requests.sort_unstable_by_key(|(_, request)| request.at);
        Ok(requests)
    }

    /// One request, with its answer if there is one.
    pub async fn request(&self, slot: &Slot, id: Uuid) -> Result<Option<Request>, RedisStoreError> {
        let mut get = redis::cmd("HGET");
        let json: Option<Vec<u8>> =
            get.arg(slot.redrives()).arg(id.simple().to_string()).query_async(&mut self.connection()).await?;
        json.map(|json| serde_json::from_slice(&json)).transpose().map_err(malformed(slot.redrives()))
    }

    /// Puts a request in, or changes it.
    pub async fn put_request(&self, slot: &Slot, id: Uuid, request: &Request) -> Result<(), RedisStoreError> {
        let json = serde_json::to_vec(request).map_err(malformed(slot.redrives()))?;
        let mut set = redis::cmd("HSET");
        set.arg(slot.redrives()).arg(id.simple().to_string()).arg(json);
        Ok(set.query_async(&mut self.connection()).await?)
    }

    /// Takes a request away.
    pub async fn drop_request(&self, slot: &Slot, id: Uuid) -> Result<(), RedisStoreError> {
        let mut delete = redis::cmd("HDEL");
        Ok(delete.arg(slot.redrives()).arg(id.simple().to_string()).query_async(&mut self.connection()).await?)
    }

    /// How many operations there were on a slot.
    pub async fn operations_done(&self, slot: &Slot) -> Result<u64, RedisStoreError> {
        let next: Option<u64> = redis::cmd("HGET").arg(slot.operations()).arg(NEXT).query_async(&mut self.connection()).await?;
        Ok(next.unwrap_or(0))
    }

    /// The last operations on a slot, in no order.
    pub async fn operations(&self, slot: &Slot) -> Result<Vec<Operation>, RedisStoreError> {
        let mut stored: HashMap<String, Vec<u8>> =
            redis::cmd("HGETALL").arg(slot.operations()).query_async(&mut self.connection()).await?;
        stored.remove(NEXT);
        let wrong = malformed(slot.operations());
        stored.into_values().map(|json| serde_json::from_slice(&json).map_err(&wrong)).collect()
    }
}

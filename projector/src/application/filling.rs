//! Reading the event store for slots that the topic can't fill: one reader a context and process, for all slots that the
//! process fills at a time.
//!
//! The lanes are read in turn, round and round, each from where the slot that has least of it is. A slot that comes later
//! joins at the next lane and gets those before it when their turn comes again, so that a dozen slots that begin at about the
//! same time cost one reading, and not a dozen.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use events::{Context, RecordedEvent};
use read_model::{Filling, Generation};
use tokio::sync::mpsc;

use crate::outbound::command_service::CommandService;

/// Events that are read at a time: about a megabyte.
const PAGE: usize = 2_000;
/// Portions that wait for a slot.
const PORTIONS: usize = 2;
/// How long the others wait for a slot that takes nothing. It is let go then, and comes back when it can.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pauses after failures: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Some events of a lane that belong to a slot.
#[derive(Debug)]
pub struct Portion {
    /// The lane.
    pub lane: usize,
    /// The `seq` up to which the slot has all of the lane with these; later than the last event's, where others follow it that
    /// belong elsewhere.
    pub upto: u64,
    /// In their order; perhaps none.
    pub events: Vec<RecordedEvent>,
}

/// What a slot is given: a portion, or why there is none for now.
pub type Given = Result<Portion, String>;

/// The readers of this process.
pub struct Fillings {
    commands: Arc<CommandService>,
    readers: Mutex<HashMap<Context, mpsc::UnboundedSender<Subscriber>>>,
}

/// A slot that is filled.
struct Subscriber {
    generation: Generation,
    partition: u32,
    /// How far it was given.
    filling: Filling,
    portions: mpsc::Sender<Given>,
}

impl Fillings {
    /// Readers of this event store; they begin when they are needed.
    #[must_use]
    pub fn new(commands: Arc<CommandService>) -> Self {
        Self { commands, readers: Mutex::default() }
    }

    /// What the slot lacks, lane by lane. It ends when the slot was given everything, or took nothing for too long.
    pub fn subscribe(&self, context: Context, generation: Generation, partition: u32, filling: Filling) -> mpsc::Receiver<Given> {
        let (sender, receiver) = mpsc::channel(PORTIONS);
        let subscriber = Subscriber { generation, partition, filling, portions: sender };
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = readers.entry(context).or_insert_with(|| self.begin(context));
        if let Err(mpsc::error::SendError(subscriber)) = reader.send(subscriber) {
            // The reader failed, which it does not; another one takes its place.
            *reader = self.begin(context);
            let _ = reader.send(subscriber);
        }
        receiver
    }

    fn begin(&self, context: Context) -> mpsc::UnboundedSender<Subscriber> {
        let (sender, joining) = mpsc::unbounded_channel();
        tokio::spawn(read(Arc::clone(&self.commands), context, joining));
        sender
    }
}

/// Reads for whoever joins, for as long as anybody may.
async fn read(commands: Arc<CommandService>, context: Context, mut joining: mpsc::UnboundedReceiver<Subscriber>) {
    let (mut subscribers, mut lane) = (Vec::<Subscriber>::new(), 0);
    loop {
        if subscribers.is_empty() {
            let Some(subscriber) = joining.recv().await else { return };
            subscribers.push(subscriber);
        }
        while let Ok(subscriber) = joining.try_recv() {
            subscribers.push(subscriber);
        }
        let lanes = subscribers.iter().map(|subscriber| subscriber.filling.heads.len()).max().unwrap_or(0);
        let is_lacked = |lane: &usize| subscribers.iter().any(|subscriber| subscriber.filling.lacks(*lane));
        if let Some(next) = (lane..lanes).chain(0..lane.min(lanes)).find(is_lacked) {
            read_lane(&commands, context, next, &mut subscribers).await;
            lane = next + 1;
        }
        subscribers.retain(|subscriber| !subscriber.filling.is_over() && !subscriber.portions.is_closed());
    }
}

async fn read_lane(commands: &CommandService, context: Context, lane: usize, subscribers: &mut Vec<Subscriber>) {
    let Ok(number) = u16::try_from(lane) else { return };
    loop {
        let lacking = subscribers.iter().filter(|subscriber| subscriber.filling.lacks(lane));
        let Some(after) = lacking.clone().map(|subscriber| subscriber.filling.lanes[lane]).min() else { return };
        let head = lacking.map(|subscriber| subscriber.filling.heads[lane]).max().unwrap_or(after);
        let Some(events) = page(commands, context, number, after, subscribers).await else { return };
        // A store that has less than it had was restored to an earlier point: there is no more to be had.
        let upto = if events.len() < PAGE { head } else { events.last().map_or(head, |event| event.seq) };
        for subscriber in subscribers.iter_mut().filter(|subscriber| subscriber.filling.lacks(lane)) {
            subscriber.give(lane, upto, &events).await;
        }
        subscribers.retain(|subscriber| !subscriber.portions.is_closed());
    }
}

/// A page of a lane, as soon as it is to be had; none when nobody wants it any more.
async fn page(
    commands: &CommandService,
    context: Context,
    lane: u16,
    after: u64,
    subscribers: &mut Vec<Subscriber>,
) -> Option<Vec<RecordedEvent>> {
    let (mut pause, longest) = PAUSES;
    loop {
        match commands.feed(context, lane, after, PAGE).await {
            Ok(events) => return Some(events),
            Err(error) => {
                for subscriber in &*subscribers {
                    // Whoever has something else to do will hear of the next failure.
                    let _ = subscriber.portions.try_send(Err(error.to_string()));
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
        subscribers.retain(|subscriber| !subscriber.portions.is_closed());
        if subscribers.is_empty() {
            return None;
        }
    }
}

impl Subscriber {
    async fn give(&mut self, lane: usize, upto: u64, events: &[RecordedEvent]) {
        let reached = self.filling.lanes[lane];
        let is_its =
            |event: &&RecordedEvent| event.seq > reached && self.generation.partition_of(event.stream_id) == self.partition;
        let events: Vec<RecordedEvent> = events.iter().filter(is_its).cloned().collect();
        self.filling.reach(lane, upto);
        // It hears of what is not its own with the next events, or at the end of the lane.
        if events.is_empty() && self.filling.lacks(lane) {
            return;
        }
        if self.portions.send_timeout(Ok(Portion { lane, upto, events }), PATIENCE).await.is_err() {
            // Nothing more is given: it would have a gap.
            let (closed, _) = mpsc::channel(1);
            self.portions = closed;
        }
    }
}

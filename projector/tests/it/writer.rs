//! Who writes a slot is fenced by what others have written, whenever they did, and whatever happens to its connection.

use std::num::NonZeroUsize;

use events::{Context, StreamId};
use projector::{
    application::changes::Changes,
    outbound::redis::{Applied, RedisStore, SlotWriter, Step},
};
use read_model::Slot;
use uuid::Uuid;

use super::{
    faults::orders,
    oracle::assert_equals_fold,
    process::Projector,
    world::{World, eventually, generation, interleaved},
};

const STREAM: StreamId = Uuid::from_u128(7);

struct Bench {
    world: World,
    store: RedisStore,
    slot: Slot,
}

impl Bench {
    fn new() -> Self {
        let world = World::new();
        Self::over(&world.redis_url.clone(), world)
    }

    /// With this way to Redis.
    fn over(url: &str, world: World) -> Self {
        let runtime = world.runtime().enter();
        let store = RedisStore::new(url, &world.prefix, NonZeroUsize::new(100).unwrap()).unwrap();
        drop(runtime);
        let slot = Slot::new(&world.prefix, generation(), Context::Users, 0);
        Self { world, store, slot }
    }

    fn writer(&self) -> SlotWriter {
        self.store.writer(self.slot.clone())
    }

    fn apply(&self, writer: &SlotWriter, from: Option<u64>, changes: &Changes) -> Result<Applied, String> {
        let step = Step { from, to: from.unwrap_or(0) + 1 };
        let applied = self.world.runtime().block_on(writer.apply(step, "cluster", changes));
        applied.map_err(|error| error.to_string())
    }

    fn view(&self) -> Option<String> {
        redis::cmd("GET").arg(self.slot.view(STREAM)).query(&mut self.world.redis()).unwrap()
    }

    fn owner(&self, value: &str) -> Option<StreamId> {
        let mut redis = self.world.redis();
        let owner: Option<String> = redis::cmd("HGET").arg(self.slot.owners("email")).arg(value).query(&mut redis).unwrap();
        owner.map(|owner| owner.parse().unwrap())
    }
}

fn view(text: &str) -> Changes {
    Changes { views: vec![(STREAM, text.into())], ..Changes::default() }
}

#[test]
fn what_is_folded_on_an_old_revision_is_not_written() {
    let bench = Bench::new();
    let (first, second) = (bench.writer(), bench.writer());
    assert_eq!(bench.apply(&first, Some(4), &view("of a slot that is gone")).unwrap(), Applied::Fenced);
    assert_eq!(bench.apply(&first, None, &view("first")).unwrap(), Applied::Written);
    assert_eq!(bench.apply(&second, None, &view("of an empty slot")).unwrap(), Applied::Fenced);
    // The first watches since it wrote: it asks nobody before it writes again.
    assert_eq!(bench.apply(&second, Some(1), &view("second")).unwrap(), Applied::Written);
    assert_eq!(bench.apply(&first, Some(1), &view("late")).unwrap(), Applied::Fenced);
    assert_eq!(bench.view().unwrap(), "second");
    assert_eq!(bench.apply(&first, Some(2), &view("first again")).unwrap(), Applied::Written);
    assert_eq!(bench.view().unwrap(), "first again");
}

#[test]
fn an_emptied_redis_fences_too() {
    let bench = Bench::new();
    let writer = bench.writer();
    assert_eq!(bench.apply(&writer, None, &view("before")).unwrap(), Applied::Written);
    let revision = |writer: &SlotWriter| bench.world.runtime().block_on(writer.revision()).unwrap();
    assert_eq!(revision(&writer), Some(1));
    let _: () = redis::cmd("DEL").arg(bench.world.keys()).query(&mut bench.world.redis()).unwrap();
    assert_eq!(bench.apply(&writer, Some(1), &view("after")).unwrap(), Applied::Fenced);
    assert_eq!((bench.view(), revision(&writer)), (None, None));
    assert_eq!(bench.apply(&writer, None, &view("anew")).unwrap(), Applied::Written);
}

#[test]
fn a_value_that_another_has_claimed_since_is_not_released() {
    let bench = Bench::new();
    let writer = bench.writer();
    let other = Uuid::from_u128(8);
    let claim = |stream, value: &str| Changes { claimed: vec![("email", value.to_owned(), stream)], ..Changes::default() };
    let release = |value: &str| Changes { released: vec![("email", value.to_owned(), STREAM)], ..Changes::default() };
    let chunks = [claim(STREAM, "a"), claim(STREAM, "b"), claim(other, "b"), release("a"), release("b")];
    for (rev, changes) in (0..).zip(&chunks) {
        assert_eq!(bench.apply(&writer, (rev > 0).then_some(rev), changes).unwrap(), Applied::Written);
    }
    assert_eq!((bench.owner("a"), bench.owner("b")), (None, Some(other)));
}

/// A Redis user of this test alone, whose connections can be cut without cutting those of other tests.
struct RedisUser<'w>(&'w World);

impl<'w> RedisUser<'w> {
    fn new(world: &'w World) -> Self {
        let user = redis::cmd("ACL").arg("SETUSER").arg(&world.prefix).arg(&["on", ">secret", "~*", "&*", "+@all"]).to_owned();
        let _: () = user.query(&mut world.redis()).unwrap();
        Self(world)
    }

    fn url(&self) -> String {
        let (_, server) = self.0.redis_url.rsplit_once('@').unwrap();
        format!("redis://{}:secret@{server}", self.0.prefix)
    }

    /// How many connections were cut.
    fn cut(&self) -> u64 {
        redis::cmd("CLIENT").arg("KILL").arg("USER").arg(&self.0.prefix).query(&mut self.0.redis()).unwrap()
    }
}

impl Drop for RedisUser<'_> {
    fn drop(&mut self) {
        let _: Result<u64, _> = redis::cmd("ACL").arg("DELUSER").arg(&self.0.prefix).query(&mut self.0.redis());
    }
}

#[test]
fn a_writer_whose_connection_was_cut_watches_over_the_next_one() {
    let world = World::new();
    let user = RedisUser::new(&world);
    let bench = Bench::over(&user.url(), World::new());
    let (first, second) = (bench.writer(), bench.writer());
    assert_eq!(bench.apply(&first, None, &view("first")).unwrap(), Applied::Written);
    assert_eq!(user.cut(), 1);
    bench.apply(&first, Some(1), &view("into the void")).unwrap_err();
    assert_eq!(bench.apply(&first, Some(1), &view("first again")).unwrap(), Applied::Written);
    user.cut();
    bench.apply(&first, Some(2), &view("into the void")).unwrap_err();
    assert_eq!(bench.apply(&second, Some(2), &view("second")).unwrap(), Applied::Written);
    assert_eq!(bench.apply(&first, Some(2), &view("late")).unwrap(), Applied::Fenced);
    assert_eq!(bench.view().unwrap(), "second");
}

#[test]
fn connections_that_are_cut_lose_and_double_nothing() {
    let world = World::new();
    let user = RedisUser::new(&world);
    let projector = Projector::start_with(&world, &[("REDIS_URL", &user.url())]);
    let events = interleaved(&orders(200));
    let mut cut = 0;
    for part in events.chunks(100) {
        world.write(Context::Orders, part);
        eventually("something is cut", || {
            cut += user.cut();
            cut > 0
        });
    }
    assert_equals_fold(&world, events.len(), &events);
    assert_eq!(projector.metric("orderflow_dead_letters_total"), 0);
}

//! A build gives way: while what is read is behind, it stands still, and says so.

use events::{Context, RecordedEvent};
use serde_json::Value;

use super::{
    oracle::offsets,
    process::Projector,
    rebuild::{building, holds},
    world::{World, eventually, interleaved, order},
};

/// A chunk for each partition: what may be under way when the build is stopped.
const UNDER_WAY: i64 = 3 * 16;

fn lag(projector: &Projector) -> u64 {
    projector.metric("orderflow_projection_lag_records")
}

fn done(projector: &Projector) -> i64 {
    building(projector)["done"].as_i64().unwrap_or(0)
}

#[test]
fn a_build_stands_still_while_what_is_read_is_behind() {
    let world = World::new();
    let events: Vec<RecordedEvent> = interleaved(&(0..1_600).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &events);
    // What is read is slow, and the build is not.
    let projector = Projector::start_with(&world, &[("FAILPOINTS", "projector::slow-first=return(1000)")]);
    eventually("the lag is known", || lag(&projector) > 6_000);
    eventually("it begins", || projector.ask("POST", "/v1/rebuilds/orders/build", &Value::Null).0 == 200);
    eventually("it gives way", || projector.metric("orderflow_projection_throttled_total") > 0);
    eventually("it says so", || projector.log().contains("stands still: what is read is behind"));
    let (read, built) = (offsets(&world), done(&projector));
    eventually("what is read goes on", || offsets(&world) >= read + 100);
    assert!(lag(&projector) > 3_300, "what is read is still behind: some partition of three by more than a thousand");
    let more = done(&projector) - built;
    assert!(more <= UNDER_WAY, "the build went on by {more}");
    projector.stop();
    // With nothing in the way it goes on where it was.
    let projector = Projector::start(&world);
    eventually("it catches up", || building(&projector)["caught_up"] == true);
    holds(&world, 2, &events);
    projector.stop();
}

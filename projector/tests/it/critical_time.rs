//! Critical time tells of what became visible, and of nothing else.

use chrono::TimeDelta;
use events::{Context, RecordedEvent};

use super::{
    oracle::assert_equals_fold,
    process::Projector,
    rebuild::{act, building, holds},
    world::{World, eventually, interleaved, order},
};

const COUNT: &str = "orderflow_critical_time_seconds_count";

fn orders(numbers: std::ops::Range<u64>) -> Vec<RecordedEvent> {
    interleaved(&numbers.map(order).collect::<Vec<_>>())
}

#[test]
fn only_what_becomes_visible_is_counted() {
    let world = World::new();
    let old = orders(0..30);
    world.write(Context::Orders, &old);
    let projector = Projector::start(&world);
    assert_equals_fold(&world, old.len(), &old);
    assert_eq!(projector.metric(COUNT), 0, "what a first start finds on old topics is no news");

    let new = orders(30..40);
    world.write(Context::Orders, &new);
    let mut all = [old, new.clone()].concat();
    assert_equals_fold(&world, all.len(), &all);
    let news = u64::try_from(new.len()).unwrap();
    eventually("new events are counted", || projector.metric(COUNT) == news);

    world.write(Context::Orders, &new);
    eventually("they come again", || projector.metric("orderflow_projection_duplicates_total") == news);
    act(&projector, "build");
    eventually("a build catches up", || building(&projector)["caught_up"] == true);
    holds(&world, 2, &all);
    assert_eq!(projector.metric(COUNT), news, "neither duplicates nor builds are news");
    act(&projector, "abort");
    projector.stop();

    // Nobody was there when these came: they are late by all of that.
    let late =
        orders(40..44).into_iter().map(|event| RecordedEvent { recorded_at: event.recorded_at - TimeDelta::hours(1), ..event });
    let late: Vec<_> = late.collect();
    world.write(Context::Orders, &late);
    let projector = Projector::start(&world);
    all.extend(late.clone());
    holds(&world, 1, &all);
    let count = u64::try_from(late.len()).unwrap();
    eventually("late events are counted", || projector.metric(COUNT) == count);
    let within =
        |bound: &str| projector.sample(&format!("orderflow_critical_time_seconds_bucket{{context=\"orders\",le=\"{bound}\"}}"));
    assert_eq!((within("1800"), within("+Inf")), (Some(0), Some(count)));
}

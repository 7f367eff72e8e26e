//! One stream's view, built anew where it is read.

use events::Context;
use read_model::StoredView;
use serde_json::{Value, json};
use service_kit::auth::Role;

use super::{
    history::CommandService,
    oracle::assert_equals_fold,
    process::Projector,
    rebuild::holds,
    redrive::{answered, poison},
    world::{World, eventually, interleaved, order},
};

#[test]
fn one_view_is_built_anew_with_all_that_is_derived_from_it() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let orders: Vec<_> = (0..12).map(order).collect();
    let mut events = interleaved(&orders);
    commands.knows(&events);
    world.write(Context::Orders, &events);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    assert_equals_fold(&world, events.len(), &events);
    let stream = orders[3][0].stream_id;
    let slot = world.slot(Context::Orders, stream);
    let path = |stream, query| format!("/v1/rebuilds/orders/streams/{stream}{query}");
    let (status, same) = answered(&projector, &path(stream, ""));
    assert_eq!((status, &same["outcome"], &same["changes"], &same["entries"]), (200, &json!("same"), &json!([]), &json!(0)));

    // Another content, missing in one list.
    let mut redis = world.redis();
    let right: Vec<u8> = redis::cmd("GET").arg(slot.view(stream)).query(&mut redis).unwrap();
    let stored = StoredView::decode(&right).unwrap();
    let mut view: Value = serde_json::from_slice(stored.json).unwrap();
    let status = std::mem::replace(&mut view["status"], json!("placed"));
    let wrong = stored.header.encode(&serde_json::to_vec(&view).unwrap());
    let _: () = redis::cmd("SET").arg(slot.view(stream)).arg(&wrong).query(&mut redis).unwrap();
    let recent: Vec<String> = redis::cmd("ZRANGE").arg(slot.index("recent")).arg(0).arg(-1).query(&mut redis).unwrap();
    let entry = recent.into_iter().find(|member| member.ends_with(&stream.simple().to_string())).unwrap();
    let removed: u64 = redis::cmd("ZREM").arg(slot.index("recent")).arg(entry).query(&mut redis).unwrap();
    assert_eq!(removed, 1);
    let (_, dry) = answered(&projector, &path(stream, "?dry_run=true"));
    assert_eq!((&dry["outcome"], &dry["entries"], &dry["version"]), (&json!("differs"), &json!(1), &json!(5)), "{dry}");
    assert_eq!(dry["changes"], json!([{"path": "/status", "before": "placed", "after": status}]));
    let found: Vec<u8> = redis::cmd("GET").arg(slot.view(stream)).query(&mut redis).unwrap();
    assert_eq!(found, wrong, "a dry run changes nothing");
    let (_, done) = answered(&projector, &path(stream, "?dry_run=false"));
    assert_eq!((&done["outcome"], &done["changes"]), (&json!("rebuilt"), &dry["changes"]), "{done}");
    // Counters too, which nobody took the damaged view's part off.
    holds(&world, 1, &events);
    let (_, log) = projector.ask("GET", "/v1/dead-letters/log", &Value::Null);
    let last = &log["operations"][0];
    assert_eq!((&last["by"], &last["action"], &last["outcome"]), (&json!("operator"), &json!("rebuild"), &json!("rebuilt")));

    // What the store has and the topic has not; the topic catches up.
    let late = order(20);
    commands.knows(&late[..2]);
    let (_, done) = answered(&projector, &path(late[0].stream_id, ""));
    assert_eq!((&done["outcome"], &done["version"]), (&json!("rebuilt"), &json!(2)), "{done}");
    world.write(Context::Orders, &late);
    events.extend(late);
    holds(&world, 1, &events);
    assert_eq!(projector.metric("orderflow_dead_letters_total"), 0);
    assert_eq!(answered(&projector, &path(uuid::Uuid::now_v7(), "")).0, 404);

    let parked = order(21);
    commands.knows(&parked);
    poison(&world, &parked);
    eventually("it is parked", || super::poison::parked(&world, parked[0].stream_id).is_some_and(|parked| parked.until == 5));
    let (status, answer) = answered(&projector, &path(parked[0].stream_id, ""));
    assert_eq!((status, &answer["type"]), (409, &json!("https://orderflow.dev/problems/stream-parked")), "{answer}");
    commands.set_down(true);
    let (status, answer) = answered(&projector, &path(stream, ""));
    assert_eq!((status, &answer["type"]), (503, &json!("https://orderflow.dev/problems/unavailable")), "{answer}");
    assert_eq!(projector.ask_as(&[Role::Staff], "POST", &path(stream, ""), &Value::Null).0, 403);
    projector.stop();
}

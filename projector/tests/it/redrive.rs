//! Dead letters in the hands of operators: listed, tried, redriven, discarded, and the record of it.

use events::{Context, RecordedEvent};
use read_model::{StoredView, keys::Parked};
use serde_json::{Value, json};
use service_kit::auth::Role;

use super::{
    history::CommandService,
    oracle::assert_equals_fold,
    poison::letters,
    process::Projector,
    rebuild::{act, building},
    world::{World, eventually, generation, headers_as, order},
};

/// The event as nobody can read it.
fn exploded(event: &RecordedEvent) -> RecordedEvent {
    RecordedEvent { event_type: "order.exploded.v9".to_owned(), ..event.clone() }
}

/// The first event, an unreadable one in the place of the second, and those after it.
pub(crate) fn poison(world: &World, order: &[RecordedEvent]) {
    let (key, second) = (order[0].stream_id.to_string(), &order[1]);
    world.write(Context::Orders, &order[..1]);
    let headers = headers_as(second, "order.exploded.v9");
    world.write_raw(Context::Orders, &key, headers, b"{}");
    world.write(Context::Orders, &order[2..]);
}

fn parked(world: &World, order: &[RecordedEvent]) -> Option<Parked> {
    super::poison::parked(world, order[0].stream_id)
}

fn view(world: &World, order: &[RecordedEvent]) -> Vec<u8> {
    let stream = order[0].stream_id;
    redis::cmd("GET").arg(world.slot(Context::Orders, stream).view(stream)).query(&mut world.redis()).unwrap()
}

fn path(order: &[RecordedEvent], action: &str) -> String {
    format!("/v1/dead-letters/orders/{}{action}", order[0].stream_id)
}

/// Asks until somebody answers: right after a start nobody owns the partition yet.
pub(crate) fn answered(projector: &Projector, path: &str) -> (u16, Value) {
    let mut answer = (0, Value::Null);
    eventually("an answer", || {
        answer = projector.ask("POST", path, &Value::Null);
        answer.0 != 0 && answer.1["type"] != "https://orderflow.dev/problems/no-answer"
    });
    answer
}

#[test]
fn a_retry_folds_what_the_store_has_and_the_stream_goes_on() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    let (one, two) = (order(1), order(2));
    commands.knows(&one);
    poison(&world, &one[..4]);
    poison(&world, &two[..3]);
    eventually("both are parked", || {
        [&one, &two].iter().all(|order| parked(&world, order).is_some_and(|parked| parked.until > 2))
    });
    eventually("the first is parked whole", || parked(&world, &one).unwrap().until == 4);

    let (status, list) = projector.ask("GET", "/v1/dead-letters", &Value::Null);
    assert_eq!((status, &list["total"], &list["groups"][0]["streams"]), (200, &json!(2), &json!(2)), "{list}");
    let fingerprint = list["groups"][0]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(fingerprint, parked(&world, &one).unwrap().fingerprint);
    let count =
        |query: &str| projector.ask("GET", &format!("/v1/dead-letters?{query}"), &Value::Null).1["total"].as_u64().unwrap();
    let first = list["dead_letters"][0]["first"].as_str().unwrap();
    assert_eq!([count(&format!("fingerprint={fingerprint}")), count("fingerprint=0"), count("context=users")], [2, 0, 0]);
    assert_eq!([count("type=order.exploded.v9"), count("type=order.placed.v1"), count("discarded=true")], [2, 0, 0]);
    assert_eq!([count(&format!("since={first}")), count(&format!("until={first}"))], [2, 0]);
    let (_, shown) = projector.ask("GET", &path(&one, ""), &Value::Null);
    assert_eq!((&shown["attempts"], &shown["waiting"], &shown["view_version"]), (&json!(1), &json!(3), &json!(1)), "{shown}");
    assert_eq!((&shown["events"][0]["type"], shown["events"].as_array().unwrap().len()), (&json!("order.confirmed.v1"), 3));

    // A dry run says what would change, and changes nothing.
    let before = (view(&world, &one), parked(&world, &one));
    let (_, dry) = answered(&projector, &path(&one, "/retry?dry_run=true"));
    assert_eq!((&dry["outcome"], &dry["version"], &dry["events"]), (&json!("would-pass"), &json!(4), &json!(3)), "{dry}");
    let changes = dry["changes"].as_array().unwrap();
    let status = changes.iter().find(|change| change["path"] == "/status").unwrap();
    assert_eq!((&status["before"], &status["after"]), (&json!("placed"), &json!("delivered")));
    assert_eq!((view(&world, &one), parked(&world, &one)), before);

    let (status, done) = answered(&projector, &path(&one, "/retry"));
    assert_eq!((status, &done["outcome"], &done["version"]), (200, &json!("redriven"), &json!(4)), "{done}");
    assert_eq!(parked(&world, &one), None);
    assert_eq!(projector.ask("POST", &path(&one, "/retry"), &Value::Null).0, 404);
    // A store that does not know the stream at all may be the wrong one.
    let (_, unknown) = answered(&projector, &path(&two, "/retry"));
    assert_eq!((&unknown["outcome"], &unknown["cause"]), (&json!("failed"), &json!("the event store does not know the stream")));
    // The store has nothing of the other one after its view: what was on the topic never happened.
    commands.knows(&two[..1]);
    assert_eq!(answered(&projector, &path(&two, "/retry")).1["outcome"], "redriven");
    world.write(Context::Orders, &one[4..]);
    let mut all = one.clone();
    all.push(two[0].clone());
    assert_equals_fold(&world, 8, &all);
    let (_, log) = projector.ask("GET", "/v1/dead-letters/log", &Value::Null);
    let last = &log["operations"][0];
    assert_eq!(
        (&last["by"], &last["action"], &last["outcome"]),
        (&json!("operator"), &json!("retry"), &json!("redriven")),
        "{log}"
    );
    assert_eq!((log["operations"].as_array().unwrap().len(), projector.metric("orderflow_parked_streams")), (3, 0));
    assert!(projector.log().contains("\"operation.by\":\"operator\""), "a log line says who");
}

#[test]
fn a_retry_that_fails_counts_and_one_that_gets_further_keeps_what_it_won() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    let order = order(1);
    commands.knows(&[order[0].clone(), exploded(&order[1]), exploded(&order[2]), order[3].clone()]);
    poison(&world, &order[..4]);
    eventually("it is parked whole", || parked(&world, &order).is_some_and(|parked| parked.until == 4));

    // What does not answer is no attempt.
    commands.set_down(true);
    let (status, down) = answered(&projector, &path(&order, "/retry"));
    assert_eq!((status, &down["type"]), (503, &json!("https://orderflow.dev/problems/unavailable")), "{down}");
    commands.set_down(false);
    assert_eq!(parked(&world, &order).unwrap().attempts, 1);

    let (_, dry) = answered(&projector, &path(&order, "/retry?dry_run=true"));
    assert_eq!((&dry["outcome"], &dry["changes"]), (&json!("would-fail"), &json!([])), "{dry}");
    let (_, failed) = answered(&projector, &path(&order, "/retry"));
    assert_eq!((&failed["outcome"], &failed["version"]), (&json!("failed"), &json!(1)), "{failed}");
    let again = parked(&world, &order).unwrap();
    assert_eq!((again.version, again.until, again.attempts), (2, 4, 2));
    assert!(again.last >= again.since);

    commands.knows_better(&order[1..2]);
    let (_, failed) = answered(&projector, &path(&order, "/retry"));
    assert_eq!((&failed["outcome"], &failed["version"]), (&json!("failed"), &json!(2)), "{failed}");
    let again = parked(&world, &order).unwrap();
    assert_eq!((again.version, again.until, again.attempts), (3, 4, 3));
    let stored = view(&world, &order);
    let header = StoredView::decode(&stored).unwrap().header;
    assert!(header.flags.is_parked() && header.version == 2);

    commands.knows_better(&order[2..3]);
    assert_eq!(answered(&projector, &path(&order, "/retry")).1["outcome"], "redriven");
    world.write(Context::Orders, &order[4..]);
    assert_equals_fold(&world, 5, &order);
    // A redrive sends nothing to the dead letters again.
    assert_eq!(letters(&world, 3).len(), 3);
}

#[test]
fn a_discarded_stream_troubles_nobody_and_can_be_retried_still() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    let order = order(1);
    commands.knows(&order);
    poison(&world, &order[..3]);
    eventually("it is parked whole", || parked(&world, &order).is_some_and(|parked| parked.until == 3));
    eventually("and counted", || projector.metric("orderflow_parked_streams") == 1);
    let discard = path(&order, "/discard");
    assert_eq!(projector.ask("POST", &discard, &json!({"reason": " "})).0, 400);
    let mut answer = Value::Null;
    eventually("it is discarded", || {
        answer = projector.ask("POST", &discard, &json!({"reason": "a test order"})).1;
        answer["outcome"] == "discarded"
    });
    let total = |query: &str| projector.ask("GET", &format!("/v1/dead-letters{query}"), &Value::Null).1["total"].clone();
    assert_eq!((total(""), total("?discarded=true")), (json!(0), json!(1)));
    let (_, shown) = projector.ask("GET", &path(&order, ""), &Value::Null);
    assert_eq!((&shown["discarded"]["by"], &shown["discarded"]["reason"]), (&json!("operator"), &json!("a test order")));
    assert_eq!(projector.metric("orderflow_parked_streams"), 0);
    // It stays stale, and what comes later stays behind it, also with a projector that knows it from Redis alone.
    projector.stop();
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    world.write(Context::Orders, &order[3..4]);
    eventually("the next event is parked too", || parked(&world, &order).unwrap().until == 4);
    assert!(!parked(&world, &order).unwrap().is_open());
    assert!(StoredView::decode(&view(&world, &order)).unwrap().header.flags.is_stale());
    assert_eq!(answered(&projector, &path(&order, "/retry")).1["outcome"], "redriven");
    world.write(Context::Orders, &order[4..]);
    assert_equals_fold(&world, 5, &order);
}

#[test]
fn any_process_can_be_asked_and_only_operators_may() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let settings = [("COMMAND_SERVICE_URL", url.as_str()), ("GROUP_ID", world.prefix.as_str())];
    let projectors = [Projector::start_with(&world, &settings), Projector::start_with(&world, &settings)];
    let orders: Vec<_> = (0..6).map(order).collect();
    for order in &orders {
        commands.knows(order);
        poison(&world, &order[..3]);
    }
    eventually("all are parked", || orders.iter().all(|order| parked(&world, order).is_some_and(|parked| parked.until == 3)));
    for (number, order) in orders.iter().enumerate() {
        assert_eq!(answered(&projectors[number % 2], &path(order, "/retry")).1["outcome"], "redriven");
    }
    let actions = ["", "/retry", "/discard"].map(|action| path(&orders[0], action));
    let [show, retry, discard] = actions.each_ref().map(String::as_str);
    for (method, path) in
        [("GET", "/v1/dead-letters"), ("GET", "/v1/dead-letters/log"), ("GET", show), ("POST", retry), ("POST", discard)]
    {
        for roles in [&[Role::Staff][..], &[Role::Customer]] {
            assert_eq!(projectors[0].ask_as(roles, method, path, &Value::Null).0, 403, "{method} {path} {roles:?}");
        }
    }
    assert_eq!(projectors[0].ask_as(&[Role::Admin], "GET", "/v1/dead-letters", &Value::Null).0, 200);
}

#[test]
fn a_retry_that_kills_the_process_is_not_tried_again_by_the_next() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let order = order(1);
    commands.knows(&order);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    poison(&world, &order[..3]);
    eventually("it is parked whole", || parked(&world, &order).is_some_and(|parked| parked.until == 3));
    projector.stop();
    let deadly = format!("projector::fold=return({}/2)", order[0].stream_id);
    let settings = [("COMMAND_SERVICE_URL", url.as_str()), ("FAILPOINTS", deadly.as_str())];
    let mut projector = Projector::start_with(&world, &settings);
    // As an operator's request lies there, only that this one has time: a start may take long on a busy machine.
    let request = json!({
        "stream": order[0].stream_id, "action": "retry", "by": "operator", "reason": "", "at": 0, "deadline": i64::MAX / 2,
    });
    let slot = world.slot(Context::Orders, order[0].stream_id);
    let id = uuid::Uuid::now_v7().simple().to_string();
    let _: u64 = redis::cmd("HSET").arg(slot.redrives()).arg(id).arg(request.to_string()).query(&mut world.redis()).unwrap();
    projector.died();
    let projector = Projector::start_with(&world, &settings);
    eventually("the attempt is counted", || parked(&world, &order).is_some_and(|parked| parked.attempts == 2));
    let (_, shown) = projector.ask("GET", &path(&order, ""), &Value::Null);
    assert_eq!(shown["operations"][0]["outcome"], "interrupted", "{shown}");
    projector.stop();
}

#[test]
fn what_is_discarded_is_discarded_in_what_is_built() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    let orders = [order(1), order(2)];
    let is_whole = |parked: Parked| parked.until == 3;
    let discard = |order: &[RecordedEvent]| {
        eventually("it is parked", || parked(&world, order).is_some_and(is_whole));
        eventually("it is discarded", || {
            projector.ask("POST", &path(order, "/discard"), &json!({"reason": "a test"})).1["outcome"] == "discarded"
        });
    };
    let built = |order: &[RecordedEvent]| {
        let slot =
            read_model::Generation { number: 2, ..generation() }.slot_of(&world.prefix, Context::Orders, order[0].stream_id);
        let mut get = redis::cmd("HGET");
        get.arg(slot.parked()).arg(order[0].stream_id.simple().to_string());
        let json: Option<Vec<u8>> = get.query(&mut world.redis()).unwrap();
        json.map(|json| serde_json::from_slice::<Parked>(&json).unwrap())
    };
    // One before it is built, and one after.
    for order in &orders {
        commands.knows(order);
        poison(&world, &order[..3]);
    }
    discard(&orders[0]);
    act(&projector, "build");
    eventually("the build parks them", || orders.iter().all(|order| built(order).is_some_and(is_whole)));
    eventually("one is discarded there", || !built(&orders[0]).unwrap().is_open());
    assert!(built(&orders[1]).unwrap().is_open());
    discard(&orders[1]);
    eventually("and the other", || !built(&orders[1]).unwrap().is_open());
    let discarded = built(&orders[1]).unwrap().discarded.unwrap();
    assert_eq!((discarded.by.as_str(), discarded.reason.as_str()), ("operator", "a test"));
    eventually("it catches up", || building(&projector)["caught_up"] == true);
    act(&projector, "switch");
    let total = |query: &str| projector.ask("GET", &format!("/v1/dead-letters{query}"), &Value::Null).1["total"].clone();
    assert_eq!((total(""), total("?discarded=true")), (json!(0), json!(2)));
    projector.stop();
}

//! Personal data: in plain text in views for as long as its key exists.

use events::{
    Context, DataKey, Personal, StreamId, UserEvent,
    text::{Email, PersonName},
    users::{UserDeactivated, UserRegistered},
};
use read_model::{StoredView, UserView, user::EMAIL_OWNERS};
use uuid::Uuid;

use super::{
    history::CommandService,
    process::Projector,
    world::{World, eventually, generation, recorded},
};

fn registered(stream: StreamId, key: &DataKey, email: &str) -> UserEvent {
    let name = Personal::seal(stream, key, &PersonName::parse("Ann").unwrap()).unwrap();
    let email = Personal::seal(stream, key, &Email::parse(email).unwrap()).unwrap();
    UserRegistered { name, email }.into()
}

fn view(world: &World, stream: StreamId) -> Option<UserView> {
    let key = world.slot(Context::Users, stream).view(stream);
    let stored: Option<Vec<u8>> = redis::cmd("GET").arg(key).query(&mut world.redis()).unwrap();
    let stored = stored?;
    let stored = StoredView::decode(&stored).unwrap();
    assert_eq!(stored.header.owner, Some(stream));
    Some(serde_json::from_slice(stored.json).unwrap())
}

fn owner(world: &World, stream: StreamId, email: &str) -> Option<String> {
    let key = world.slot(Context::Users, stream).owners(EMAIL_OWNERS);
    redis::cmd("HGET").arg(key).arg(email).query(&mut world.redis()).unwrap()
}

#[test]
fn a_users_view_has_what_their_key_opens_and_no_more() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let (ann, erased, key) = (Uuid::now_v7(), Uuid::now_v7(), DataKey::generate());
    commands.keeps_key(ann, key.clone());
    // A key that can't be had is not a key that is gone: the projector waits.
    commands.set_down(true);
    let _projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    world.write(Context::Users, &[recorded(ann, 1, &registered(ann, &key, "Ann@Example.org"))]);
    world.write(Context::Users, &[recorded(erased, 1, &registered(erased, &DataKey::generate(), "x@example.org"))]);
    eventually("the keys are asked for", || commands.was_asked());
    assert_eq!((view(&world, ann), view(&world, erased)), (None, None));
    commands.set_down(false);
    eventually("both views are there", || view(&world, ann).is_some() && view(&world, erased).is_some());
    let (of_ann, of_erased) = (view(&world, ann).unwrap(), view(&world, erased).unwrap());
    assert_eq!((of_ann.name.as_deref(), of_ann.email.as_deref()), (Some("Ann"), Some("Ann@Example.org")));
    assert_eq!((of_erased.name, of_erased.email), (None, None));
    assert_eq!(owner(&world, ann, "ann@example.org"), Some(ann.simple().to_string()));

    world.write(Context::Users, &[recorded(ann, 2, &UserEvent::from(UserDeactivated { reason: None }))]);
    eventually("the address is free again", || owner(&world, ann, "ann@example.org").is_none());
}

#[test]
fn an_address_that_changed_hands_is_its_last_owners_in_a_slot_that_is_filled_from_the_store() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let key = DataKey::generate();
    // Two users of the same partition: the first has the address, and gives it up for the second. The lanes are read one after
    // the other, so that for one of the pairs the second comes first.
    let user = |lane: u8, partition: u32| loop {
        let user = Uuid::new_v4();
        if user.as_bytes()[15] % 2 == lane && generation().partition_of(user) == partition {
            commands.keeps_key(user, key.clone());
            return user;
        }
    };
    let mut events = Vec::new();
    let pairs = [(0, "one@example.org"), (1, "two@example.org")].map(|(lane, email)| {
        let (first, second) = (user(lane, 1), user(1 - lane, 1));
        events.push(recorded(first, 1, &registered(first, &key, email)));
        events.push(recorded(first, 2, &UserEvent::from(UserDeactivated { reason: None })));
        events.push(recorded(second, 1, &registered(second, &key, email)));
        (second, email)
    });
    commands.knows(&events);
    world.write(Context::Users, &events);
    world.delete_records(Context::Users);
    // Each event is a chunk of its own: what is claimed and given up in one is not claimed at all.
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url), ("CHUNK_EVENTS", "1")]);
    for (second, email) in pairs {
        let owned = Some(second.simple().to_string());
        eventually("the second has the address", || owner(&world, second, email) == owned);
    }
    eventually("nothing is left to be claimed", || !world.keys().iter().any(|key| key.ends_with(":claims")));
    for (second, email) in pairs {
        assert_eq!(owner(&world, second, email), Some(second.simple().to_string()));
    }
    projector.stop();
}

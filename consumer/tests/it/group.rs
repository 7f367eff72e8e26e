//! Members that come and go.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use rdkafka::consumer::Consumer;

use crate::world::{Failure, Notes, PARTITIONS, World, confirmed, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_has_not_finished_is_not_committed_and_comes_again() {
    let (world, stuck) = (World::new().await, Notes::failing(0, Failure::Hang));
    let first = world.member(&stuck);
    world.write((1..=10).flat_map(|version| (0..PARTITIONS).map(move |partition| confirmed(partition, version))));
    eventually("the others are handled", || (1..PARTITIONS).all(|partition| stuck.versions(partition).len() == 10)).await;
    eventually("it hangs", || stuck.has_failed.load(Ordering::SeqCst)).await;
    first.end().await;
    assert_eq!(world.committed(), (1..PARTITIONS).map(|partition| (partition, 10)).collect());

    let notes = Arc::new(Notes::default());
    let second = world.member(&notes);
    eventually("it is handled elsewhere", || notes.versions(0).len() == 10).await;
    assert_eq!(notes.handled.lock().unwrap().len(), 10, "what was committed does not come again");
    second.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_members_come_and_go() {
    let (world, notes) = (World::new().await, Arc::new(Notes::default()));
    let mut member = world.member(&notes);
    let mut written = 0;
    for _ in 0..4 {
        let batch = written + 1..=written + 40;
        written += 40;
        world.write(batch.flat_map(|version| (0..PARTITIONS).map(move |partition| confirmed(partition, version))));
        let next = world.member(&notes);
        eventually("the new one has joined", || next.status.check().is_ok()).await;
        std::mem::replace(&mut member, next).end().await;
    }
    for partition in 0..PARTITIONS {
        let all: BTreeSet<u64> = (1..=written).collect();
        eventually("all is handled", || notes.versions(partition).into_iter().collect::<BTreeSet<_>>() == all).await;
    }
    member.end().await;
    world.end().await;
}

/// The one who dies has been told to give up what the other is to have, and the group waits for it to say that it has.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_died_giving_up_is_given_to_somebody() {
    let (world, notes) = (World::new().await, Arc::new(Notes::default()));
    let dying = world.dying("a");
    eventually("it has all partitions", || dying.context().assigned() == PARTITIONS.unsigned_abs() as usize).await;
    let other = world.static_member("b", &notes);
    eventually("it is told to give up some, and dies", || dying.context().is_dead()).await;
    let restarted = world.static_member("a", &notes);
    world.write((0..PARTITIONS).map(|partition| confirmed(partition, 1)));
    eventually("every partition is read by somebody", || (0..PARTITIONS).all(|partition| notes.versions(partition) == [1])).await;
    other.end().await;
    restarted.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_group_begins_where_the_topics_do() {
    let (world, notes) = (World::new().await, Arc::new(Notes::default()));
    world.write([confirmed(3, 1)]);
    let member = world.member(&notes);
    eventually("what was there before is handled", || notes.versions(3) == [1]).await;
    member.end().await;
    world.end().await;
}

//! What a handler is given.

use std::sync::{Arc, atomic::Ordering};

use crate::world::{Failure, Notes, PARTITIONS, Record, World, confirmed, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn each_partitions_records_come_in_their_order() {
    let (world, notes) = (World::new().await, Arc::new(Notes::default()));
    world.write((1..=50).flat_map(|version| (0..PARTITIONS).map(move |partition| confirmed(partition, version))));
    let member = world.member(&notes);
    for partition in 0..PARTITIONS {
        eventually("all is handled", || notes.versions(partition).len() >= 50).await;
        assert_eq!(notes.versions(partition), (1..=50).collect::<Vec<u64>>());
    }
    assert_eq!(member.status.check(), Ok(()));
    member.end().await;
    assert_eq!(world.committed(), (0..PARTITIONS).map(|partition| (partition, 50)).collect());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_handler_fails_waits_and_others_go_on() {
    for failure in [Failure::Error, Failure::Panic] {
        let (world, notes) = (World::new().await, Notes::failing(1, failure));
        let member = world.member(&notes);
        world.write((1..=20).flat_map(|version| (0..PARTITIONS).map(move |partition| confirmed(partition, version))));
        for partition in [0, 2, 3] {
            eventually("the others go on", || notes.versions(partition).len() == 20).await;
        }
        eventually("it is not ready", || member.status.check().is_err_and(|why| why.contains("orders/1"))).await;
        assert_eq!(notes.versions(1), [0_u64; 0]);
        *notes.failing.lock().unwrap() = None;
        eventually("it goes on", || notes.versions(1).len() == 20).await;
        assert_eq!(notes.versions(1), (1..=20).collect::<Vec<u64>>());
        eventually("it is ready", || member.status.check().is_ok()).await;
        member.end().await;
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_and_passed_over() {
    let (world, notes) = (World::new().await, Arc::new(Notes::default()));
    let known = confirmed(2, 1).event_type;
    world.write([
        confirmed(2, 1),
        Record { partition: 2, version: 2, event_type: "order.placed.v1", data: b"{\"lines\": 1}" },
        Record { partition: 2, version: 3, event_type: "order.praised.v1", data: b"not ours" },
        confirmed(2, 4),
    ]);
    let member = world.member(&notes);
    eventually("what follows is handled", || notes.versions(2) == [1, 4]).await;
    let told = notes.unreadable.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}, but {known} is readable and a newer type is nothing to complain of");
    assert_eq!((told[0].0.partition, told[0].0.offset, told[0].1.is_some()), (2, 1, true));
    member.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_aborted_is_never_seen() {
    let (world, notes) = (World::new().await, Arc::new(Notes::default()));
    let member = world.member(&notes);
    world.write([confirmed(0, 1)]);
    world.write_and_abort([confirmed(0, 2), confirmed(0, 3)]);
    world.write([confirmed(0, 4)]);
    eventually("what follows is handled", || notes.versions(0).contains(&4)).await;
    assert_eq!(notes.versions(0), [1, 4]);
    assert!(!notes.has_failed.load(Ordering::SeqCst));
    member.end().await;
    world.end().await;
}

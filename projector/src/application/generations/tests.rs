use super::*;

const SHAPE: Shape = Shape { partitions: 12, projection: 2 };

fn live(number: u32) -> Pointers {
    Pointers { live: Some(SHAPE.generation(number)), ..Pointers::default() }
}

fn numbers(feeds: &Feeds) -> Vec<u32> {
    feeds.first.iter().chain(&feeds.aside).map(|generation| generation.number).collect()
}

#[test]
fn a_generation_is_built_switched_to_left_and_dropped() {
    let built = build(&live(1), SHAPE, None, 10).unwrap();
    assert_eq!(numbers(&feeds(&built, SHAPE)), [1, 2]);
    assert_eq!(build(&built, SHAPE, None, 11).unwrap(), built, "asking again changes nothing");
    let paused = pause(&built).unwrap();
    assert_eq!(numbers(&feeds(&paused, SHAPE)), [1]);
    assert_eq!(build(&paused, SHAPE, None, 12).unwrap(), built, "asking again goes on");
    let switched = switch(&built, 20).unwrap();
    assert_eq!(numbers(&feeds(&switched, SHAPE)), [2, 1]);
    let back = roll_back(&switched, 30).unwrap();
    assert_eq!(numbers(&feeds(&back, SHAPE)), [1, 2]);
    let finished = finish(&back, 40).unwrap();
    assert_eq!((numbers(&feeds(&finished, SHAPE)), finished.dropped.clone()), (vec![1], [(2, 40)].into()));
    assert_eq!(build(&finished, SHAPE, None, 50).unwrap().building.unwrap().generation.number, 3);
    assert_eq!(abort(&built, 15).unwrap().dropped, [(2, 15)].into());
}

#[test]
fn what_is_not_there_is_refused() {
    assert_eq!(build(&Pointers::default(), SHAPE, None, 0), Err(Refusal::NoLive));
    assert_eq!(switch(&live(1), 0), Err(Refusal::NoBuilding));
    assert_eq!(pause(&live(1)), Err(Refusal::NoBuilding));
    assert_eq!(roll_back(&live(1), 0), Err(Refusal::NoPrevious));
    assert_eq!(finish(&live(1), 0), Err(Refusal::NoPrevious));
}

#[test]
fn a_second_switch_drops_what_was_kept_before() {
    let second = switch(&build(&switch(&build(&live(1), SHAPE, None, 1).unwrap(), 2).unwrap(), SHAPE, None, 3).unwrap(), 4);
    let second = second.unwrap();
    assert_eq!((numbers(&feeds(&second, SHAPE)), second.dropped), (vec![3, 2], [(1, 4)].into()));
}

#[test]
fn what_another_projection_built_is_not_fed_and_an_older_one_is_replaced() {
    let old = Pointers { live: Some(Generation { number: 1, partitions: 12, projection: 1 }), ..Pointers::default() };
    assert_eq!(feeds(&old, SHAPE), Feeds::default());
    let built = build(&old, SHAPE, outgrown(&old, SHAPE), 1).unwrap();
    assert!(built.building.as_ref().unwrap().cause.is_some());
    assert_eq!(numbers(&feeds(&built, SHAPE)), [2], "in the first place, as nothing else is fed");
    let switched = switch(&built, 2).unwrap();
    assert_eq!(numbers(&feeds(&switched, SHAPE)), [2]);
    // The process of the older projection lets it be, and keeps up to date what can be gone back to.
    let older = Shape { projection: 1, ..SHAPE };
    assert_eq!((outgrown(&switched, older), numbers(&feeds(&switched, older))), (None, vec![1]));
    assert_eq!(numbers(&feeds(&roll_back(&switched, 3).unwrap(), older)), [1]);
    assert_eq!(feeds(&finish(&switched, 3).unwrap(), older), Feeds::default());
    assert!(outgrown(&live(1), Shape { partitions: 24, ..SHAPE }).is_some());
    let grown = build(&live(1), Shape { partitions: 24, ..SHAPE }, None, 1).unwrap();
    assert_eq!(grown.building.unwrap().origin, Origin::Store, "records lie where their streams do not any more");
    // A build that was begun by an older projection gives way.
    let begun = build(&old, older, None, 1).unwrap();
    let next = build(&begun, SHAPE, Some("x".to_owned()), 2).unwrap();
    assert_eq!((next.building.unwrap().generation.number, next.dropped), (3, [(2, 2)].into()));
}

#[test]
fn a_build_begins_with_the_store_or_not_at_all() {
    let built = |pointers: &Pointers| from_store(pointers, build(pointers, SHAPE, None, 1).unwrap());
    let begun = built(&live(1)).unwrap();
    assert_eq!(begun.building.as_ref().unwrap().origin, Origin::Store);
    assert_eq!(built(&begun), Ok(begun.clone()), "asking again changes nothing");
    assert_eq!(build(&begun, SHAPE, None, 2), Ok(begun), "nor does asking without");
    let from_kafka = build(&live(1), SHAPE, None, 1).unwrap();
    assert_eq!(built(&from_kafka), Err(Refusal::FromKafka(2)));
    assert_eq!(from_store(&live(1), live(1)), Err(Refusal::NoBuilding));
}

#[test]
fn caught_up_is_complete_and_nowhere_behind() {
    let at = |offset, goal| Some(Position { offset, done: offset, goal, cluster: "a".to_owned() });
    let elsewhere = |offset| Some(Position { offset, done: offset, goal: Goal::Reached, cluster: "b".to_owned() });
    let full = [at(10, Goal::Reached), at(20, Goal::Reached)];
    for (other, expected) in [
        (vec![at(10, Goal::Reached), at(20, Goal::Reached)], true),
        (vec![at(9, Goal::Reached), None], true),
        (vec![at(11, Goal::Reached), at(20, Goal::Reached)], false),
        (vec![elsewhere(11), elsewhere(21)], true),
        (vec![at(99, Goal::Reached)], true),
    ] {
        assert_eq!(has_caught_up(&full, &other), expected, "{other:?}");
    }
    assert!(!is_complete(&[at(10, Goal::Reached), None]));
    assert!(!is_complete(&[at(10, Goal::At(11))]));
    assert!(!is_complete(&[at(10, Goal::Unsaid)]));
}

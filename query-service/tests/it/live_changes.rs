//! Live updates of everything that changes.

use events::Context;
use read_model::keys::Change;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use crate::harness::{
    PATIENCE, Shop, eventually,
    samples::id,
    staff,
    streams::{by_stream, change},
};

const TYPES: [&str; 3] = ["order.placed.v1", "order.confirmed.v1", "order.shipped.v1"];

/// Chunks of one to five changes: version after version of ten orders, which lie in different partitions.
fn chunks(versions: std::ops::RangeInclusive<u64>) -> Vec<Vec<Change>> {
    let mut chunks = Vec::new();
    let mut left: Vec<_> = versions.collect();
    for size in (1..=5).cycle() {
        let some: Vec<_> = left.drain(..size.min(left.len())).collect();
        if some.is_empty() {
            return chunks;
        }
        for order in 1..=10 {
            chunks.push(some.iter().map(|version| change(id(order), *version, TYPES[(*version % 3) as usize])).collect());
        }
    }
    chunks
}

#[tokio::test]
async fn what_is_asked_for_is_told_and_nothing_else() {
    let shop = Shop::open().await;
    let mut everything = shop.follow("/v1/updates", &staff(), "").await;
    let mut some = shop.follow("/v1/updates?types=order.placed,product.*,user.name-changed.v1", &staff(), "").await;
    for (context, changes) in [
        (Context::Orders, vec![change(id(1), 1, "order.placed.v1"), change(id(1), 2, "order.confirmed.v1")]),
        (Context::Products, vec![change(id(2), 1, "product.created.v1"), change(id(2), 2, "product.from-the-future.v1")]),
        (Context::Users, vec![change(id(3), 1, "user.registered.v1"), change(id(3), 2, "user.name-changed.v1")]),
    ] {
        shop.log(context, &changes).await;
        assert_eq!(everything.changes(2).await.iter().map(|event| event.version()).collect::<Vec<_>>(), [1, 2]);
    }
    let told: Vec<_> = some.changes(4).await.iter().map(|event| event.json()["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["order.placed.v1", "product.created.v1", "product.from-the-future.v1", "user.name-changed.v1"]);
    for types in ["order.gifted", "", "order.placed,nonsense"] {
        let refused = shop.get(&format!("/v1/updates?types={types}"), &staff()).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["parameter"]), (400, &"types".into()), "{types}");
    }
}

#[tokio::test]
async fn every_event_can_be_gone_on_from_with_exactly_the_rest() {
    let shop = Shop::open().await;
    let mut first = shop.follow("/v1/updates", &staff(), "").await;
    let mut events = vec![first.next_block().await.unwrap()];
    let (chunks, last) = (chunks(1..=6), change(id(99), 1, "order.placed.v1"));
    for chunk in &chunks {
        shop.log(Context::Orders, chunk).await;
    }
    events.extend(first.changes(60).await);
    // Resumed streams read by themselves; what is written now comes from the feed.
    for (told, event) in events.iter().enumerate() {
        let mut stream = shop.follow("/v1/updates", &staff(), &event.id).await;
        let rest = stream.changes(60 - told).await;
        let whole = by_stream(events[1..=told].iter().chain(&rest));
        assert!(whole.len() == 10 && whole.values().all(|versions| *versions == [1, 2, 3, 4, 5, 6]), "after {told}: {whole:?}");
        // And from an event of the resumed stream again.
        if let [.., before, end] = &rest[..] {
            let again = shop.follow("/v1/updates", &staff(), &before.id).await.next().await;
            assert_eq!((again.change(), &again.id), (end.change(), &end.id));
        }
        // One type only, from the same place.
        let wanted = rest.iter().filter(|event| event.json()["type"] == TYPES[0]).count();
        let mut placed = shop.follow("/v1/updates?types=order.placed", &staff(), &event.id).await;
        assert!(placed.changes(wanted).await.iter().all(|event| event.json()["type"] == TYPES[0]));
        if told == 60 {
            shop.log(Context::Orders, std::slice::from_ref(&last)).await;
            for stream in [&mut stream, &mut placed] {
                assert_eq!(stream.next().await.change(), (id(99).to_string(), 1));
            }
        }
    }
}

/// Clients come and go while changes are written: each is told everything once, in the order of its stream.
#[tokio::test]
async fn nothing_is_lost_or_doubled_while_it_is_written() {
    const VERSIONS: u64 = 60;
    const CHANGES: usize = 600;
    // Room for few: streams fall behind the feed, read by themselves, and join again.
    let shop = Shop::open_with(&["--update-buffer", "4"]).await;
    let begin = shop.follow("/v1/updates", &staff(), "").await.next_block().await.unwrap().id;
    let reader = async |patience: usize| {
        let (mut events, mut last) = (Vec::new(), begin.clone());
        while events.len() < CHANGES {
            let mut stream = shop.follow("/v1/updates?types=order.*", &staff(), &last).await;
            for _ in 0..patience.min(CHANGES - events.len()) {
                let event = stream.next().await;
                last.clone_from(&event.id);
                events.push(event);
            }
        }
        let told = by_stream(&events);
        assert!(told.values().all(|versions| versions.iter().copied().eq(1..=VERSIONS)), "{told:?}");
    };
    let writer = async {
        for chunk in chunks(1..=VERSIONS) {
            shop.log(Context::Orders, &chunk).await;
        }
    };
    // What is written while they read, and once more when all of it is there.
    futures::join!(writer, reader(7), reader(1), reader(usize::MAX));
    let mut stream = shop.follow("/v1/updates?types=order.*", &staff(), &begin).await;
    shop.log(Context::Orders, &[change(id(99), 1, "order.placed.v1")]).await;
    let told = by_stream(&stream.changes(CHANGES + 1).await);
    assert_eq!(told.len(), 11, "there is no more: {told:?}");
}

#[tokio::test]
async fn streams_that_begin_midway_are_told_all_that_follows() {
    const VERSIONS: u64 = 40;
    let shop = Shop::open().await;
    let token = staff();
    let writer = async {
        for chunk in chunks(1..=VERSIONS) {
            shop.log(Context::Orders, &chunk).await;
        }
    };
    let reader = async |after: usize| {
        let mut early = shop.follow("/v1/updates", &token, "").await;
        early.changes(after).await;
        let mut stream = shop.follow("/v1/updates", &token, "").await;
        let mut told = Vec::new();
        // Every order ends with the same version, and no order is told before the stream began.
        while by_stream(&told).values().filter(|versions| versions.last() == Some(&VERSIONS)).count() < 10 {
            told.push(stream.next().await);
        }
        for versions in by_stream(&told).values() {
            assert!(versions.iter().copied().eq(versions[0]..=VERSIONS), "{versions:?}");
        }
    };
    futures::join!(reader(5), reader(60), async {
        tokio::task::yield_now().await;
        writer.await;
    });
}

#[tokio::test]
async fn what_was_trimmed_away_is_a_reset_and_the_stream_goes_on() {
    let shop = Shop::open().await;
    let mut stream = shop.follow("/v1/updates", &staff(), "").await;
    let nothing = stream.next_block().await.unwrap().id;
    let mut told = Vec::new();
    for version in 1..=3 {
        shop.log_trimmed(Context::Orders, &[change(id(1), version, TYPES[0])], 2).await;
        told.push(stream.next().await);
    }
    // The log has versions 2 and 3: after 2 comes 3, but what came after 1, or at the beginning, is not known.
    assert_eq!(shop.follow("/v1/updates", &staff(), &told[1].id).await.next().await.version(), 3);
    for last in [&nothing, &told[0].id] {
        let mut stream = shop.follow("/v1/updates", &staff(), last).await;
        let reset = stream.next().await;
        assert_eq!((&*reset.name, &*reset.data), ("reset", r#"{"cause":"lost"}"#));
        // A context without the hole is not concerned.
        shop.follow("/v1/updates?types=user.*", &staff(), last).await;
        shop.log_trimmed(Context::Orders, &[change(id(1), 9, TYPES[0])], 2).await;
        assert_eq!(stream.next().await.version(), 9);
        shop.log_trimmed(Context::Orders, &[change(id(1), 10, TYPES[0])], 2).await;
        assert_eq!(shop.follow("/v1/updates", &staff(), &reset.id).await.next().await.name, "reset", "it is two behind");
    }
}

#[tokio::test]
async fn another_generation_is_a_reset() {
    let mut shop = Shop::open().await;
    let mut stream = shop.follow("/v1/updates", &staff(), "").await;
    let mut users = shop.follow("/v1/updates?types=user.*", &staff(), "").await;
    let before = stream.next_block().await.unwrap().id;
    shop.build(Context::Orders, 2).await;
    let reset = stream.next().await;
    assert_eq!((&*reset.name, &*reset.data), ("reset", r#"{"cause":"rebuilt"}"#));
    let mut late = shop.follow("/v1/updates", &staff(), &before).await;
    assert_eq!(late.next().await.data, r#"{"cause":"rebuilt"}"#);
    shop.log(Context::Orders, &[change(id(1), 5, TYPES[0])]).await;
    let mut after = shop.follow("/v1/updates", &staff(), &reset.id).await;
    for stream in [&mut stream, &mut late, &mut after] {
        assert_eq!(stream.next().await.version(), 5);
    }
    // Who asked for users has heard nothing of this.
    shop.log(Context::Users, &[change(id(7), 1, "user.registered.v1")]).await;
    assert_eq!(users.next().await.version(), 1);
}

/// A client that reads nothing is cut off, while another hears everything; what it got before is a place to go on from.
#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_others_go_on() {
    const CHANGES: u64 = 40_000;
    // Long enough for a starved machine, on which a client that reads may stand still for seconds too.
    let shop = Shop::open_with(&["--max-update-streams", "2", "--http-write-timeout", "10", "--update-buffer", "64"]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = socket.connect(shop.address.strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap();
    let request = format!("GET /v1/updates HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", staff());
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut healthy = shop.follow("/v1/updates", &staff(), "").await;
    // Both have a place.
    eventually(async || shop.get("/v1/updates", &staff()).await.status == 503).await;
    let writer = async {
        for from in (1..=CHANGES).step_by(500) {
            let chunk: Vec<_> = (from..from + 500).map(|version| change(id(1), version, TYPES[0])).collect();
            shop.log(Context::Orders, &chunk).await;
        }
    };
    let reader = async {
        for version in 1..=CHANGES {
            assert_eq!(healthy.next().await.version(), version);
        }
    };
    futures::join!(writer, reader);
    eventually(async || shop.get("/v1/updates", &staff()).await.status == 200).await;
    let mut received = Vec::new();
    // It ends, by whatever TCP calls it, with less than there was.
    let ended = tokio::time::timeout(PATIENCE * 2, async {
        let mut some = vec![0; 1 << 16];
        while let Ok(1..) = slow.read(&mut some).await.inspect(|read| received.extend_from_slice(&some[..*read])) {}
    });
    ended.await.expect("it was cut off");
    let text = String::from_utf8_lossy(&received);
    let whole = &text[..text.rfind("\n\n").unwrap()];
    let told = whole.matches("event: change").count() as u64;
    assert!(told > 0 && told < CHANGES, "{told}");
    let last = whole.lines().rfind(|line| line.starts_with("id: ")).unwrap().strip_prefix("id: ").unwrap();
    drop(healthy);
    let taken = async || shop.get("/v1/updates", &staff()).await.status == 200;
    eventually(taken).await;
    assert_eq!(shop.follow("/v1/updates", &staff(), last).await.next().await.version(), told + 1);
}

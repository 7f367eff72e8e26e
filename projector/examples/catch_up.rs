//! How fast the projector catches up: writes orders of two lines to a topic of its own, starts the projector beside this
//! example (`target/release/projector`) and measures until Redis has all of them.
//!
//! `cargo build --release -p projector && cargo run --release -p projector --example catch_up -- 500000 [placed|life] [KEEP]`
//! with `ORDERFLOW_TEST_KAFKA` and `ORDERFLOW_TEST_REDIS` as for the tests.

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Context, Currency, DomainEvent, Envelope, EventId, MinorUnits, OrderEvent, ProductId, Quantity, UserId,
    orders::{Fulfilment, OrderConfirmed, OrderDelivered, OrderLine, OrderPlaced, OrderShipped},
    topics,
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::DefaultProducerContext,
    producer::{BaseRecord, Producer, ThreadedProducer},
};
use uuid::Uuid;

const PRODUCTS: u64 = 3_800;
const USERS: u64 = 4_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn order(random: &mut Random, life: bool) -> Vec<OrderEvent> {
    let line = |line: u16, random: &mut Random| OrderLine {
        line,
        product_id: ProductId(Uuid::from_u128(u128::from(random.below(PRODUCTS)) << 64 | 7)),
        product_version: 3,
        quantity: Quantity::new(u32::try_from(random.below(12) + 1).expect("small")).expect("in bounds"),
        unit_price: MinorUnits::new(random.below(2_000) + 1).expect("in bounds"),
    };
    let lines = vec![line(1, random), line(2, random)];
    let total = lines.iter().map(|line| line.unit_price.get() * u64::from(line.quantity.get())).sum();
    let user = UserId(Uuid::from_u128(u128::from(random.below(USERS)) << 64 | 9));
    let mut events = vec![OrderEvent::Placed(OrderPlaced {
        user_id: Some(user),
        fulfilment: Fulfilment::External,
        currency: Currency::GBP,
        lines,
        total: MinorUnits::new(total).expect("in bounds"),
    })];
    if life {
        events.push(OrderConfirmed {}.into());
        events.push(OrderShipped { carrier: None, tracking: None }.into());
        events.push(OrderDelivered {}.into());
    }
    events
}

fn produce(brokers: &str, topic: &str, wanted: u64, life: bool) -> anyhow::Result<u64> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", "200000")
        .create()?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let start: DateTime<Utc> = "2010-12-01T08:00:00Z".parse()?;
    let (mut sent, mut bytes) = (0, 0);
    while sent < wanted {
        let stream = Uuid::from_u128(u128::from(random.below(u64::MAX)) << 64 | u128::from(random.below(u64::MAX)));
        for (event, version) in order(&mut random, life).into_iter().zip(1..) {
            let value = event.encode()?;
            let at = start + TimeDelta::seconds(i64::try_from(sent)?);
            let envelope = Envelope {
                id: EventId(Uuid::now_v7()),
                stream_id: stream,
                event_type: event.event_type().into(),
                version,
                lane: 3,
                seq: sent + 1,
                occurred_at: at,
                recorded_at: Utc::now(),
                correlation_id: Uuid::now_v7(),
                causation_id: None,
                traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            };
            let mut headers = OwnedHeaders::new_with_capacity(14);
            envelope.write_headers(Context::Orders, |key, value| {
                bytes += key.len() + value.len();
                headers = std::mem::take(&mut headers).insert(Header { key, value: Some(value) });
            });
            let key = stream.to_string();
            bytes += value.len();
            let mut record = BaseRecord::to(topic).key(&key).payload(&value).headers(headers);
            while let Err((_, back)) = producer.send(record) {
                record = back;
                std::thread::sleep(Duration::from_millis(5));
            }
            sent += 1;
        }
    }
    producer.flush(Duration::from_secs(60))?;
    report(&format!("produced {sent} events, {} bytes each", bytes as u64 / sent));
    Ok(sent)
}

#[expect(clippy::print_stdout, reason = "the result of a measurement")]
fn report(line: &str) {
    println!("{line}");
}

fn start(brokers: &str, redis: &str, prefix: &str, file: &std::path::Path) -> anyhow::Result<Child> {
    let projector = env::var_os("PROJECTOR")
        .map_or_else(|| env::current_exe().map(|example| example.with_file_name("../projector")), |path| Ok(path.into()))?;
    Ok(Command::new(projector)
        .env("KAFKA_BROKERS", brokers)
        .env("TOPIC_PREFIX", prefix)
        .env("REDIS_URL", redis)
        .env("REDIS_PREFIX", prefix)
        .env("GROUP_ID", prefix)
        .env("JWT_SECRET", "a secret of at least thirty-two bytes")
        .env("HTTP_ADDR", "127.0.0.1:0")
        .env("ADDR_FILE", file)
        .env("LOG_LEVEL", env::var("LOG_LEVEL").unwrap_or_else(|_| "warn".into()))
        .stdout(Stdio::inherit())
        .spawn()?)
}

fn applied(address: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: projector\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let line = answer.lines().find(|line| line.starts_with("orderflow_projection_events_total") && line.contains("orders"))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// User and system time of a process, in seconds.
fn cpu(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks: Vec<f64> = stat.split(' ').skip(13).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

fn redis_cpu(url: &str) -> anyhow::Result<f64> {
    let info: String = redis::cmd("INFO").arg("cpu").query(&mut redis::Client::open(url)?.get_connection()?)?;
    let times = info.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        ["used_cpu_sys", "used_cpu_user"].contains(&name).then_some(value.trim())
    });
    Ok(times.map(str::parse::<f64>).sum::<Result<_, _>>()?)
}

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let wanted = arguments.next().unwrap_or_else(|| "500000".into()).parse()?;
    let life = arguments.next().as_deref() == Some("life");
    let (brokers, redis) = (env::var("ORDERFLOW_TEST_KAFKA")?, env::var("ORDERFLOW_TEST_REDIS")?);
    let prefix = format!("catch-up-{}", Uuid::now_v7().simple());
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &brokers).create()?;
    let names = Context::ALL.map(|context| topics::events(&prefix, context));
    let new: Vec<_> = names.iter().map(|name| NewTopic::new(name, 12, TopicReplication::Fixed(1))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(admin.create_topics(&new, &AdminOptions::new()))?;
    let sent = produce(&brokers, &names[2], wanted, life)?;

    let directory = tempfile::tempdir()?;
    let file = directory.path().join("address");
    let before = redis_cpu(&redis)?;
    let mut projector = start(&brokers, &redis, &prefix, &file)?;
    let mut first: Option<(Instant, u64)> = None;
    let ended = loop {
        std::thread::sleep(Duration::from_millis(20));
        let Some(count) = std::fs::read_to_string(&file).ok().and_then(|address| applied(&address)) else { continue };
        if count > 0 && first.is_none() {
            first = Some((Instant::now(), count));
        }
        if count >= sent {
            break Instant::now();
        }
    };
    report(&format!("CPU: projector {:.2} s, Redis {:.2} s", cpu(projector.id())?, redis_cpu(&redis)? - before));
    let (begun, already) = first.unwrap_or((ended, 0));
    let seconds = ended.duration_since(begun).as_secs_f64();
    let rate = f64::from(u32::try_from(sent - already)?) / seconds;
    report(&format!("{} events in {seconds:.2} s: {rate:.0} events/s", sent - already));
    let status = std::fs::read_to_string(format!("/proc/{}/status", projector.id()))?;
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")) {
        report(line);
    }
    if arguments.next().is_some() {
        report(&format!("prefix {prefix}; press return to end"));
        std::io::stdin().read_line(&mut String::new())?;
    }
    projector.kill()?;
    projector.wait()?;
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    let dead_letters = topics::dead_letters(&prefix);
    names.push(&dead_letters);
    runtime.block_on(admin.delete_topics(&names, &AdminOptions::new()))?;
    clear(&redis, &prefix)
}

fn clear(url: &str, prefix: &str) -> anyhow::Result<()> {
    let mut redis = redis::Client::open(url)?.get_connection()?;
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<String>) =
            redis::cmd("SCAN").arg(cursor).arg("MATCH").arg(format!("{prefix}:*")).arg("COUNT").arg(10_000).query(&mut redis)?;
        if !keys.is_empty() {
            let _: u64 = redis::cmd("UNLINK").arg(keys).query(&mut redis)?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

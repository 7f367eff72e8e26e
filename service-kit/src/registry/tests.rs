use clap::Parser;
use tokio::time::Instant;

use super::{
    memory::{Found, Memory},
    *,
};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    registry: RegistryConfig,
}

fn config(flags: &[&str]) -> RegistryConfig {
    Cli::try_parse_from([&["service"], flags].concat()).unwrap().registry
}

fn instance(id: u128, port: u16) -> Instance {
    config(&[]).instance("shop", "1.2.3", Vec::new(), ([127, 0, 0, 1], port).into()).with_id(id)
}

impl Instance {
    fn with_id(self, id: u128) -> Self {
        Self { id: Uuid::from_u128(id), ..self }
    }
}

const PATIENCE: Duration = Duration::from_secs(15);

fn found(epoch: &str, instances: &[Instance]) -> Found {
    Found { epoch: Some(epoch.to_owned()), instances: instances.to_vec() }
}

fn ids(memory: &Memory) -> Vec<u128> {
    memory.known().map(|instance| instance.id.as_u128()).collect()
}

#[test]
fn who_is_not_in_the_registry_any_more_is_gone() {
    let (mut memory, now) = (Memory::new(PATIENCE), Instant::now());
    memory.learn(found("a", &[instance(1, 1), instance(2, 2)]), now);
    memory.learn(found("a", &[instance(2, 2)]), now);
    assert_eq!(ids(&memory), [2]);
}

#[test]
fn while_the_registry_is_away_and_until_all_have_come_back_the_last_known_are_there() {
    let (mut memory, now) = (Memory::new(PATIENCE), Instant::now());
    memory.learn(found("a", &[instance(1, 1), instance(2, 2)]), now);
    assert!(memory.lost(), "it is news");
    assert!(!memory.lost(), "once");
    assert_eq!(ids(&memory), [1, 2]);
    // An old backup: nobody's heartbeat has come since.
    memory.learn(found("a", &[]), now);
    memory.learn(found("a", &[instance(3, 3)]), now + PATIENCE / 2);
    assert_eq!(ids(&memory), [1, 2, 3]);
    memory.learn(found("a", &[instance(3, 3)]), now + PATIENCE);
    assert_eq!(ids(&memory), [3]);
}

#[test]
fn an_emptied_registry_is_noticed_although_it_always_answered() {
    let (mut memory, now) = (Memory::new(PATIENCE), Instant::now());
    memory.learn(found("a", &[instance(1, 1), instance(2, 2)]), now);
    memory.learn(Found::default(), now);
    assert_eq!(ids(&memory), [1, 2]);
    memory.learn(found("b", &[instance(1, 1)]), now + PATIENCE / 3);
    assert_eq!(ids(&memory), [1, 2]);
    memory.learn(found("b", &[instance(1, 1)]), now + PATIENCE * 2);
    assert_eq!(ids(&memory), [1]);
}

#[test]
fn who_was_started_again_meanwhile_is_not_there_twice() {
    let (mut memory, now) = (Memory::new(PATIENCE), Instant::now());
    memory.learn(found("a", &[instance(1, 1), instance(2, 2)]), now);
    memory.lost();
    memory.learn(found("a", &[instance(3, 2)]), now);
    assert_eq!(ids(&memory), [1, 3]);
}

#[tokio::test]
async fn a_fixed_list_has_what_it_was_given() {
    let list = FixedList::parse("a=http://a.example:8080, a=http://[::1]:81,b=http://b/").unwrap();
    let urls: Vec<_> = list.discover("a").await.iter().map(Instance::base_url).collect();
    assert_eq!(urls, ["http://a.example:8080", "http://[::1]:81"]);
    let watched = list.watch("b").borrow().clone();
    assert_eq!((watched.len(), &*watched[0].health_url), (1, "http://b:80/ready"));
    assert!(list.discover("c").await.is_empty());
    assert!(list.heartbeat_every().is_none());
    let apart = FixedList::parse("c/orders+payments=http://o:1,c/users=http://u:1").unwrap().discover("c").await;
    for (context, hosts) in [("payments", &["o"][..]), ("users", &["u"]), ("products", &[])] {
        let serving = apart.iter().filter(|instance| instance.serves(context)).map(|instance| instance.host.as_str());
        assert!(serving.eq(hosts.iter().copied()), "{context}");
    }
    for bad in [
        "a",
        "a/=http://a",
        "a/b+=http://a",
        "/b=http://a",
        "=http://a",
        "a=https://a",
        "a=http://a/path",
        "a=http://u:p@a",
        "a=http://a?b",
    ] {
        assert!(FixedList::parse(bad).is_err(), "{bad}");
    }
    assert!(FixedList::parse("").unwrap().list().await.instances.is_empty());
}

#[test]
fn an_instance_says_where_it_is_reached() {
    let at = |flags: &[&str], bound: &str| config(flags).instance("shop", "1", Vec::new(), bound.parse().unwrap()).health_url;
    assert_eq!(at(&[], "127.0.0.1:8080"), "http://127.0.0.1:8080/ready");
    assert_eq!(at(&[], "[::1]:8080"), "http://[::1]:8080/ready");
    let flags = ["--advertised-host", "shop-1.example", "--advertised-port", "80"];
    assert_eq!(at(&flags, "0.0.0.0:8080"), "http://shop-1.example:80/ready");
    assert!(!at(&[], "0.0.0.0:8080").contains("0.0.0.0"), "nobody reaches that");
}

#[test]
fn an_instance_that_names_no_context_serves_all() {
    let all = instance(1, 1);
    let some = Instance { contexts: vec!["orders".to_owned()], ..all.clone() };
    assert!(all.serves("users") && some.serves("orders") && !some.serves("users"));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    for (flags, named) in [
        (&["--services", "nonsense"][..], "SERVICES"),
        (&["--services", "", "--registry-url", "redis://x"], "REGISTRY_URL"),
        (&["--registry-url", "http://x"], "REGISTRY_URL"),
        (&["--registry-prefix", "{x}"], "REGISTRY_PREFIX"),
        (&["--advertised-host", "http://x"], "ADVERTISED_HOST"),
    ] {
        assert_eq!(config(flags).validate().unwrap_err().setting(), named);
    }
    config(&["--services", "a=http://b", "--advertised-host", "::1"]).validate().unwrap();
}

//! Who is there, as operators see it.

use std::{process::Command, time::Duration};

use rustix::process::Signal;
use serde_json::Value;
use system_tests::{Plan, Stack, binaries, process::Process, stack::JWT_SECRET, wait::until};

/// How long anything may take on a machine that is starved.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whoever is silent for so many seconds is gone.
const TTL: (&str, &str) = ("REGISTRY_TTL", "6");

#[tokio::test]
async fn all_services_are_listed_with_their_health() {
    let plan = Plan { commands: 2, command_environment: vec![TTL], projector_environment: vec![TTL], ..Plan::default() };
    let mut stack = Stack::start(plan).await;
    until("all four are healthy", PATIENCE, async || {
        let services = services(&stack).await;
        let healthy = services.iter().filter(|service| service["health"]["status"] == "healthy").count();
        (services.len() == 4 && healthy == 4).then_some(())
    })
    .await;
    let one = of(&services(&stack).await, &stack.commands[1]).expect("a command service");
    assert_eq!(one["name"], "command-service");
    assert!(one["contexts"].as_array().unwrap().contains(&"payments".into()), "{one}");
    assert_eq!(one["version"], env!("CARGO_PKG_VERSION"));

    // It is in the registry until its time to live ends, and answers nobody.
    stack.commands[1].kill();
    until("the killed one does not look healthy", PATIENCE, async || {
        let services = services(&stack).await;
        of(&services, &stack.commands[1]).is_none_or(|service| service["health"]["status"] == "unreachable").then_some(())
    })
    .await;
    until("the killed one is gone", PATIENCE, async || of(&services(&stack).await, &stack.commands[1]).is_none().then_some(()))
        .await;
    stack.projectors[0].signal(Signal::TERM);
    let ended = stack.projectors[0].ended(PATIENCE).await;
    assert_eq!(ended.code(), Some(0), "{}", stack.projectors[0].tail());
    until("the projector that has ended is gone", PATIENCE, async || {
        of(&services(&stack).await, &stack.projectors[0]).is_none().then_some(())
    })
    .await;

    let address = stack.commands[0].url().replace("http://", "");
    until("orderctl shows the other command service", PATIENCE, async || {
        let table = orderctl(&stack, &["services"]).await;
        let row = table.lines().find(|line| line.contains(&address))?;
        (row.contains("  healthy  ") && row.contains("users,products,orders,payments")).then_some(())
    })
    .await;
    let json: Value = serde_json::from_str(&orderctl(&stack, &["services", "--json"]).await).unwrap();
    assert!(json["services"].is_array() && json["current"].is_boolean(), "{json}");
}

async fn services(stack: &Stack) -> Vec<Value> {
    let answer = stack.client().reading("/v1/services").send().await.unwrap();
    let listed: Value = answer.json().await.unwrap();
    listed["services"].as_array().unwrap_or_else(|| panic!("{listed}")).clone()
}

/// The entry of a process.
fn of(services: &[Value], process: &Process) -> Option<Value> {
    let at = |service: &&Value| process.url().ends_with(&format!(":{}", service["port"]));
    services.iter().find(at).cloned()
}

async fn orderctl(stack: &Stack, arguments: &[&str]) -> String {
    let mut command = Command::new(binaries::program("orderctl"));
    command.args(arguments).env_clear().env("QUERY_URL", stack.query.url()).env("JWT_SECRET", JWT_SECRET);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

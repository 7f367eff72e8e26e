//! `rss_mb_*` and `start_ms_*`: what a service takes when nothing happens and when much does, and how soon it is ready.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::commands::Orders;
use crate::{
    cpu::resident_mb,
    load::{Connection, Load, Requests},
    measure::{Goal, Measure},
    scale::Scale,
    system::{Running, System, token},
};

/// How long a start may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(2);
/// A service that has settled after its start.
const SETTLED: Duration = Duration::from_secs(2);

/// All of them: the three services at rest, then under orders and reads at once.
pub(crate) async fn all(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let command = system.command_service(&[]).await?;
    let projector = system.projector(&command.url(), &[]).await?;
    let query = system.query_service().await?;
    let mut services = [("command_service", command), ("projector", projector), ("query_service", query)];
    tokio::time::sleep(SETTLED).await;
    let mut measures = Vec::new();
    for (name, service) in &services {
        let idle = vec![resident_mb(service.pid()?)?];
        measures.push(
            Measure::alone(&format!("rss_mb_idle_{name}"), "MB", "resident memory after the start", idle)
                .goal(Goal::AtMost(60.0)),
        );
    }
    let loaded = under_load(&services, scale).await?;
    for ((name, _), loaded) in services.iter().zip(loaded) {
        measures.push(
            Measure::alone(
                &format!("rss_mb_loaded_{name}"),
                "MB",
                "resident memory under orders and reads, 64 connections each",
                vec![loaded],
            )
            .goal(Goal::AtMost(200.0)),
        );
    }
    for (name, service) in &mut services {
        let mut starts = Vec::new();
        for _ in 0..scale.repetitions {
            starts.push(start(service).await?.as_secs_f64() * 1e3);
        }
        measures.push(
            Measure::alone(&format!("start_ms_{name}"), "ms", "from exec to ready, its tables and topics being there", starts)
                .goal(Goal::AtMost(300.0)),
        );
    }
    Ok(measures)
}

/// The largest resident memory of each service while orders come in and are read.
async fn under_load(services: &[(&str, Running); 3], scale: &Scale) -> anyhow::Result<Vec<f64>> {
    let [(_, command), _, (_, query)] = services;
    let orders = Orders::new(command).await?;
    let reads = Load {
        address: query.address()?,
        connections: 64,
        warm_up: Duration::ZERO,
        duration: scale.warm_up + scale.duration,
        overload: false,
    };
    let token = token()?;
    let mut most = vec![0.0_f64; services.len()];
    let mut working = std::pin::pin!(async { tokio::try_join!(orders.place(scale), reads.closed(|_| listing(&token))) });
    loop {
        let done = tokio::time::timeout(Duration::from_millis(100), &mut working).await;
        for (most, (_, service)) in most.iter_mut().zip(services) {
            *most = most.max(resident_mb(service.pid()?)?);
        }
        if let Ok(done) = done {
            done?;
            return Ok(most);
        }
    }
}

/// The newest orders, as a shop's front page would ask for them.
fn listing(token: &str) -> Requests {
    let request = format!("GET /v1/orders?limit=10 HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n");
    Box::new(move |bytes| bytes.extend_from_slice(request.as_bytes()))
}

/// Ends the service, starts it again, and waits until it is ready.
async fn start(service: &mut Running) -> anyhow::Result<Duration> {
    service.process.kill();
    let address = service.address()?;
    let begun = Instant::now();
    service.process.spawn();
    while begun.elapsed() < PATIENCE {
        if let Ok(mut connection) = Connection::open(address).await
            && let Ok(answer) = connection.exchange(b"GET /ready HTTP/1.1\r\nHost: bench\r\n\r\n").await
            && answer.status == 200
        {
            return Ok(begun.elapsed());
        }
        tokio::time::sleep(LOOK).await;
    }
    ensure!(false, "not ready after {PATIENCE:?}: {}", service.process.tail());
    Ok(PATIENCE)
}

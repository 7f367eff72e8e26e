//! From the answer to an order to its view in Redis, and what exactly-once adds to that.

mod watch;

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use anyhow::anyhow;
use uuid::Uuid;

use self::watch::{Answer, Watch};
use super::commands::{CONNECTIONS, PRODUCTS};
use crate::{
    counters::publishing,
    load::{Answered, Load, milliseconds},
    measure::{Figure, Goal, Measure},
    orders::{self, Placing},
    rate::figure,
    scale::Scale,
    system::{System, products},
};

/// The lines.
pub(crate) const NAMES: &[&str] =
    &["commit_to_visible_ms_10", "commit_to_visible_ms_500", "commit_to_visible_p99_ms_500", "commit_to_visible_ms_5000"];

/// Orders a second, and of how many of them one is looked for.
const RATES: [(u32, u32); 3] = [(10, 1), (500, 1), (5_000, 20)];

const WHAT: &str = "from the HTTP answer to the view in Redis, exactly once";
const AGAINST: &str = "the same with RELAY_DELIVERY=at-least-once";

/// What one delivery gave at one rate, by repetition.
#[derive(Debug, Default, Clone)]
struct Side {
    p50: Vec<f64>,
    p99: Vec<f64>,
    accepted: Vec<f64>,
    refused: Vec<f64>,
    generator: Vec<f64>,
}

/// `commit_to_visible_*`
pub(crate) async fn with_both_deliveries(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let service = system.command_service(&[]).await?;
    let products: Arc<[Uuid]> = products(&service, PRODUCTS).await?.into();
    let projector = system.projector(&service.url(), &[]).await?;
    service.stop().await;
    let mut sides: [[Side; 2]; RATES.len()] = Default::default();
    for _ in 0..scale.repetitions {
        for (delivery, index) in [("exactly-once", 0), ("at-least-once", 1)] {
            let service = system.command_service(&[("RELAY_DELIVERY", delivery)]).await?;
            publishing(&service).await?;
            for (side, (rate, every)) in sides.iter_mut().zip(RATES) {
                place(&system, service.address()?, &products, scale, (rate, every), &mut side[index]).await?;
            }
            service.stop().await;
        }
    }
    projector.stop().await;
    Ok(sides.into_iter().zip(RATES).flat_map(|([ours, theirs], (rate, every))| lines(rate, every, ours, theirs)).collect())
}

fn lines(rate: u32, every: u32, ours: Side, theirs: Side) -> Vec<Measure> {
    let median = |values: &[f64]| Figure::from(values.to_vec()).median;
    let what = format!("p50 {WHAT}, {rate} orders/s");
    let note = format!(
        "Every {every}. order is looked for, in one pipeline about each millisecond: a view is seen up to 1 ms late, and so \
         much is in both figures. The answer's time is taken by the generator, which shares the cores."
    );
    let line = Measure::alone(&format!("commit_to_visible_ms_{rate}"), "ms", &what, ours.p50)
        .against(AGAINST, theirs.p50)
        .detail("p99_ms", median(&ours.p99))
        .detail("reference_p99_ms", median(&theirs.p99))
        .detail("offered_per_s", f64::from(rate))
        .detail("accepted_per_s", median(&ours.accepted))
        .detail("reference_accepted_per_s", median(&theirs.accepted))
        .detail("refused", median(&ours.refused))
        .detail("generator_share", median(&ours.generator))
        .note(&note);
    match rate {
        500 => {
            let what = format!("p99 {WHAT}, {rate} orders/s");
            let tail = Measure::alone("commit_to_visible_p99_ms_500", "ms", &what, ours.p99).against(AGAINST, theirs.p99);
            vec![line.goal(Goal::AtMost(15.0)), tail.goal(Goal::AtMost(60.0)).note(&note)]
        }
        5_000 => vec![line.goal(Goal::AtMost(30.0))],
        _ => vec![line],
    }
}

/// Places orders at a rate and looks when some of them are visible.
async fn place(
    system: &System,
    address: std::net::SocketAddr,
    products: &Arc<[Uuid]>,
    scale: &Scale,
    (rate, every): (u32, u32),
    side: &mut Side,
) -> anyhow::Result<()> {
    let (sender, answers) = mpsc::channel();
    let counted = Instant::now() + scale.warm_up;
    let watch = Watch::new(&system.redis.url(), &system.name)?;
    let watching = std::thread::spawn(move || watch.run(&answers, counted));
    let answered: Answered = Arc::new(move |at, body| {
        if let Some(order) = orders::answered_id(body)
            && order.as_u128() % u128::from(every) == 0
        {
            // Only a watch that failed hears nothing, and says so itself.
            let _ = sender.send(Answer { order, at });
        }
    });
    let load = Load { overload: true, ..Load::on(address, CONNECTIONS, scale) };
    let placing = Placing::of(products)?;
    let outcome = load.open_telling(f64::from(rate), |_| placing.requests(), answered).await?;
    let waited = tokio::task::spawn_blocking(move || watching.join()).await?;
    let delays = waited.map_err(|_| anyhow!("the watch panicked"))??;
    side.p50.push(milliseconds(&delays, 50.0));
    side.p99.push(milliseconds(&delays, 99.0));
    side.accepted.push(outcome.rate);
    side.refused.push(figure(outcome.refused));
    side.generator.push(outcome.generator);
    Ok(())
}

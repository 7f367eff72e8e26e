//! One product that everybody adjusts, against many: what order within a stream costs.

use uuid::Uuid;

use super::commands::{CONNECTIONS, post, rates};
use crate::{
    load::{Load, Outcome, Requests},
    measure::{Goal, Measure},
    scale::Scale,
    system::{Running, System, products, token},
};

/// Products of the spread side.
const SPREAD: usize = 10_000;

/// `hot_aggregate_vs_spread`
pub(crate) async fn hot_against_spread(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let service = system.command_service(&[("RELAY_DELIVERY", "off")]).await?;
    let products = products(&service, SPREAD).await?;
    let (mut hot, mut spread) = (Vec::new(), Vec::new());
    for _ in 0..scale.repetitions {
        hot.push(adjust(&service, &products[..1], scale).await?);
        spread.push(adjust(&service, &products, scale).await?);
    }
    Ok(vec![
        Measure::alone("hot_aggregate_vs_spread", "commands/s", "64 clients adjusting the stock of one product", rates(&hot))
            .against("64 clients adjusting 10,000 products", rates(&spread))
            .goal(Goal::RatioAtLeast(0.7))
            .details_of("ours", hot.last())
            .details_of("reference", spread.last()),
    ])
}

async fn adjust(service: &Running, products: &[Uuid], scale: &Scale) -> anyhow::Result<Outcome> {
    let load = Load::on(service.address()?, CONNECTIONS, scale);
    let token = token()?;
    load.closed(|_| adjustments(&token, products)).await
}

/// Goods come in, one at a time: that is never refused.
pub(crate) fn adjustments(token: &str, products: &[Uuid]) -> Requests {
    let (token, products) = (token.to_owned(), products.to_vec());
    let mut random = fastrand::Rng::new();
    Box::new(move |request| {
        let product = products[random.usize(..products.len())];
        let path = format!("/v1/products/{product}/stock-adjustments");
        post(request, &path, &token, &format!("{:032x}", random.u128(..)), r#"{"delta":1,"reason":"received"}"#);
    })
}

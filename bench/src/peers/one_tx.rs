//! The same handler, the same checks and the same domain as ours, but a transaction of its own for each request: what one
//! writes first. Its tables are copies of ours, with all their indexes.

mod store;

use std::{collections::HashMap, sync::Arc};

use anyhow::Context as _;
use axum::{Json as JsonBody, Router, extract::State, response::IntoResponse};
use command_service::{
    application::{commands::Digests, lane::Lanes},
    domain::{
        Aggregate,
        order::{Command, Customer, NewLine, PlaceOrder, ProductQuote},
        product::Product,
    },
    inbound::http::commands::Accepted,
};
use events::{Currency, DataKey, DomainEvent, Money, ProductEvent, ProductId, Quantity, orders::Fulfilment};
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use service_kit::{
    auth::{Principal, Role, Verifier},
    config::Secret,
    json::Json,
    problem::Problem,
    routes::Routes,
    trace::TraceContext,
};
use sqlx::{PgPool, Row};
use uuid::Uuid;

use self::store::Store;
use crate::system::{JWT_SECRET, PERSONAL_DATA_KEY};

/// Lanes, as ours has by default.
const LANES: u16 = 16;

/// What the handler needs.
struct Shop {
    store: Store,
    digests: Digests,
    quotes: HashMap<Uuid, ProductQuote>,
}

/// The peer, on the database in `DATABASE_URL`, in which a command service has made its schemas and the products.
pub(crate) async fn router() -> anyhow::Result<Router> {
    let pool = store::open(&std::env::var("DATABASE_URL")?).await?;
    let quotes = quotes(&pool).await?;
    let store = Store { pool, lanes: Lanes::new(LANES).context("a number of lanes")? };
    let shop = Shop { store, digests: Digests::new(&DataKey::from_base64(PERSONAL_DATA_KEY)?), quotes };
    let roles = &[Role::Customer, Role::Staff, Role::Service];
    let routes = Routes::new().route(Method::POST, "/v1/orders", roles, place);
    Ok(routes.into_router(Arc::new(shop), Arc::new(Verifier::new(&Secret::new(JWT_SECRET)))))
}

/// Prices are kept in memory, as ours keeps them.
async fn quotes(pool: &PgPool) -> anyhow::Result<HashMap<Uuid, ProductQuote>> {
    const STORED: &str = "SELECT stream_id, event_type, data::text FROM products.events ORDER BY stream_id, version";
    let mut products: HashMap<Uuid, (Product, u64)> = HashMap::new();
    for row in sqlx::query(STORED).fetch_all(pool).await? {
        let event = ProductEvent::decode(row.try_get(1)?, row.try_get::<&str, _>(2)?.as_bytes())?;
        let (product, version) = products.entry(row.try_get(0)?).or_default();
        *product = std::mem::take(product).evolve(&event);
        *version += 1;
    }
    Ok(products.into_iter().filter_map(|(id, (product, version))| Some((id, product.quote(version)?))).collect())
}

/// `POST /v1/orders`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    fulfilment: Fulfilment,
    currency: Option<Currency>,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    product_id: ProductId,
    quantity: Quantity,
    unit_price: Option<Money>,
}

async fn place(
    State(shop): State<Arc<Shop>>,
    principal: Principal,
    trace: TraceContext,
    headers: HeaderMap,
    Json(body): Json<Body>,
) -> Result<impl IntoResponse, Problem> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(|key| {
        let json = serde_json::to_vec(&body).unwrap_or_default();
        shop.digests.key(principal.subject(), key, &[b"place-order", &json])
    });
    let id = key.map_or_else(Uuid::now_v7, |key| shop.digests.derived_id(key.id));
    let lines = body.lines.iter().map(|line| NewLine {
        product_id: line.product_id,
        quantity: line.quantity,
        quote: shop.quotes.get(&line.product_id.0).copied(),
        negotiated: line.unit_price,
    });
    let place = PlaceOrder {
        customer: Customer::Guest,
        fulfilment: body.fulfilment,
        currency: body.currency,
        lines: lines.collect(),
        payment_method: None,
    };
    let accepted: Accepted = shop.store.execute(id, key, &Command::Place(place), &trace).await?;
    let headers =
        [(header::LOCATION, format!("/v1/orders/{}", accepted.id)), (header::ETAG, format!("\"{}\"", accepted.version))];
    Ok((StatusCode::CREATED, headers, JsonBody(accepted)))
}

//! A database of one test, and orders to carry out.

use std::time::Duration;

use chrono::Utc;
use events::{
    MinorUnits, OrderEvent, OrderId, ProductId, Quantity, UserId,
    orders::{Fulfilment, OrderLine, OrderPlaced},
    text::{PaymentMethod, ProviderReference, Reason},
};
use fulfilment::{
    application::task::{Task, Tried},
    domain::saga::Step,
    outbound::postgres::{Attempt, Gaps, Heard, Patience, SagaView, Settled, Store},
};
use system_tests::servers::Database;
use uuid::Uuid;

pub(crate) const LANTERN: ProductId = ProductId(Uuid::from_u128(0xB1));
pub(crate) const TEAPOT: ProductId = ProductId(Uuid::from_u128(0xB2));
pub(crate) const ANN: UserId = UserId(Uuid::from_u128(0xC));

/// Nothing runs out of time but where a test wants it.
pub(crate) const PATIENT: Patience =
    Patience { payment: Duration::from_secs(3_600), lease: Duration::from_secs(3_600), attempts: 3 };

/// A database of one test.
pub(crate) struct World {
    database: Database,
    pub(crate) store: Store,
}

impl World {
    pub(crate) async fn new(patience: Patience) -> Self {
        let database = Database::create(&format!("fulfilment_it_{}", Uuid::new_v4().simple())).await;
        let store = Store::open(&database.url, patience).await.unwrap();
        Self { database, store }
    }

    /// The same sagas, as another process has them.
    pub(crate) async fn beside(&self, patience: Patience) -> Store {
        Store::open(&self.database.url, patience).await.unwrap()
    }

    /// Places an order of two products and lets its saga begin.
    pub(crate) async fn place(&self) -> OrderId {
        let order = OrderId(Uuid::now_v7());
        self.hear(order, 1, placed(Fulfilment::Managed)).await;
        order
    }

    pub(crate) async fn hear(&self, order: OrderId, version: u64, event: OrderEvent) {
        self.store.hear(&[heard(order, version, event)], None, Gaps::Refuse).await.unwrap();
    }

    /// Takes the only step that is due.
    pub(crate) async fn take(&self) -> Task {
        let mut taken = self.store.take(10).await.unwrap();
        assert_eq!(taken.len(), 1, "{taken:?}");
        taken.remove(0)
    }

    /// Takes the only step that is due, which is this one, and has it done.
    pub(crate) async fn done(&self, step: Step) -> Task {
        let task = self.take().await;
        assert_eq!(task.step, step);
        let reference = ProviderReference::parse(&format!("ref-{}", step.name())).unwrap();
        assert_eq!(self.settle(&task, Tried::Done(Some(reference))).await, Settled::Answered);
        task
    }

    pub(crate) async fn settle(&self, task: &Task, tried: Tried) -> Settled {
        self.store.settle(task, &attempt(tried)).await.unwrap()
    }

    pub(crate) async fn view(&self, order: OrderId) -> SagaView {
        self.store.view(order).await.unwrap().unwrap()
    }
}

pub(crate) fn attempt(tried: Tried) -> Attempt {
    Attempt { at: Utc::now(), took: Duration::from_millis(5), tried }
}

pub(crate) fn unknown() -> Tried {
    Tried::Unknown("no answer".to_owned())
}

pub(crate) fn refused() -> Tried {
    Tried::Refused(reason("no"))
}

pub(crate) fn reason(text: &str) -> Reason {
    Reason::parse(text).unwrap()
}

pub(crate) fn heard(order_id: OrderId, version: u64, event: OrderEvent) -> Heard {
    let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    Heard { order_id, version, event, recorded_at: Utc::now(), traceparent }
}

/// An order of two products.
pub(crate) fn placed(fulfilment: Fulfilment) -> OrderEvent {
    let line = |line: u16, product_id| OrderLine {
        line,
        product_id,
        product_version: 1,
        quantity: Quantity::new(2).unwrap(),
        unit_price: MinorUnits::new(250).unwrap(),
    };
    OrderPlaced {
        user_id: Some(ANN),
        fulfilment,
        currency: "GBP".parse().unwrap(),
        lines: vec![line(1, LANTERN), line(2, TEAPOT)],
        total: MinorUnits::new(1_000).unwrap(),
        payment_method: Some(PaymentMethod::parse("pm_1").unwrap()),
    }
    .into()
}

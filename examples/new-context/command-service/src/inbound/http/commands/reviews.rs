//! Commands on reviews.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use events::{
    Context, ProductId, UserId,
    reviews::ReviewWritten,
    text::{Reason, ReviewText},
};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{
    auth::Role::{self, Customer, Service, Staff},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{Call, CommandBody, Target, endpoint, send};
use crate::{
    application::{commands::Commands, writer::Answer},
    domain::review::Command,
};

pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .merge(endpoint::<WriteReview>(Method::POST, "/v1/reviews"))
        .merge(endpoint::<WithdrawReview>(Method::POST, "/v1/reviews/{id}/withdraw"))
}

/// `POST /v1/reviews`
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteReview {
    /// Chosen by the caller; made here unless given.
    id: Option<Uuid>,
    product_id: ProductId,
    user_id: UserId,
    /// One to five.
    stars: u8,
    text: Option<ReviewText>,
    /// When it happened, if not now: for staff and services.
    occurred_at: Option<DateTime<Utc>>,
}

/// `POST /v1/reviews/{id}/withdraw`
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawReview {
    reason: Reason,
    /// When it happened, if not now: for staff and services.
    occurred_at: Option<DateTime<Utc>>,
}

impl CommandBody for WriteReview {
    const NAME: &'static str = "write-review";
    const SUMMARY: &'static str = "Publishes a review of a product; a customer's own.";
    const ROLES: &'static [Role] = &[Customer, Staff, Service];
    const CONTEXT: Context = Context::Reviews;
    const CREATES: bool = true;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    fn given_id(&self) -> Option<Uuid> {
        self.id
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        let Self { product_id, user_id, stars, text, .. } = self;
        if !call.principal.may_act_for(user_id.0) {
            return Err(Problem::not_found("There is no such user."));
        }
        send(&commands.reviews, call, target, Command::Write(ReviewWritten { product_id, user_id, stars, text })).await
    }
}

impl CommandBody for WithdrawReview {
    const NAME: &'static str = "withdraw-review";
    const SUMMARY: &'static str = "Takes a review from sight.";
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Reviews;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        send(&commands.reviews, call, target, Command::Withdraw { reason: self.reason }).await
    }
}

//! Commands on reviews.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use events::{
    Context, ProductId, UserId,
    reviews::ReviewWritten,
    text::{Reason, ReviewText},
};
use http::Method;
use serde::{Deserialize, Serialize};
use service_kit::{
    auth::Role::{self, Customer, Service, Staff},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{Call, CommandBody, Target, command, send};
use crate::{
    application::{commands::Commands, writer::Answer},
    domain::review::Command,
};

pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new().route(Method::POST, "/v1/reviews", WriteReview::ROLES, command::<WriteReview>).route(
        Method::POST,
        "/v1/reviews/{id}/withdraw",
        WithdrawReview::ROLES,
        command::<WithdrawReview>,
    )
}

/// `POST /v1/reviews`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteReview {
    id: Option<Uuid>,
    product_id: ProductId,
    user_id: UserId,
    stars: u8,
    text: Option<ReviewText>,
    occurred_at: Option<DateTime<Utc>>,
}

/// `POST /v1/reviews/{id}/withdraw`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithdrawReview {
    reason: Reason,
    occurred_at: Option<DateTime<Utc>>,
}

impl CommandBody for WriteReview {
    const NAME: &'static str = "write-review";
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
    const ROLES: &'static [Role] = &[Staff, Service];
    const CONTEXT: Context = Context::Reviews;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        send(&commands.reviews, call, target, Command::Withdraw { reason: self.reason }).await
    }
}

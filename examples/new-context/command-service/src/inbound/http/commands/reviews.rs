//! Commands on reviews.

use std::sync::Arc;

use events::{
    Context, ProductId, UserId,
    reviews::ReviewWritten,
    text::{Reason, ReviewText},
};
use http::Method;
use service_kit::{
    auth::Role::{self, Customer, Service, Staff},
    problem::Problem,
    routes::Routes,
};

use super::{Call, CommandBody, Target, body, endpoint, send};
use crate::{
    application::{commands::Commands, writer::Answer},
    domain::review::Command,
};

pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .merge(endpoint::<WriteReview>(Method::POST, "/v1/reviews"))
        .merge(endpoint::<WithdrawReview>(Method::POST, "/v1/reviews/{id}/withdraw"))
}

body! {
    /// `POST /v1/reviews`
    pub struct WriteReview creates {
        product_id: ProductId,
        user_id: UserId,
        /// One to five.
        stars: u8,
        text: Option<ReviewText>,
    }
}

body! {
    /// `POST /v1/reviews/{id}/withdraw`
    pub struct WithdrawReview {
        reason: Reason,
    }
}

impl CommandBody for WriteReview {
    const NAME: &'static str = "write-review";
    const SUMMARY: &'static str = "Publishes a review of a product; a customer's own.";
    const ROLES: &'static [Role] = &[Customer, Staff, Service];
    const CONTEXT: Context = Context::Reviews;

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

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        send(&commands.reviews, call, target, Command::Withdraw { reason: self.reason }).await
    }
}

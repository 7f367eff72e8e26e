//! `/v1/contacts`: telephone numbers, which users of the shop do not have. They can be set and removed, and not read.

use axum::extract::State;
use events::{Personal, UserId};
use http::StatusCode;
use serde::Deserialize;
use service_kit::{
    auth::Principal,
    json::{Json, Path},
    problem::Problem,
};

use super::{Api, problems::database};
use crate::domain::phone::Phone;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contact {
    phone: String,
}

/// Seals the number under the user's own key, so that erasing the user erases it.
pub(super) async fn put(
    State(api): State<Api>,
    caller: Principal,
    Path(user): Path<UserId>,
    Json(contact): Json<Contact>,
) -> Result<StatusCode, Problem> {
    authorise(&caller, user)?;
    let phone = Phone::parse(&contact.phone).map_err(|error| Problem::invalid_field("/phone", error.to_string()))?;
    let key = api.keys.key(user.0).await;
    let key = key.map_err(|error| Problem::unavailable("Keys of personal data cannot be had.", error))?;
    let key = key.ok_or_else(unknown)?;
    let sealed = Personal::seal(user.0, &key, &phone).map_err(Problem::internal)?;
    api.store.set_phone(user, &sealed).await.map_err(database)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn delete(State(api): State<Api>, caller: Principal, Path(user): Path<UserId>) -> Result<StatusCode, Problem> {
    authorise(&caller, user)?;
    if !api.store.forget_phone(user).await.map_err(database)? {
        return Err(Problem::not_found("There is no telephone number of this user."));
    }
    Ok(StatusCode::NO_CONTENT)
}

fn authorise(caller: &Principal, user: UserId) -> Result<(), Problem> {
    if caller.may_act_for(user.0) { Ok(()) } else { Err(unknown()) }
}

fn unknown() -> Problem {
    Problem::not_found("There is no such user.")
}

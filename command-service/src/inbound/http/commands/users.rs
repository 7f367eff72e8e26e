//! Commands on users.

use std::sync::Arc;

use events::{
    Context, Personal,
    text::{Email, PaymentMethod, PersonName, Reason},
};
use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use service_kit::{
    auth::Role::{self, Customer, Service, Staff},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{Call, CommandBody, Target, body, endpoint, send};
use crate::{
    application::{commands::Commands, writer::Answer},
    domain::user::{Command, EmailClaim},
    inbound::http::problems,
};

pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .merge(endpoint::<RegisterUser>(Method::POST, "/v1/users"))
        .merge(endpoint::<ChangeUser>(Method::PATCH, "/v1/users/{id}"))
        .merge(endpoint::<ChangePaymentMethod>(Method::PUT, "/v1/users/{id}/payment-method"))
        .merge(endpoint::<DeactivateUser>(Method::POST, "/v1/users/{id}/deactivate"))
}

body! {
    /// `POST /v1/users`
    pub struct RegisterUser creates {
        name: PersonName,
        email: Email,
    }
}

body! {
    /// `PATCH /v1/users/{id}`
    pub struct ChangeUser {
        name: Option<PersonName>,
        email: Option<Email>,
    }
}

body! {
    /// `PUT /v1/users/{id}/payment-method`: the provider's token for what orders are paid with that name nothing else, or null.
    #[schemars(extend("required" = ["method"]))]
    pub struct ChangePaymentMethod {
        #[serde(deserialize_with = "Option::deserialize")]
        method: Option<PaymentMethod>,
    }
}

body! {
    /// `POST /v1/users/{id}/deactivate`
    pub struct DeactivateUser {
        reason: Option<Reason>,
    }
}

impl CommandBody for RegisterUser {
    const NAME: &'static str = "register-user";
    const SUMMARY: &'static str = "Opens an account.";
    const ROLES: &'static [Role] = &[Customer, Staff, Service];
    const CONTEXT: Context = Context::Users;

    async fn submit(self, commands: &Commands, call: &Call, mut target: Target) -> Result<Answer, Problem> {
        if call.principal.is_customer_only() {
            // A customer's account has the id that the identity provider knows them by.
            let own = call.principal.subject_id().ok_or_else(|| Problem::forbidden("The token's subject is no user id."))?;
            if self.id.is_some_and(|id| id != own) {
                return Err(Problem::forbidden("A customer registers under the id of their token's subject only."));
            }
            target.id = own;
        }
        let sealed = Sealed::new(commands, target.id).await?;
        let (email, email_claim) = sealed.email(&self.email)?;
        let command = Command::Register { name: sealed.text(&self.name)?, email, email_claim };
        send(&commands.users, call, target, command).await
    }
}

impl CommandBody for ChangeUser {
    const NAME: &'static str = "change-user";
    const SUMMARY: &'static str = "Changes a user's name, e-mail address, or both.";
    const ROLES: &'static [Role] = &[Customer, Staff, Service];
    const CONTEXT: Context = Context::Users;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        own_account(call, target.id)?;
        if self.name.is_none() && self.email.is_none() {
            return Err(Problem::invalid_request("Give a name, an email, or both."));
        }
        let sealed = Sealed::existing(commands, target.id).await?;
        let name = self.name.as_ref().map(|name| sealed.text(name)).transpose()?;
        let email = self.email.as_ref().map(|email| sealed.email(email)).transpose()?;
        send(&commands.users, call, target, Command::Change { name, email }).await
    }
}

impl CommandBody for ChangePaymentMethod {
    const NAME: &'static str = "change-payment-method";
    const SUMMARY: &'static str = "Sets or removes what a user's orders are paid with unless they say otherwise.";
    const ROLES: &'static [Role] = &[Customer, Staff, Service];
    const CONTEXT: Context = Context::Users;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        own_account(call, target.id)?;
        send(&commands.users, call, target, Command::ChangePaymentMethod { method: self.method }).await
    }
}

impl CommandBody for DeactivateUser {
    const NAME: &'static str = "deactivate-user";
    const SUMMARY: &'static str = "Closes an account.";
    const ROLES: &'static [Role] = &[Customer, Staff, Service];
    const CONTEXT: Context = Context::Users;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<Answer, Problem> {
        own_account(call, target.id)?;
        send(&commands.users, call, target, Command::Deactivate { reason: self.reason }).await
    }
}

/// Another's account is to a customer as if it did not exist.
fn own_account(call: &Call, user: Uuid) -> Result<(), Problem> {
    if call.principal.may_act_for(user) { Ok(()) } else { Err(Problem::not_found("There is no such user.")) }
}

/// Encrypts under one user's key.
struct Sealed<'a> {
    commands: &'a Commands,
    user: Uuid,
    key: events::DataKey,
}

impl<'a> Sealed<'a> {
    async fn new(commands: &'a Commands, user: Uuid) -> Result<Self, Problem> {
        let keys = problems::here(commands.keys.as_ref(), Context::Users)?;
        let key = keys.get_or_create(user).await.map_err(problems::read_failed)?;
        Ok(Self { commands, user, key })
    }

    /// A user without a key does not exist, or was erased.
    async fn existing(commands: &'a Commands, user: Uuid) -> Result<Self, Problem> {
        let keys = problems::here(commands.keys.as_ref(), Context::Users)?;
        let mut keys = keys.get(&[user]).await.map_err(problems::read_failed)?;
        let key =
            keys.remove(&user).ok_or_else(|| Problem::not_found("There is no such user.").with_member("rule", "UserNotFound"))?;
        Ok(Self { commands, user, key })
    }

    fn text<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<Personal<T>, Problem> {
        Personal::seal(self.user, &self.key, value).map_err(Problem::internal)
    }

    fn email(&self, email: &Email) -> Result<(Personal<Email>, EmailClaim), Problem> {
        Ok((self.text(email)?, self.commands.digests.email(&email.canonical())))
    }
}

//! Events of the `users` context.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Personal,
    event::events,
    text::{Email, PaymentMethod, PersonName, Reason},
};

events! {
    /// What can happen to a user.
    UserEvent in Context::Users;
    current {
        /// An account was opened.
        Registered(UserRegistered) = "user.registered.v1",
        /// The name was changed.
        NameChanged(UserNameChanged) = "user.name-changed.v1",
        /// The e-mail address was changed.
        EmailChanged(UserEmailChanged) = "user.email-changed.v1",
        /// The default payment method was set, changed or removed.
        PaymentMethodChanged(UserPaymentMethodChanged) = "user.payment-method-changed.v1",
        /// The account was closed; its e-mail address is free again.
        Deactivated(UserDeactivated) = "user.deactivated.v1",
    }
    upcasts {}
}

/// An account was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserRegistered {
    /// The person's name.
    pub name: Personal<PersonName>,
    /// The person's e-mail address.
    pub email: Personal<Email>,
}

/// The name was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserNameChanged {
    /// The new name.
    pub name: Personal<PersonName>,
}

/// The e-mail address was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserEmailChanged {
    /// The new address.
    pub email: Personal<Email>,
}

/// The default payment method was set, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserPaymentMethodChanged {
    /// What orders are paid with that name nothing else; absent when there is no default any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<PaymentMethod>,
}

/// The account was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserDeactivated {
    /// Why, in a person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

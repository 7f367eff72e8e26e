//! A user's account. The name and the e-mail address are sealed before they get here: the domain never sees them.
#![deny(clippy::wildcard_enum_match_arm)]

#[cfg(test)]
mod tests;

use events::{
    Personal, UserEvent,
    text::{Email, PaymentMethod, PersonName, Reason},
    users::{UserDeactivated, UserEmailChanged, UserNameChanged, UserPaymentMethodChanged, UserRegistered},
};
use serde::{Deserialize, Serialize};

use super::{
    Aggregate, Claim, ClaimKind, Rule, RuleKind,
    order::{Payer, Standing},
};

/// What can be asked of a user's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Opens the account.
    Register {
        /// The person's name.
        name: Personal<PersonName>,
        /// The person's e-mail address.
        email: Personal<Email>,
        /// What the address is unique by.
        email_claim: EmailClaim,
    },
    /// Changes the name, the e-mail address or both.
    Change {
        /// The new name.
        name: Option<Personal<PersonName>>,
        /// The new address, and what it is unique by.
        email: Option<(Personal<Email>, EmailClaim)>,
    },
    /// Sets, changes or removes what orders are paid with that name nothing else. What is the same already makes no event.
    ChangePaymentMethod {
        /// The new default; none to have none.
        method: Option<PaymentMethod>,
    },
    /// Closes the account for ever and frees its e-mail address.
    Deactivate {
        /// Why, in a person's words.
        reason: Option<Reason>,
    },
}

/// The HMAC of an e-mail address's canonical form: equal for equal addresses, and all that the claims table gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmailClaim(pub [u8; 32]);

/// A user's account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum User {
    /// There is none yet.
    #[default]
    Unregistered,
    /// Open.
    Active(Account),
    /// Closed for ever.
    Deactivated(Account),
}

/// What is known of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The person's name.
    pub name: Personal<PersonName>,
    /// The person's e-mail address.
    pub email: Personal<Email>,
    /// What orders are paid with that name nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethod>,
}

/// The rule that refused a command to a user's account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum UserError {
    /// Registering an id that has an account.
    #[error("a user with this id is registered already: change that one, or register under another id")]
    AlreadyRegistered,
    /// Anything but registering, before that.
    #[error("there is no user with this id: register it first")]
    UserNotFound,
    /// Changing a closed account.
    #[error("this user is deactivated and can't be changed: register the person again under a new id")]
    UserDeactivated,
    /// Closing a closed account.
    #[error("this user is deactivated already: there is nothing left to do")]
    AlreadyDeactivated,
    /// Another active user has the address.
    #[error("another active user has this e-mail address: use another one, or deactivate that user first")]
    EmailTaken,
    /// A change of nothing.
    #[error("there is nothing to change: give a name, an e-mail address or both")]
    NothingToChange,
}

impl User {
    /// Whether there is such a user, active or not.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.account().is_some()
    }

    /// What an order needs to know of the user who places it.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self {
            Self::Unregistered => Standing::Unknown,
            Self::Active(_) => Standing::Active,
            Self::Deactivated(_) => Standing::Deactivated,
        }
    }

    /// What an order is paid with that names nothing else.
    #[must_use]
    pub fn payment_method(&self) -> Option<&PaymentMethod> {
        self.account()?.payment_method.as_ref()
    }

    /// What is known of the user who places an order.
    #[must_use]
    pub fn payer(&self) -> Payer {
        Payer { standing: self.standing(), payment_method: self.payment_method().cloned() }
    }

    /// What is known of the person.
    #[must_use]
    pub const fn account(&self) -> Option<&Account> {
        match self {
            Self::Unregistered => None,
            Self::Active(account) | Self::Deactivated(account) => Some(account),
        }
    }

    fn map(self, change: impl FnOnce(Account) -> Account) -> Self {
        match self {
            Self::Unregistered => Self::Unregistered,
            Self::Active(account) => Self::Active(change(account)),
            Self::Deactivated(account) => Self::Deactivated(change(account)),
        }
    }
}

impl Aggregate for User {
    type Command = Command;
    type Event = UserEvent;
    type Error = UserError;

    const SHAPE: &'static str = "user/2";

    fn decide(&self, command: &Command) -> Result<Vec<UserEvent>, UserError> {
        match (command, self) {
            (Command::Register { name, email, .. }, Self::Unregistered) => {
                Ok(vec![UserRegistered { name: name.clone(), email: email.clone() }.into()])
            }
            (Command::Register { .. }, Self::Active(_) | Self::Deactivated(_)) => Err(UserError::AlreadyRegistered),
            (Command::Change { .. } | Command::ChangePaymentMethod { .. } | Command::Deactivate { .. }, Self::Unregistered) => {
                Err(UserError::UserNotFound)
            }
            (Command::Change { .. } | Command::ChangePaymentMethod { .. }, Self::Deactivated(_)) => {
                Err(UserError::UserDeactivated)
            }
            (Command::Change { name: None, email: None }, Self::Active(_)) => Err(UserError::NothingToChange),
            (Command::Change { name, email }, Self::Active(_)) => {
                let name = name.clone().map(|name| UserNameChanged { name }.into());
                let email = email.clone().map(|(email, _)| UserEmailChanged { email }.into());
                Ok(name.into_iter().chain(email).collect())
            }
            (Command::ChangePaymentMethod { method }, Self::Active(account)) if *method == account.payment_method => {
                Ok(Vec::new())
            }
            (Command::ChangePaymentMethod { method }, Self::Active(_)) => {
                Ok(vec![UserPaymentMethodChanged { method: method.clone() }.into()])
            }
            (Command::Deactivate { reason }, Self::Active(_)) => Ok(vec![UserDeactivated { reason: reason.clone() }.into()]),
            (Command::Deactivate { .. }, Self::Deactivated(_)) => Err(UserError::AlreadyDeactivated),
        }
    }

    fn evolve(self, event: &UserEvent) -> Self {
        match event {
            UserEvent::Registered(UserRegistered { name, email }) => {
                Self::Active(Account { name: name.clone(), email: email.clone(), payment_method: None })
            }
            UserEvent::NameChanged(UserNameChanged { name }) => self.map(|account| Account { name: name.clone(), ..account }),
            UserEvent::EmailChanged(UserEmailChanged { email }) => {
                self.map(|account| Account { email: email.clone(), ..account })
            }
            UserEvent::PaymentMethodChanged(UserPaymentMethodChanged { method }) => {
                self.map(|account| Account { payment_method: method.clone(), ..account })
            }
            UserEvent::Deactivated(UserDeactivated { .. }) => match self {
                Self::Unregistered => Self::Unregistered,
                Self::Active(account) | Self::Deactivated(account) => Self::Deactivated(account),
            },
        }
    }

    fn claims(command: &Command) -> Vec<Claim<UserError>> {
        match command {
            Command::Register { email_claim: EmailClaim(hmac), .. }
            | Command::Change { email: Some((_, EmailClaim(hmac))), .. } => {
                vec![Claim::Take(ClaimKind::Email, hmac.to_vec(), UserError::EmailTaken)]
            }
            Command::Change { email: None, .. } | Command::ChangePaymentMethod { .. } => Vec::new(),
            Command::Deactivate { .. } => vec![Claim::Release(ClaimKind::Email)],
        }
    }
}

impl Rule for UserError {
    fn name(&self) -> &'static str {
        self.into()
    }

    fn kind(&self) -> RuleKind {
        match self {
            Self::UserNotFound => RuleKind::NotFound,
            Self::AlreadyRegistered | Self::UserDeactivated | Self::AlreadyDeactivated | Self::EmailTaken => RuleKind::Conflict,
            Self::NothingToChange => RuleKind::Unprocessable,
        }
    }
}

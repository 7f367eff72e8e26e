//! Users: the view, with name and e-mail address in plain text as long as their key exists, and who owns an address.

use events::{
    Personal, PersonalError, UserEvent,
    text::{Email, PersonName},
    users::UserRegistered,
};
use read_model::{UserStatus, UserView, user::EMAIL_OWNERS};
use uuid::Uuid;

use super::{Folded, IndexEntry, KeyRing, Meta, Projection, existing, refused};

/// See the module.
pub struct UserProjection;

const UNREADABLE: &str = "the personal data can't be opened with the key that the command service gave";

impl Projection for UserProjection {
    type View = UserView;
    type Event = UserEvent;

    const VERSION: u32 = 1;

    const PERSONAL: &'static [&'static str] = &["name", "email"];

    fn apply(view: Option<UserView>, event: &UserEvent, meta: &Meta, keys: &KeyRing) -> Folded<UserView> {
        if let UserEvent::Registered(registered) = event {
            return match view {
                None => register(registered, meta, keys),
                Some(view) => refused(view, "a user registers once"),
            };
        }
        let mut view = change(existing(view)?, event, meta, keys)?;
        view.version = meta.version;
        Ok(view)
    }

    fn version(view: &UserView) -> u64 {
        view.version
    }

    fn owner(view: &UserView) -> Option<Uuid> {
        Some(view.id.0)
    }

    fn index_entries(_view: &UserView) -> Vec<IndexEntry> {
        Vec::new()
    }

    fn owned(view: &UserView) -> Option<(&'static str, String)> {
        match view.status {
            UserStatus::Active => view.email.as_ref().map(|email| (EMAIL_OWNERS, email.to_lowercase())),
            UserStatus::Deactivated => None,
        }
    }

    fn key_ids(event: &UserEvent, wanted: &mut Vec<Uuid>) {
        match event {
            UserEvent::Registered(registered) => wanted.extend([registered.name.kid, registered.email.kid]),
            UserEvent::NameChanged(changed) => wanted.push(changed.name.kid),
            UserEvent::EmailChanged(changed) => wanted.push(changed.email.kid),
            UserEvent::PaymentMethodChanged(_) | UserEvent::Deactivated(_) => {}
        }
    }

    fn size(view: &UserView) -> usize {
        let texts = [&view.name, &view.email];
        size_of::<UserView>() + texts.into_iter().flatten().map(String::capacity).sum::<usize>()
    }
}

fn register(registered: &UserRegistered, meta: &Meta, keys: &KeyRing) -> Folded<UserView> {
    let (Ok(name), Ok(email)) = (open_name(keys, &registered.name), open_email(keys, &registered.email)) else {
        return refused(None, UNREADABLE);
    };
    Ok(UserView {
        id: meta.stream.into(),
        version: meta.version,
        status: UserStatus::Active,
        name,
        email,
        payment_method_set_at: None,
        registered_at: meta.occurred_at,
        deactivated_at: None,
    })
}

fn change(mut view: UserView, event: &UserEvent, meta: &Meta, keys: &KeyRing) -> Folded<UserView> {
    match event {
        UserEvent::Registered(_) => return refused(view, "a user registers once"),
        UserEvent::NameChanged(changed) => match open_name(keys, &changed.name) {
            Ok(name) => view.name = name,
            Err(_) => return refused(view, UNREADABLE),
        },
        UserEvent::EmailChanged(changed) => match open_email(keys, &changed.email) {
            Ok(email) => view.email = email,
            Err(_) => return refused(view, UNREADABLE),
        },
        UserEvent::PaymentMethodChanged(changed) => {
            view.payment_method_set_at = changed.method.as_ref().map(|_| meta.occurred_at);
        }
        UserEvent::Deactivated(_) => {
            view.status = UserStatus::Deactivated;
            view.deactivated_at = Some(meta.occurred_at);
        }
    }
    Ok(view)
}

fn open_name(keys: &KeyRing, sealed: &Personal<PersonName>) -> Result<Option<String>, PersonalError> {
    Ok(keys.open(sealed)?.map(|name| name.as_str().to_owned()))
}

fn open_email(keys: &KeyRing, sealed: &Personal<Email>) -> Result<Option<String>, PersonalError> {
    Ok(keys.open(sealed)?.map(|email| email.as_str().to_owned()))
}

#[cfg(test)]
mod tests;

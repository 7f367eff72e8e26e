//! Lists of views, page by page.

use events::{Context, StreamId};
use read_model::{OrderStatus, index};
use uuid::Uuid;

use super::{QueryError, cursor::Cursor};
use crate::outbound::redis::{Bound, Direction, Link, Member, Members, Range, View};

/// Members looked at in one step when two indexes are intersected: at first, and at most.
const FIRST_STEP: usize = 64;
const LAST_STEP: usize = 4_096;

/// Which list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// All orders, newest first.
    Orders,
    /// The orders in a status, newest first.
    OrdersIn(OrderStatus),
    /// A user's orders, newest first.
    OrdersOf(Uuid),
    /// A user's orders in a status, newest first.
    OrdersOfIn(Uuid, OrderStatus),
    /// An order's payments, newest first.
    PaymentsOf(Uuid),
    /// Products whose lower-case name begins so, by name.
    ProductsNamed(String),
    /// Active products of which no more are available, the scarcest first.
    ProductsBelow(i64),
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// The views.
    pub items: Vec<View>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

impl Listing {
    fn context(&self) -> Context {
        match self {
            Self::Orders | Self::OrdersIn(_) | Self::OrdersOf(_) | Self::OrdersOfIn(..) => Context::Orders,
            Self::PaymentsOf(_) => Context::Payments,
            Self::ProductsNamed(_) | Self::ProductsBelow(_) => Context::Products,
        }
    }

    /// A number for cursors. A cursor serves the same list with another filter too; its place is the same there.
    fn number(&self) -> u8 {
        match self {
            Self::Orders | Self::OrdersIn(_) | Self::OrdersOf(_) | Self::OrdersOfIn(..) => 1,
            Self::ProductsNamed(_) => 2,
            Self::ProductsBelow(_) => 3,
            Self::PaymentsOf(_) => 4,
        }
    }

    /// The index to walk, and the part of it that is listed.
    fn index(&self) -> (String, Range) {
        let all = |direction| Range { min: Bound::Open, max: Bound::Open, direction };
        match self {
            Self::Orders => ("recent".to_owned(), all(Direction::Descending)),
            Self::OrdersIn(status) => (status_index(*status), all(Direction::Descending)),
            Self::OrdersOf(user) | Self::OrdersOfIn(user, _) => (user_index(*user), all(Direction::Descending)),
            Self::PaymentsOf(order) => (format!("order:{}", order.simple()), all(Direction::Descending)),
            Self::ProductsNamed(prefix) => {
                let mut range = all(Direction::Ascending);
                if !prefix.is_empty() {
                    let prefix = prefix.to_lowercase().into_bytes();
                    // No UTF-8 text has the byte 255, so that this is behind every name that begins so.
                    range.max = Bound::Excluded([&prefix[..], &[0xff]].concat());
                    range.min = Bound::Included(prefix);
                }
                ("name".to_owned(), range)
            }
            Self::ProductsBelow(available) => {
                let mut range = all(Direction::Ascending);
                if let Some(above) = available.checked_add(1) {
                    range.max = Bound::Excluded(index::count_prefix(above).into_bytes());
                }
                ("stock".to_owned(), range)
            }
        }
    }
}

fn status_index(status: OrderStatus) -> String {
    format!("status:{}", status.name())
}

fn user_index(user: Uuid) -> String {
    format!("user:{}", user.simple())
}

impl Range {
    fn after(mut self, last: Member) -> Self {
        match self.direction {
            Direction::Ascending => self.min = Bound::Excluded(last),
            Direction::Descending => self.max = Bound::Excluded(last),
        }
        self
    }
}

/// The page of `listing` that begins behind `cursor`, of at most `limit` views.
///
/// The members are read before the views: a view that changed in between is given as it is now, one that is gone is
/// left out.
pub async fn page(link: &Link, listing: &Listing, cursor: Option<&str>, limit: usize) -> Result<Page, QueryError> {
    let cursor = cursor.map(|text| Cursor::decode(text, listing.number())).transpose()?;
    let members = link.members(listing.context(), cursor.as_ref().map(|cursor| cursor.generation)).await?;
    let (index, mut range) = listing.index();
    if let Some(cursor) = cursor {
        range = range.after(cursor.last);
    }
    // One more than wanted tells whether there is a next page.
    let mut found = match listing {
        Listing::OrdersOfIn(_, status) => intersect(&members, [index, status_index(*status)], range, limit + 1).await?,
        _ => named(members.range(&index, &range, limit + 1).await?)?,
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|(last, _)| Cursor { generation: members.generation(), list: listing.number(), last: last.clone() }.encode());
    let streams: Vec<StreamId> = found.into_iter().map(|(_, stream)| stream).collect();
    Ok(Page { items: members.views(&streams).await?, next })
}

/// The first `count` members that both indexes have; an order has the same member in all of its indexes.
async fn intersect(
    members: &Members<'_>,
    [left, right]: [String; 2],
    mut range: Range,
    count: usize,
) -> Result<Vec<(Member, StreamId)>, QueryError> {
    let [left_size, right_size] = members.sizes([&left, &right]).await?;
    let (walked, asked) = if left_size <= right_size { (left, right) } else { (right, left) };
    let mut found = Vec::new();
    let mut step = FIRST_STEP.max(count);
    loop {
        let candidates = named(members.range(&walked, &range, step).await?)?;
        let exhausted = candidates.len() < step;
        let Some((last, _)) = candidates.last() else { return Ok(found) };
        range = range.after(last.clone());
        let hits = members.contains(&asked, &candidates).await?;
        found.extend(candidates.into_iter().zip(hits).filter_map(|(candidate, hit)| hit.then_some(candidate)));
        if exhausted || found.len() >= count {
            found.truncate(count);
            return Ok(found);
        }
        step = LAST_STEP.min(step * 2);
    }
}

/// The members with the streams that they name.
fn named(members: Vec<Member>) -> Result<Vec<(Member, StreamId)>, QueryError> {
    let parse = |member: Member| match index::id_of(&member) {
        Some(stream) => Ok((member, stream)),
        None => Err(crate::outbound::redis::RedisReadError::Malformed("an index member without an id".to_owned()).into()),
    };
    members.into_iter().map(parse).collect()
}

/// The user with this e-mail address (in its canonical form); two for a moment when it passes from one to another.
pub async fn users_by_email(link: &Link, canonical: &str) -> Result<Page, QueryError> {
    let members = link.members(Context::Users, None).await?;
    let owners = members.owners(read_model::user::EMAIL_OWNERS, canonical).await?;
    Ok(Page { items: members.views(&owners).await?, next: None })
}

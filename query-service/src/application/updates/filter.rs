//! Which changes a stream is about.

use std::{collections::HashMap, sync::LazyLock};

use events::Context;

/// Event types, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Option<Wanted>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    /// A bit for each known type.
    types: u64,
    /// Every type of these, known or not.
    whole: Vec<Context>,
}

/// There is no such event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no event type: name one such as `order.placed`, `order.placed.v1`, or `order.*` for all of a kind")]
pub struct UnknownType(String);

/// A change's type as filters see it.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    context: Context,
    bit: u64,
}

static BITS: LazyLock<HashMap<&'static str, u64>> = LazyLock::new(|| {
    let types = Context::ALL.into_iter().flat_map(Context::types);
    types.enumerate().map(|(number, name)| (*name, 1 << number)).collect()
});

impl Kind {
    /// The kind of a change; types that this build does not know belong to their context all the same.
    #[must_use]
    pub fn of(context: Context, event_type: &str) -> Self {
        Self { context, bit: BITS.get(event_type).copied().unwrap_or(0) }
    }
}

impl Filter {
    /// Everything.
    pub const ALL: Self = Self(None);

    /// Reads names separated by commas: with their version, without it for all versions, or `order.*`.
    pub fn parse(text: &str) -> Result<Self, UnknownType> {
        let mut wanted = Wanted::default();
        for name in text.split(',').map(str::trim) {
            if let Some(context) = Context::ALL.into_iter().find(|of| name.strip_suffix(".*") == Some(of.singular())) {
                wanted.whole.push(context);
                continue;
            }
            let fits = |of: &str| of == name || of.rsplit_once(".v").is_some_and(|(plain, _)| plain == name);
            let bits = BITS.iter().filter(|(of, _)| fits(of)).fold(0, |bits, (_, bit)| bits | bit);
            if bits == 0 {
                return Err(UnknownType(name.to_owned()));
            }
            wanted.types |= bits;
        }
        Ok(Self(Some(wanted)))
    }

    /// Whether changes of this kind are wanted.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        self.0.as_ref().is_none_or(|wanted| wanted.types & kind.bit != 0 || wanted.whole.contains(&kind.context))
    }

    /// Whether any changes of this context are wanted.
    #[must_use]
    pub fn concerns(&self, context: Context) -> bool {
        self.0.is_none() || context.types().iter().any(|name| self.wants(Kind::of(context, name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(filter: &str, context: Context, event_type: &str) -> bool {
        Filter::parse(filter).unwrap().wants(Kind::of(context, event_type))
    }

    #[test]
    fn names_mean_what_they_say() {
        use Context::{Orders, Products};
        assert!(wants("order.placed", Orders, "order.placed.v1"));
        assert!(wants("order.placed.v1", Orders, "order.placed.v1"));
        assert!(!wants("order.placed", Orders, "order.confirmed.v1"));
        assert!(wants("order.placed, product.*", Products, "product.repriced.v1"));
        assert!(!wants("order.*", Products, "product.repriced.v1"));
        for version in ["product.stock-adjusted.v1", "product.stock-adjusted.v2"] {
            assert!(wants("product.stock-adjusted", Products, version), "{version}");
            assert!(wants("product.stock-adjusted.v2", Products, version) == version.ends_with("v2"));
        }
        // One of tomorrow, in the log of a newer projector.
        assert!(wants("order.*", Orders, "order.gifted.v1"));
        assert!(!wants("order.placed", Orders, "order.gifted.v1"));
        assert!(Filter::ALL.wants(Kind::of(Orders, "order.gifted.v1")));
    }

    #[test]
    fn concerns_the_contexts_of_its_types() {
        let filter = Filter::parse("order.placed,user.*").unwrap();
        let concerned: Vec<_> = Context::ALL.into_iter().filter(|context| filter.concerns(*context)).collect();
        assert_eq!(concerned, [Context::Users, Context::Orders]);
        assert!(Context::ALL.into_iter().all(|context| Filter::ALL.concerns(context)));
    }

    #[test]
    fn what_is_no_type_is_refused_by_name() {
        for (text, name) in [("", ""), ("order.placed,", ""), ("order.gifted", "order.gifted"), ("*", "*"), ("order", "order")] {
            assert_eq!(Filter::parse(text), Err(UnknownType(name.to_owned())), "{text}");
        }
    }

    #[test]
    fn every_type_has_a_bit_of_its_own() {
        assert!(Context::ALL.into_iter().map(|context| context.types().len()).sum::<usize>() <= 64);
        assert_eq!(BITS.values().fold(0, |bits, bit| bits | bit).count_ones() as usize, BITS.len());
    }
}

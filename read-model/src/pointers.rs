//! Which generations of a context there are: fields of the hash [`crate::keys::generations`].
//!
//! | field | value |
//! |---|---|
//! | `orders` | JSON of [`Generation`]: the one that is read |
//! | `orders:building` | JSON of [`Building`]: the one that will be |
//! | `orders:previous` | JSON of [`Previous`]: the one that was, kept up to date so that it can be again |
//! | `orders:dropped:3` | milliseconds since 1970: when generation 3 was given up; there until its keys are gone |

use std::collections::BTreeMap;

use events::Context;
use serde::{Deserialize, Serialize};

use crate::Generation;

/// Where a build begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// At the beginning of the topic; where that does not reach back, with the event store.
    #[default]
    Kafka,
    /// With the event store, however far the topic reaches back.
    Store,
}

impl Origin {
    fn is_kafka(&self) -> bool {
        *self == Self::Kafka
    }
}

/// A generation that is being built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Building {
    /// Which.
    pub generation: Generation,
    /// When it was asked for, in milliseconds since 1970.
    pub since: i64,
    /// Nobody feeds it for now.
    pub paused: bool,
    /// Why it was asked for, when no operator did: then it takes over by itself as soon as it can.
    pub cause: Option<String>,
    /// Where it begins.
    #[serde(default, skip_serializing_if = "Origin::is_kafka")]
    pub origin: Origin,
}

/// The generation that was read before the one that is read now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Which.
    pub generation: Generation,
    /// Since when it is not read, in milliseconds since 1970.
    pub since: i64,
}

/// All generations of one context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointers {
    /// The one that is read.
    pub live: Option<Generation>,
    /// The one that will be.
    pub building: Option<Building>,
    /// The one that was.
    pub previous: Option<Previous>,
    /// Those whose keys are being deleted, and since when, in milliseconds since 1970.
    pub dropped: BTreeMap<u32, i64>,
}

impl Pointers {
    /// Reads the fields of a context among those of the hash.
    pub fn parse<'f>(context: Context, fields: impl Iterator<Item = (&'f str, &'f str)>) -> Result<Self, serde_json::Error> {
        let mut pointers = Self::default();
        for (field, value) in fields {
            let Some(rest) = field.strip_prefix(context.name()) else { continue };
            match rest {
                "" => pointers.live = Some(serde_json::from_str(value)?),
                ":building" => pointers.building = Some(serde_json::from_str(value)?),
                ":previous" => pointers.previous = Some(serde_json::from_str(value)?),
                _ => {
                    let number = rest.strip_prefix(":dropped:").and_then(|number| number.parse().ok());
                    if let Some(number) = number {
                        pointers.dropped.insert(number, serde_json::from_str(value)?);
                    }
                }
            }
        }
        Ok(pointers)
    }

    /// The fields of the hash that say the same.
    pub fn fields(&self, context: Context) -> Result<BTreeMap<String, String>, serde_json::Error> {
        let mut fields = BTreeMap::new();
        if let Some(live) = &self.live {
            fields.insert(context.name().to_owned(), serde_json::to_string(live)?);
        }
        if let Some(building) = &self.building {
            fields.insert(format!("{context}:building"), serde_json::to_string(building)?);
        }
        if let Some(previous) = &self.previous {
            fields.insert(format!("{context}:previous"), serde_json::to_string(previous)?);
        }
        for (number, since) in &self.dropped {
            fields.insert(format!("{context}:dropped:{number}"), since.to_string());
        }
        Ok(fields)
    }

    /// Whether a generation is fed: read now, built, or kept.
    #[must_use]
    pub fn has(&self, generation: Generation) -> bool {
        let building = self.building.as_ref().map(|building| building.generation);
        let previous = self.previous.as_ref().map(|previous| previous.generation);
        [self.live, building, previous].contains(&Some(generation))
    }

    /// A number that no generation has.
    #[must_use]
    pub fn next_number(&self) -> u32 {
        let building = self.building.as_ref().map(|building| building.generation);
        let previous = self.previous.as_ref().map(|previous| previous.generation);
        let numbers = [self.live, building, previous].into_iter().flatten().map(|generation| generation.number);
        numbers.chain(self.dropped.keys().copied()).max().unwrap_or(0) + 1
    }

    /// Gives a generation up: its keys are deleted in the background.
    pub fn drop_generation(&mut self, generation: Generation, now: i64) {
        self.dropped.insert(generation.number, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_round_trip_beside_those_of_other_contexts() {
        let generation = |number| Generation { number, partitions: 12, projection: 1 };
        let pointers = Pointers {
            live: Some(generation(4)),
            building: Some(Building {
                generation: generation(6),
                since: 7,
                paused: true,
                cause: Some("x".to_owned()),
                origin: Origin::Store,
            }),
            previous: Some(Previous { generation: generation(3), since: 5 }),
            dropped: [(5, 9)].into(),
        };
        let mut fields = pointers.fields(Context::Orders).unwrap();
        fields.extend(Pointers { live: Some(generation(1)), ..Pointers::default() }.fields(Context::Users).unwrap());
        let read = Pointers::parse(Context::Orders, fields.iter().map(|(field, value)| (field.as_str(), value.as_str())));
        assert_eq!(read.unwrap(), pointers);
        assert_eq!(pointers.next_number(), 7);
        assert!(pointers.has(generation(3)) && pointers.has(generation(6)) && !pointers.has(generation(5)));
        // What an earlier version of us wrote.
        let older = r#"{"generation":{"number":2,"partitions":12,"projection":1},"since":1,"paused":false,"cause":null}"#;
        let building: Building = serde_json::from_str(older).unwrap();
        assert_eq!((building.origin, serde_json::to_string(&building).unwrap()), (Origin::Kafka, older.to_owned()));
    }
}

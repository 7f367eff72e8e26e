//! What the read models have to be, as it is now: a topic can get more partitions at any time.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use events::Context;

use super::generations::Shape;

/// The shape of each context's read model. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Shapes(Arc<RwLock<HashMap<Context, Shape>>>);

impl Shapes {
    /// These, to begin with.
    #[must_use]
    pub fn new(shapes: HashMap<Context, Shape>) -> Self {
        Self(Arc::new(RwLock::new(shapes)))
    }

    /// That of a context, if it is known.
    #[must_use]
    pub fn get(&self, context: Context) -> Option<Shape> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&context).copied()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> HashMap<Context, Shape> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The context's topic has so many partitions now.
    pub fn set_partitions(&self, context: Context, partitions: u32) {
        let mut shapes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = shapes.get_mut(&context).filter(|shape| shape.partitions != partitions) {
            tracing::warn!(%context, was = shape.partitions, is = partitions, "the topic has another number of partitions");
            shape.partitions = partitions;
        }
    }
}

//! Typed values that one component finds and later ones need.

use std::sync::{Arc, PoisonError, RwLock};

/// A place for what a component saw in this pass: the image, the credential. The components of a subject share
/// clones; `after` orders the write before the reads. An empty slot means "not known yet", which a reader turns
/// into a [`Waiting`](crate::Verdict::Waiting) verdict, never into a guess.
#[derive(Debug)]
pub struct Slot<T>(Arc<RwLock<Option<Arc<T>>>>);

impl<T> Slot<T> {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(RwLock::new(None)))
    }

    /// Puts the value of this pass in place.
    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(value));
    }

    /// Forgets the value.
    pub fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The value, if it is known.
    #[must_use]
    pub fn get(&self) -> Option<Arc<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

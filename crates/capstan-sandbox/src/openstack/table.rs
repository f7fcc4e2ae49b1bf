//! A collection of resources in the order in which they were made.

use std::collections::{BTreeMap, HashMap};

/// A resource with an id.
pub trait Identified {
    /// The id.
    fn id(&self) -> &str;
}

/// Resources by id, in the order in which they were made.
#[derive(Debug)]
pub struct Table<T> {
    next: u64,
    order: HashMap<String, u64>,
    rows: BTreeMap<u64, T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { next: 0, order: HashMap::new(), rows: BTreeMap::new() }
    }
}

impl<T: Identified> Table<T> {
    /// The resource of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(self.order.get(id)?)
    }

    /// The resource of this id, to be changed.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(self.order.get(id)?)
    }

    /// All, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + Clone {
        self.rows.values()
    }

    /// All, oldest first, to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.rows.values_mut()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds one, or replaces the one of the same id in its place.
    pub(crate) fn insert(&mut self, row: T) {
        let next = &mut self.next;
        let place = *self.order.entry(row.id().to_owned()).or_insert_with(|| {
            *next += 1;
            *next
        });
        self.rows.insert(place, row);
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        let place = self.order.remove(id)?;
        self.rows.remove(&place)
    }
}

/// Implements [`Identified`] for types with a field `id`.
macro_rules! identified {
    ($($type:ty),+ $(,)?) => {
        $(impl $crate::openstack::table::Identified for $type {
            fn id(&self) -> &str {
                &self.id
            }
        })+
    };
}
pub(crate) use identified;

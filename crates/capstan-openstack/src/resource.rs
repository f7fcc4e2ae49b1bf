//! What resources of all services have in common.

use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};
use crate::near::near;

/// A resource that has an id and a name, by either of which people call it.
pub trait Named {
    /// The kind, for messages: `flavor`.
    const KIND: &'static str;

    /// The id.
    fn id(&self) -> &str;

    /// The name.
    fn name(&self) -> &str;
}

/// The one of `all` that has this id or, failing that, this name.
///
/// # Errors
/// None has it (with the name that looks most like it), or several have it.
pub fn pick<T: Named>(all: Vec<T>, name_or_id: &str) -> Result<T> {
    if let Some(found) = all.iter().position(|one| one.id() == name_or_id) {
        return nth(all, found, name_or_id);
    }
    let found: Vec<usize> =
        all.iter().enumerate().filter(|(_, one)| one.name() == name_or_id).map(|(index, _)| index).collect();
    match found[..] {
        [only] => nth(all, only, name_or_id),
        [] => Err(no_such::<T>(name_or_id, all.iter().map(Named::name))),
        _ => Err(Error::Ambiguous {
            kind: T::KIND,
            name: name_or_id.to_owned(),
            ids: found.into_iter().map(|index| all[index].id().to_owned()).collect(),
        }),
    }
}

fn nth<T: Named>(all: Vec<T>, index: usize, name: &str) -> Result<T> {
    all.into_iter().nth(index).ok_or_else(|| no_such::<T>(name, []))
}

pub(crate) fn no_such<'a, T: Named>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
    Error::NoSuch { kind: T::KIND, name: name.to_owned(), near: near(name, known) }
}

/// Implements `Named` for types with the fields `id` and `name`.
macro_rules! named {
    ($($type:ty: $kind:literal),+ $(,)?) => {$(
        impl crate::resource::Named for $type {
            const KIND: &'static str = $kind;

            fn id(&self) -> &str {
                &self.id
            }

            fn name(&self) -> &str {
                &self.name
            }
        }
    )+};
}
pub(crate) use named;

/// How much of something may be used, and how much is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Quota {
    /// The limit; -1 is none.
    pub limit: i64,
    /// What is in use.
    #[serde(alias = "used")]
    pub in_use: i64,
    /// What is promised to calls under way.
    #[serde(default)]
    pub reserved: i64,
}

impl Quota {
    /// How much more may be used; nothing where there is no limit.
    #[must_use]
    pub fn free(&self) -> Option<i64> {
        (self.limit >= 0).then(|| self.limit.saturating_sub(self.in_use).saturating_sub(self.reserved).max(0))
    }
}

/// `null` as the type's default: services write it for empty texts and lists.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> std::result::Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Thing {
        id: String,
        name: String,
    }
    named!(Thing: "thing");

    fn things() -> Vec<Thing> {
        [("1", "SCS-2V-4"), ("2", "twin"), ("3", "twin"), ("SCS-2V-4", "odd")]
            .map(|(id, name)| Thing { id: id.into(), name: name.into() })
            .into()
    }

    #[test]
    fn an_id_goes_before_a_name() {
        assert_eq!(pick(things(), "SCS-2V-4").unwrap().name, "odd");
        assert_eq!(pick(things(), "odd").unwrap().id, "SCS-2V-4");
    }

    #[test]
    fn twins_and_slips_are_told() {
        assert_eq!(pick(things(), "twin").unwrap_err().to_string(), "2 things are called `twin`: `2`, `3`");
        let error = pick(things(), "SCS-2V-8").unwrap_err();
        assert_eq!(error.to_string(), "there is no thing `SCS-2V-8` (did you mean `SCS-2V-4`?)");
        assert!(error.is_not_found());
    }

    #[test]
    fn minus_one_is_no_limit() {
        assert_eq!(Quota { limit: -1, in_use: 7, reserved: 0 }.free(), None);
        assert_eq!(Quota { limit: 10, in_use: 7, reserved: 1 }.free(), Some(2));
        assert_eq!(Quota { limit: 5, in_use: 7, reserved: 0 }.free(), Some(0));
        assert_eq!(Quota { limit: 1, in_use: i64::MIN, reserved: 0 }.free(), Some(i64::MAX));
    }
}

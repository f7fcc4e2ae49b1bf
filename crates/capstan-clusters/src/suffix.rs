//! A random part of a name, where what has the name cannot be used twice.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Eight hexadecimal digits.
pub(crate) fn random() -> String {
    // The keys of the standard library's hash maps are random; uniqueness is all that is needed, not secrecy.
    let digits = RandomState::new().build_hasher().finish();
    format!("{:08x}", digits & 0xffff_ffff)
}

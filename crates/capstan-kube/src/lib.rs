//! Client of Kubernetes for Capstan, over kube-rs: server-side apply with readable refusals, a watched mirror of
//! the objects that matter, conditions, differences, Leases.
//!
//! What it never does: read the environment or `$HOME`, print, or decide what should exist. Every function takes
//! a [`kube::Client`] (see [`connect`]) and objects as JSON or as the types of `capstan-kube-types`.
//!
//! Reading is cheap because it is local: a [`mirror::Mirror`] holds one watch per kind for the whole fleet, so
//! the requests of a quiet fleet don't grow with the number of clusters. Writing is server-side apply by the field
//! manager [`MANAGER`], so the fields of others survive.

pub mod apply;
pub mod capstan;
pub mod conditions;
pub mod connect;
pub mod delete;
pub mod diff;
mod error;
#[cfg(test)]
mod fake;
mod kind;
pub mod lease;
pub mod mirror;
mod retry;
mod starting;
pub mod wait;

pub use error::{Cause, Conflict, Error, Owner, Refused, RefusedCause, Target};
pub use kind::Kind;
pub use kube::Client;
pub use kube::core::DynamicObject;

/// Capstan's field manager in server-side apply.
pub const MANAGER: &str = "capstan";

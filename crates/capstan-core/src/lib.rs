//! What Capstan knows without looking at the world: documents and their validation, versions, names, plans and status.
//!
//! Everything here is a pure function of its arguments. The crate never reads a file, a clock or the environment,
//! starts no task and talks to nobody; who needs bytes, the time or a home directory hands them in.

pub mod crd;
pub mod documents;
pub mod names;
pub mod plan;
pub mod status;
pub mod versions;

/// The API group of Capstan's documents and custom resources.
pub const API_GROUP: &str = "capstan.dev";
/// The version of the documents and custom resources that this release reads and writes.
pub const API_VERSION: &str = "v1alpha1";

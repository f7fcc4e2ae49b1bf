//! The client against a cloud that answers what a test tells it to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub
)]

mod faults;
mod pages;
mod session;
mod support;
mod tls;
mod upload;

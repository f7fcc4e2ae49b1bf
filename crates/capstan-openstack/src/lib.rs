//! Client of the OpenStack services, with the calls that Capstan needs.
//!
//! A [`CloudConfig`] says where a cloud is and who logs in; [`Cloud::connect`] does so. Each service is a group of
//! calls in a file of its own ([`compute`], [`network`], [`image`], …), written with the few verbs of [`Service`]:
//! adding a call takes a few lines. Everything between a call and its answer is done once, beneath them: tokens and
//! their renewal (`session`), endpoints (`catalog`), microversions, pages (`request`), repetition (`deliver`), and the
//! services' error bodies (`api_error`).
//!
//! What it never does: repeat a call that makes something and whose answer was lost ([`Error::Uncertain`]), read the
//! environment or the home of the user ([`Environment`] is given to it), or show a secret.
#![cfg_attr(not(test), warn(clippy::missing_panics_doc, clippy::missing_errors_doc))]

mod answer;
mod api_error;
pub mod block_storage;
mod calls;
mod catalog;
mod cloud;
pub mod compute;
mod config;
mod deliver;
mod environment;
mod error;
mod http_clients;
pub mod identity;
pub mod image;
mod limiter;
pub mod load_balancer;
mod microversion;
mod near;
pub mod network;
mod options;
mod random;
mod request;
mod resource;
mod retry;
mod session;
mod time;
mod transport;
mod upload;
mod utc;

pub use api_error::ApiError;
pub use calls::Calls;
pub use catalog::{Catalog, Interface, ServiceType};
pub use cloud::Cloud;
pub use config::{ApplicationCredentialRef, Auth, CloudConfig, ConfigError, Domain, Scope, Tls, User};
pub use environment::Environment;
pub use error::{CallName, Error, Result};
pub use limiter::Limiter;
pub use microversion::{Microversion, ParseMicroversionError};
pub use near::near;
pub use options::{Options, Proxy};
pub use random::{Random, SystemRandom};
pub use request::{Call, Service};
pub use resource::{Named as Resource, Quota, pick};
pub use retry::RetryPolicy;
pub use session::{Named, TokenInfo, UsedCredential};
pub use time::{SystemTime, Time};
pub use transport::{Cause, NoAnswer, Transport};
pub use upload::Upload;

//! What Capstan relies on, as functions that run on the sandbox and on the real services.
//!
//! A behaviour enters the sandbox only together with a function here that holds for the real service, so that what is
//! learnt on a laptop is true on a cloud. `README.md` says of each where and when it was seen.

pub mod kubernetes;
pub mod openstack;

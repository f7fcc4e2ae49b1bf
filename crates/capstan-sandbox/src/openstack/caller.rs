//! Who makes a request: the token in `X-Auth-Token`, checked as Keystone's middleware does.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::ApiError;
use super::identity::Token;
use super::policy;
use crate::World;

/// The caller of a request, with a valid token.
#[derive(Clone)]
pub(crate) struct Caller(pub(crate) Arc<Token>);

impl Deref for Caller {
    type Target = Token;

    fn deref(&self) -> &Token {
        &self.0
    }
}

impl FromRequestParts<World> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, world: &World) -> Result<Self, ApiError> {
        let header = parts.headers.get("x-auth-token").ok_or_else(ApiError::unauthorized)?;
        let id = header.to_str().map_err(|_| ApiError::unauthorized())?;
        let mut cloud = world.openstack();
        let token = cloud.token(id).ok_or_else(ApiError::unauthorized)?;
        if let Some((credential, name, _)) = &token.application_credential
            && let Some(removed) = world.faults().credential_ends(name)
        {
            cloud.end_credential(credential, removed);
            return Err(ApiError::unauthorized());
        }
        drop(cloud);
        policy::check(&parts.method, parts.uri.path(), &token)?;
        Ok(Self(token))
    }
}

//! Who makes a request: the token in `X-Auth-Token`, checked as Keystone's middleware does.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::ApiError;
use super::identity::Token;
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
        let token = world.openstack().token(id).ok_or_else(ApiError::unauthorized)?;
        Ok(Self(token))
    }
}

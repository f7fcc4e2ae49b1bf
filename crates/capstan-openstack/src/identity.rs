//! Keystone: the user's own token and application credentials.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::error::Result;
use crate::request::Service;
use crate::resource::{named, or_default};
use crate::session::TokenInfo;
use crate::utc;

/// The identity service.
#[derive(Debug, Clone)]
pub struct Identity(pub(crate) Service);

/// A credential of a program, for one project of one user.
#[derive(Debug, Clone, Deserialize)]
pub struct ApplicationCredential {
    /// The id.
    pub id: String,
    /// The name, unique within the user.
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// The project that it is for.
    #[serde(default, deserialize_with = "or_default")]
    pub project_id: String,
    /// When it ends by itself.
    #[serde(default, deserialize_with = "utc::optional")]
    pub expires_at: Option<Timestamp>,
    /// It may make and delete application credentials. Those that this crate makes may not.
    #[serde(default, deserialize_with = "or_default")]
    pub unrestricted: bool,
    /// What its holder may do.
    #[serde(default, deserialize_with = "or_default")]
    pub roles: Vec<Role>,
    /// Its secret: only in the answer that made it, never again.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<SecretString>,
}

named!(ApplicationCredential: "application credential");

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Role {
    /// The id.
    #[serde(default)]
    pub id: String,
    /// The name.
    #[serde(default)]
    pub name: String,
}

/// An application credential that is to be made. It is always a restricted one.
#[derive(Debug, Clone, Default)]
pub struct NewApplicationCredential {
    /// The name, unique within the user.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Names of the roles; none given: all that the current token has.
    pub roles: Vec<String>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl Identity {
    /// User, project, roles, expiry and catalog of the current token. Makes no call while the token lasts.
    ///
    /// # Errors
    /// Logging in failed.
    pub async fn token(&self) -> Result<TokenInfo> {
        self.0.cloud.token().await
    }

    /// The application credentials of the current user.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn application_credentials(&self) -> Result<Vec<ApplicationCredential>> {
        let user = self.token().await?.user.id;
        self.0.get(&["users", &user, "application_credentials"]).list("application_credentials").await
    }

    /// Makes an application credential. Its secret is only in this answer. A name that exists is a conflict (409).
    ///
    /// # Errors
    /// The service's, or those of the way there; 403 where the current token is of a restricted one.
    pub async fn create_application_credential(
        &self,
        new: &NewApplicationCredential,
    ) -> Result<ApplicationCredential> {
        let user = self.token().await?.user.id;
        let mut body = json!({ "name": new.name, "description": new.description, "unrestricted": false });
        if !new.roles.is_empty() {
            body["roles"] = new.roles.iter().map(|name| json!({ "name": name })).collect::<Value>();
        }
        if let Some(end) = new.expires_at {
            // UTC without saying so; whole seconds.
            body["expires_at"] = end.strftime("%Y-%m-%dT%H:%M:%S").to_string().into();
        }
        let body = json!({ "application_credential": body });
        let path = ["users", &user, "application_credentials"];
        self.0.post(&path).json(body).one("application_credential").await
    }

    /// Removes an application credential; one that does not exist is as good as removed. Tokens obtained with it may
    /// be accepted for some minutes more, as long as the services cache them.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn delete_application_credential(&self, id: &str) -> Result<()> {
        let user = self.token().await?.user.id;
        self.0.delete(&["users", &user, "application_credentials", id]).gone().await
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

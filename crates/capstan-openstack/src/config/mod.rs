//! The configuration of one cloud: from `clouds.yaml` and its companions, from `OS_*` variables, or from a Secret.

mod entry;
mod error;
mod files;
mod resolve;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

use self::entry::File;
pub use self::error::ConfigError;
use self::files::Files;
use crate::catalog::{Interface, ServiceType};
use crate::environment::Environment;
use crate::near::near;

/// How to reach one cloud as one user of one project. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// The name of its entry, or `envvars` where it comes from `OS_*` variables.
    pub name: String,
    /// The identity service with its version: ends with `/v3`.
    pub auth_url: Url,
    /// Who logs in, and how.
    pub auth: Auth,
    /// The region whose endpoints are used. May be absent where the catalog has one region only.
    pub region: Option<String>,
    /// Which of the endpoints of a service are used.
    pub interface: Interface,
    /// Certificates, and whether they are checked.
    pub tls: Tls,
    /// Endpoints that are used instead of the catalog's (`*_endpoint_override`).
    pub endpoint_overrides: BTreeMap<ServiceType, Url>,
}

/// Certificates of a cloud.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// A file of CA certificates (PEM), trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A file with the client's certificate (PEM).
    pub cert_file: Option<PathBuf>,
    /// A file with the client's key (PEM); absent where `cert_file` holds both.
    pub key_file: Option<PathBuf>,
    /// `verify: false` or `insecure: true`: certificates are not checked at all.
    pub insecure: bool,
}

/// Who logs in, and how.
#[derive(Debug, Clone)]
pub enum Auth {
    /// User and password, for a scope.
    Password {
        /// The user.
        user: User,
        /// The password.
        password: SecretString,
        /// What the token is for.
        scope: Scope,
    },
    /// A token that somebody else obtained. It cannot be renewed beyond its expiry.
    Token {
        /// The token.
        token: SecretString,
        /// What the new token is for.
        scope: Scope,
    },
    /// An application credential, which brings its project with it.
    ApplicationCredential {
        /// Which one.
        which: ApplicationCredentialRef,
        /// Its secret.
        secret: SecretString,
    },
}

/// An application credential is named by its id, or by name and user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCredentialRef {
    /// By id.
    Id(String),
    /// By name, unique within a user.
    Name {
        /// The credential's name.
        name: String,
        /// Its owner.
        user: User,
    },
}

/// A user, by id or by name and domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// By id.
    Id(String),
    /// By name.
    Name {
        /// The user's name.
        name: String,
        /// The user's domain.
        domain: Domain,
    },
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// A project, by id.
    ProjectId(String),
    /// A project, by name.
    ProjectName {
        /// The project's name.
        name: String,
        /// Its domain.
        domain: Domain,
    },
    /// A domain. Most services answer 403 to such a token.
    Domain(Domain),
    /// Whatever the identity service takes without being told.
    Unscoped,
}

/// A domain, by id or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

impl CloudConfig {
    /// The cloud called `name`; without a name that of `OS_CLOUD`, else that of the `OS_*` variables, else the only
    /// one of `clouds.yaml`.
    ///
    /// Files: `OS_CLIENT_CONFIG_FILE`, or the first `clouds.yaml` of the current directory, `$XDG_CONFIG_HOME/openstack`,
    /// `~/.config/openstack` and `/etc/openstack`. A profile of `clouds-public.yaml` lies under the entry, `secure.yaml`
    /// over it. For a named cloud, variables fill in only what the files leave open: a shell that was prepared for one
    /// cloud must not send its password to another.
    ///
    /// # Errors
    /// No file, an unreadable or malformed one, an unknown name, or an entry that does not suffice to log in.
    pub fn load(environment: &Environment, name: Option<&str>) -> Result<Self, ConfigError> {
        let files = Files::read(environment)?;
        let wanted = name.or_else(|| environment.variable("OS_CLOUD"));
        if wanted.is_none() && environment.variable("OS_AUTH_URL").is_some() {
            return resolve::config("envvars", resolve::from_variables(environment), environment);
        }
        let known = known(&files.clouds);
        if known.is_empty() && files.found.is_none() {
            return Err(ConfigError::NoClouds { searched: environment.folders() });
        }
        let name = match (wanted, known.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, _) => return Err(ConfigError::Unnamed { known }),
        };
        let entry = resolve::merge(name, &files)?;
        resolve::config(name, resolve::fill_in(entry, environment), environment)
    }

    /// The cloud called `name` of a `clouds.yaml` that is not in a file, such as a Secret's.
    ///
    /// # Errors
    /// As `load`.
    pub fn from_yaml(text: &str, name: &str) -> Result<Self, ConfigError> {
        let clouds = files::parse(Path::new("clouds.yaml"), text)?;
        let files = Files { clouds, found: Some("clouds.yaml".into()), ..Files::default() };
        resolve::config(name, resolve::merge(name, &files)?, &Environment::default())
    }

    /// The names of all clouds that the files of this environment hold.
    ///
    /// # Errors
    /// An unreadable or malformed file.
    pub fn names(environment: &Environment) -> Result<Vec<String>, ConfigError> {
        Ok(known(&Files::read(environment)?.clouds))
    }

    /// The same cloud, reached with an application credential.
    #[must_use]
    pub fn with_application_credential(&self, id: &str, secret: SecretString) -> Self {
        let which = ApplicationCredentialRef::Id(id.to_owned());
        Self { auth: Auth::ApplicationCredential { which, secret }, ..self.clone() }
    }
}

fn known(file: &File) -> Vec<String> {
    file.clouds.iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn unknown_cloud(name: &str, files: &Files) -> ConfigError {
    let known = known(&files.clouds);
    ConfigError::UnknownCloud {
        name: name.to_owned(),
        near: near(name, known.iter().map(String::as_str)),
        known,
    }
}

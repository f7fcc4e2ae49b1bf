//! From what stands in files and variables to a configuration that one can log in with.

use secrecy::SecretString;
use url::Url;

use super::entry::{AuthEntry, Entry, RegionEntry, Secret, Switch};
use super::error::ConfigError;
use super::files::Files;
use super::{ApplicationCredentialRef, Auth, CloudConfig, Domain, Scope, Tls, User, unknown_cloud};
use crate::catalog::{Interface, ServiceType};
use crate::environment::Environment;
use crate::near::near;

/// The domain that every OpenStack has. Names without a domain are looked up there, as other clients do.
const DEFAULT_DOMAIN: &str = "default";

/// The entry of a cloud: its profile, the entry itself, its secrets, each over the one before.
pub(super) fn merge(name: &str, files: &Files) -> Result<Entry, ConfigError> {
    let Some(entry) = files.clouds.clouds.as_ref().and_then(|clouds| clouds.get(name)) else {
        return Err(unknown_cloud(name, files));
    };
    let entry = entry.clone().unwrap_or_default();
    let base = match entry.profile.as_ref().or(entry.cloud.as_ref()) {
        None => Entry::default(),
        Some(profile) => profile_entry(name, profile, files)?,
    };
    let secret = files.secure.clouds.as_ref().and_then(|clouds| clouds.get(name)).cloned().flatten();
    Ok(base.overlaid(entry).overlaid(secret.unwrap_or_default()))
}

fn profile_entry(cloud: &str, profile: &str, files: &Files) -> Result<Entry, ConfigError> {
    let profiles = files.public.public_clouds.as_ref();
    if let Some(entry) = profiles.and_then(|profiles| profiles.get(profile)) {
        return Ok(entry.clone().unwrap_or_default());
    }
    let known: Vec<String> = profiles.into_iter().flatten().map(|(name, _)| name.clone()).collect();
    Err(ConfigError::UnknownProfile {
        cloud: cloud.to_owned(),
        profile: profile.to_owned(),
        near: near(profile, known.iter().map(String::as_str)),
        known,
    })
}

/// What a named cloud leaves open and a variable may say.
pub(super) fn fill_in(entry: Entry, environment: &Environment) -> Entry {
    let variables = from_variables(environment);
    let auth = variables.auth.unwrap_or_default();
    let under = Entry {
        auth: Some(AuthEntry {
            password: auth.password,
            application_credential_secret: auth.application_credential_secret,
            ..AuthEntry::default()
        }),
        // Where an entry says one of two words for the same thing, the variable's word must not win over it.
        interface: variables.interface.filter(|_| entry.endpoint_type.is_none()),
        region_name: variables.region_name.filter(|_| entry.regions.is_none()),
        insecure: variables.insecure.filter(|_| entry.verify.is_none()),
        cacert: variables.cacert,
        cert: variables.cert,
        key: variables.key,
        ..Entry::default()
    };
    under.overlaid(entry)
}

/// The cloud that the `OS_*` variables describe.
pub(super) fn from_variables(environment: &Environment) -> Entry {
    let text = |name: &str| environment.variable(name).map(str::to_owned);
    let secret = |name: &str| environment.variable(name).map(Secret::from);
    let service = |service: &str| text(&format!("OS_{service}_ENDPOINT_OVERRIDE"));
    let auth = AuthEntry {
        auth_url: text("OS_AUTH_URL"),
        username: text("OS_USERNAME"),
        user_id: text("OS_USER_ID").or_else(|| text("OS_USERID")),
        password: secret("OS_PASSWORD"),
        token: secret("OS_TOKEN").or_else(|| secret("OS_AUTH_TOKEN")),
        application_credential_id: text("OS_APPLICATION_CREDENTIAL_ID"),
        application_credential_name: text("OS_APPLICATION_CREDENTIAL_NAME"),
        application_credential_secret: secret("OS_APPLICATION_CREDENTIAL_SECRET"),
        project_name: text("OS_PROJECT_NAME"),
        project_id: text("OS_PROJECT_ID"),
        tenant_name: text("OS_TENANT_NAME"),
        tenant_id: text("OS_TENANT_ID"),
        user_domain_name: text("OS_USER_DOMAIN_NAME"),
        user_domain_id: text("OS_USER_DOMAIN_ID"),
        project_domain_name: text("OS_PROJECT_DOMAIN_NAME"),
        project_domain_id: text("OS_PROJECT_DOMAIN_ID"),
        domain_name: text("OS_DOMAIN_NAME"),
        domain_id: text("OS_DOMAIN_ID"),
        default_domain: text("OS_DEFAULT_DOMAIN"),
        default_domain_name: text("OS_DEFAULT_DOMAIN_NAME"),
        default_domain_id: text("OS_DEFAULT_DOMAIN_ID"),
        system_scope: text("OS_SYSTEM_SCOPE"),
    };
    Entry {
        auth: Some(auth),
        auth_type: text("OS_AUTH_TYPE"),
        region_name: text("OS_REGION_NAME"),
        interface: text("OS_INTERFACE"),
        endpoint_type: text("OS_ENDPOINT_TYPE"),
        cacert: text("OS_CACERT"),
        cert: text("OS_CERT"),
        key: text("OS_KEY"),
        insecure: environment.variable("OS_INSECURE").and_then(Switch::parse),
        identity_endpoint_override: service("IDENTITY"),
        compute_endpoint_override: service("COMPUTE"),
        network_endpoint_override: service("NETWORK"),
        image_endpoint_override: service("IMAGE"),
        block_storage_endpoint_override: service("BLOCK_STORAGE"),
        volumev3_endpoint_override: service("VOLUMEV3"),
        load_balancer_endpoint_override: service("LOAD_BALANCER"),
        ..Entry::default()
    }
}

/// The configuration that an entry describes, or what is wrong with it.
pub(super) fn config(
    name: &str,
    entry: Entry,
    environment: &Environment,
) -> Result<CloudConfig, ConfigError> {
    let cloud = Reader { cloud: name };
    let auth_entry = entry.auth.clone().unwrap_or_default();
    let Some(auth_url) = filled(auth_entry.auth_url.as_ref()) else {
        return Err(cloud.missing("`auth_url`"));
    };
    let interface = entry.interface.as_ref().or(entry.endpoint_type.as_ref());
    let path = |named: &Option<String>| filled(named.as_ref()).map(|named| environment.path(named));
    let off = |switch: Option<Switch>, value: bool| switch == Some(Switch(value));
    Ok(CloudConfig {
        name: name.to_owned(),
        auth_url: versioned(cloud.url("auth_url", auth_url)?),
        auth: cloud.auth(entry.auth_type.as_deref(), auth_entry)?,
        region: cloud.region(&entry)?,
        interface: interface.map_or(Ok(Interface::Public), |text| cloud.interface(text))?,
        tls: Tls {
            ca_file: path(&entry.cacert),
            cert_file: path(&entry.cert),
            key_file: path(&entry.key),
            insecure: off(entry.verify, false) || off(entry.insecure, true),
        },
        endpoint_overrides: cloud.overrides(&entry)?,
    })
}

/// The identity service's address with its version, whatever form was given: `/`, `/identity`, `/v3`, `/v2.0`.
fn versioned(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v2.0").unwrap_or(path);
    let path = if path.ends_with("/v3") { path.to_owned() } else { format!("{path}/v3") };
    url.set_path(&path);
    url
}

fn filled<T: AsRef<str>>(text: Option<&T>) -> Option<&str> {
    text.map(AsRef::as_ref).filter(|text| !text.is_empty())
}

/// Reads one cloud's entry; its methods differ in what they read.
struct Reader<'a> {
    cloud: &'a str,
}

impl Reader<'_> {
    fn missing(&self, what: &'static str) -> ConfigError {
        ConfigError::Missing { cloud: self.cloud.to_owned(), what }
    }

    fn invalid(&self, key: &'static str, value: &str, expected: &'static str) -> ConfigError {
        ConfigError::Invalid { cloud: self.cloud.to_owned(), key, value: value.to_owned(), expected }
    }

    fn url(&self, key: &'static str, text: &str) -> Result<Url, ConfigError> {
        let expected = "an address that starts with `https://` or `http://` is needed";
        let url = Url::parse(text).map_err(|_| self.invalid(key, text, expected))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(self.invalid(key, text, expected));
        }
        if url.password().is_some() {
            return Err(self.invalid(key, "...", "an address must not contain a password"));
        }
        Ok(url)
    }

    fn interface(&self, text: &str) -> Result<Interface, ConfigError> {
        // `endpoint_type` used to be spelled `publicURL`.
        match text.strip_suffix("URL").unwrap_or(text) {
            "public" => Ok(Interface::Public),
            "internal" => Ok(Interface::Internal),
            "admin" => Ok(Interface::Admin),
            _ => Err(self.invalid("interface", text, "`public`, `internal` and `admin` exist")),
        }
    }

    fn region(&self, entry: &Entry) -> Result<Option<String>, ConfigError> {
        if let Some(region) = filled(entry.region_name.as_ref()) {
            return Ok(Some(region.to_owned()));
        }
        match entry.regions.as_deref() {
            None | Some([]) => Ok(None),
            Some([only]) => Ok(Some(only.name().to_owned())),
            Some(several) => {
                let names: Vec<_> = several.iter().map(RegionEntry::name).collect();
                Err(self.invalid(
                    "regions",
                    &names.join(", "),
                    "with several of them `region_name` is needed",
                ))
            }
        }
    }

    fn overrides(&self, entry: &Entry) -> Result<std::collections::BTreeMap<ServiceType, Url>, ConfigError> {
        let block_storage = entry.block_storage_endpoint_override.as_ref();
        let given = [
            (ServiceType::Identity, "identity_endpoint_override", entry.identity_endpoint_override.as_ref()),
            (ServiceType::Compute, "compute_endpoint_override", entry.compute_endpoint_override.as_ref()),
            (ServiceType::Network, "network_endpoint_override", entry.network_endpoint_override.as_ref()),
            (ServiceType::Image, "image_endpoint_override", entry.image_endpoint_override.as_ref()),
            (
                ServiceType::BlockStorage,
                "block_storage_endpoint_override",
                block_storage.or(entry.volumev3_endpoint_override.as_ref()),
            ),
            (
                ServiceType::LoadBalancer,
                "load_balancer_endpoint_override",
                entry.load_balancer_endpoint_override.as_ref(),
            ),
        ];
        given
            .into_iter()
            .filter_map(|(service, key, text)| Some((service, key, filled(text)?)))
            .map(|(service, key, text)| Ok((service, self.url(key, text)?)))
            .collect()
    }

    fn auth(&self, auth_type: Option<&str>, auth: AuthEntry) -> Result<Auth, ConfigError> {
        if filled(auth.system_scope.as_ref()).is_some() {
            return Err(self.invalid("system_scope", "all", "a project is needed: clusters live in one"));
        }
        let has_credential = filled(auth.application_credential_id.as_ref()).is_some()
            || filled(auth.application_credential_name.as_ref()).is_some();
        match auth_type {
            Some("v3applicationcredential") => self.application_credential(auth),
            Some("token" | "v3token") => self.token(auth),
            Some("password" | "v3password") => self.password(auth),
            None | Some("") if has_credential => self.application_credential(auth),
            None | Some("") if auth.token.is_some() => self.token(auth),
            None | Some("") => self.password(auth),
            Some(other) => Err(self.invalid(
                "auth_type",
                other,
                "`password`, `token` and `v3applicationcredential` are known",
            )),
        }
    }

    fn secret(&self, secret: Option<Secret>, what: &'static str) -> Result<SecretString, ConfigError> {
        secret.filter(|secret| !secret.is_empty()).map(|secret| secret.0).ok_or_else(|| self.missing(what))
    }

    fn application_credential(&self, auth: AuthEntry) -> Result<Auth, ConfigError> {
        let secret =
            self.secret(auth.application_credential_secret.clone(), "`auth.application_credential_secret`")?;
        let which = match (
            filled(auth.application_credential_id.as_ref()),
            filled(auth.application_credential_name.as_ref()),
        ) {
            (Some(id), _) => ApplicationCredentialRef::Id(id.to_owned()),
            (None, Some(name)) => {
                ApplicationCredentialRef::Name { name: name.to_owned(), user: self.user(&auth)? }
            }
            (None, None) => {
                return Err(
                    self.missing("`auth.application_credential_id` or `auth.application_credential_name`")
                );
            }
        };
        Ok(Auth::ApplicationCredential { which, secret })
    }

    fn token(&self, auth: AuthEntry) -> Result<Auth, ConfigError> {
        let scope = scope(&auth);
        Ok(Auth::Token { token: self.secret(auth.token, "`auth.token`")?, scope })
    }

    fn password(&self, auth: AuthEntry) -> Result<Auth, ConfigError> {
        let user = self.user(&auth)?;
        let scope = scope(&auth);
        if scope == Scope::Unscoped {
            return Err(self.missing("`auth.project_name` or `auth.project_id`"));
        }
        Ok(Auth::Password { user, password: self.secret(auth.password, "`auth.password`")?, scope })
    }

    fn user(&self, auth: &AuthEntry) -> Result<User, ConfigError> {
        if let Some(id) = filled(auth.user_id.as_ref()) {
            return Ok(User::Id(id.to_owned()));
        }
        let Some(name) = filled(auth.username.as_ref()) else {
            return Err(self.missing("`auth.username` or `auth.user_id`"));
        };
        Ok(User::Name { name: name.to_owned(), domain: user_domain(auth) })
    }
}

fn domain(id: Option<&String>, name: Option<&String>) -> Option<Domain> {
    match (filled(id), filled(name)) {
        (Some(id), _) => Some(Domain::Id(id.to_owned())),
        (None, Some(name)) => Some(Domain::Name(name.to_owned())),
        (None, None) => None,
    }
}

/// `domain_*` beside a project speaks of where user and project live; `default_domain*` is the last word.
fn fallback_domain(auth: &AuthEntry) -> Domain {
    domain(auth.domain_id.as_ref(), auth.domain_name.as_ref())
        .or_else(|| {
            let id = auth.default_domain_id.as_ref().or(auth.default_domain.as_ref());
            domain(id, auth.default_domain_name.as_ref())
        })
        .unwrap_or_else(|| Domain::Id(DEFAULT_DOMAIN.to_owned()))
}

fn user_domain(auth: &AuthEntry) -> Domain {
    domain(auth.user_domain_id.as_ref(), auth.user_domain_name.as_ref())
        .unwrap_or_else(|| fallback_domain(auth))
}

fn project_domain(auth: &AuthEntry) -> Domain {
    domain(auth.project_domain_id.as_ref(), auth.project_domain_name.as_ref())
        .unwrap_or_else(|| fallback_domain(auth))
}

fn scope(auth: &AuthEntry) -> Scope {
    let id = filled(auth.project_id.as_ref()).or(filled(auth.tenant_id.as_ref()));
    let name = filled(auth.project_name.as_ref()).or(filled(auth.tenant_name.as_ref()));
    match (id, name) {
        (Some(id), _) => Scope::ProjectId(id.to_owned()),
        (None, Some(name)) => Scope::ProjectName { name: name.to_owned(), domain: project_domain(auth) },
        (None, None) => {
            domain(auth.domain_id.as_ref(), auth.domain_name.as_ref()).map_or(Scope::Unscoped, Scope::Domain)
        }
    }
}

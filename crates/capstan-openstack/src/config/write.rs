//! A `clouds.yaml` for others: the cloud providers in the clusters read it.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{ApplicationCredentialRef, Auth, CloudConfig, Domain, Scope, User};

#[derive(Serialize)]
struct File<'a> {
    clouds: BTreeMap<&'a str, Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    auth_type: &'static str,
    auth: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region_name: Option<&'a str>,
    interface: &'static str,
    identity_api_version: u8,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    insecure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<bool>,
}

impl CloudConfig {
    /// A `clouds.yaml` with this cloud as its only entry, called `name`. Certificate files are left out: the reader
    /// has other paths, so its CA goes beside this text (`Tls::ca_file`).
    ///
    /// # Errors
    /// A value that YAML cannot hold; no text that came out of a YAML file is one.
    pub fn to_clouds_yaml(&self, name: &str) -> Result<SecretString, serde_saphyr::SerializeError> {
        let mut auth = BTreeMap::from([("auth_url", self.auth_url.as_str())]);
        let auth_type = describe(&self.auth, &mut auth);
        let entry = Entry {
            auth_type,
            auth,
            region_name: self.region.as_deref(),
            interface: self.interface.as_str(),
            identity_api_version: 3,
            insecure: self.tls.insecure,
            // gophercloud reads `verify`, the Python clients either.
            verify: self.tls.insecure.then_some(false),
        };
        serde_saphyr::to_string(&File { clouds: BTreeMap::from([(name, entry)]) }).map(SecretString::from)
    }
}

fn describe<'a>(auth: &'a Auth, out: &mut BTreeMap<&'static str, &'a str>) -> &'static str {
    match auth {
        Auth::Password { user, password, scope } => {
            add_user(user, out);
            out.insert("password", password.expose_secret());
            add_scope(scope, out);
            "password"
        }
        Auth::Token { token, scope } => {
            out.insert("token", token.expose_secret());
            add_scope(scope, out);
            "token"
        }
        Auth::ApplicationCredential { which, secret } => {
            match which {
                ApplicationCredentialRef::Id(id) => {
                    out.insert("application_credential_id", id);
                }
                ApplicationCredentialRef::Name { name, user } => {
                    out.insert("application_credential_name", name);
                    add_user(user, out);
                }
            }
            out.insert("application_credential_secret", secret.expose_secret());
            "v3applicationcredential"
        }
    }
}

fn add_user<'a>(user: &'a User, out: &mut BTreeMap<&'static str, &'a str>) {
    match user {
        User::Id(id) => {
            out.insert("user_id", id);
        }
        User::Name { name, domain } => {
            out.insert("username", name);
            add_domain(domain, ["user_domain_id", "user_domain_name"], out);
        }
    }
}

fn add_scope<'a>(scope: &'a Scope, out: &mut BTreeMap<&'static str, &'a str>) {
    match scope {
        Scope::ProjectId(id) => {
            out.insert("project_id", id);
        }
        Scope::ProjectName { name, domain } => {
            out.insert("project_name", name);
            add_domain(domain, ["project_domain_id", "project_domain_name"], out);
        }
        Scope::Domain(domain) => add_domain(domain, ["domain_id", "domain_name"], out),
        Scope::Unscoped => {}
    }
}

fn add_domain<'a>(domain: &'a Domain, keys: [&'static str; 2], out: &mut BTreeMap<&'static str, &'a str>) {
    match domain {
        Domain::Id(id) => out.insert(keys[0], id),
        Domain::Name(name) => out.insert(keys[1], name),
    };
}

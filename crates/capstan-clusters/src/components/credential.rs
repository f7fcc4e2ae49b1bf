//! The cluster's own credential for OpenStack: a restricted application credential and the Secret that holds it.
//!
//! The secret half is told once, in the answer to the create. So a credential that the Secret doesn't name is of no
//! use to anybody (the answer was lost, or we were killed before the Secret was written) and is deleted; a new one is
//! made under a new name.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use capstan_core::documents::CredentialScope;
use capstan_core::names::{self, CLOUD_NAME};
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_kube::{DynamicObject, Kind};
use capstan_openstack::identity::{ApplicationCredential, NewApplicationCredential};
use capstan_openstack::{ApplicationCredentialRef, Auth, CloudConfig};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::failure;
use crate::render::{self, MOVE_LABEL};
use crate::subject::Subject;

/// Roles that a cluster's controllers need at most; others that the user has are not handed on.
const ROLES: [&str; 4] = ["member", "reader", "load-balancer_member", "creator"];

/// See the module. It stands in the list twice: before the cluster's objects, which need it, and behind them, so that
/// deleting begins with a credential that works.
pub struct Credential {
    subject: Arc<Subject>,
    while_deleting: bool,
}

/// What exists.
pub struct Seen {
    /// Id of the application credential in the Secret; the empty text where the Secret holds the fleet's own.
    secret: Option<String>,
    /// The cluster's application credentials.
    credentials: Vec<ApplicationCredential>,
    /// Whether the fleet's credential may make others.
    restricted: bool,
    now: Timestamp,
    /// Whether there is still something that needs the credential.
    needed: bool,
}

/// What can be done about the credential.
#[derive(Debug)]
pub enum Change {
    /// Make an application credential and write the Secret.
    Create,
    /// Write the fleet's own credential into the Secret.
    Share {
        /// Name of the Secret.
        secret: String,
    },
    /// Delete an application credential.
    Delete {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
    },
    /// Delete the Secret.
    DeleteSecret {
        /// Its name.
        secret: String,
    },
}

impl Describe for Change {
    fn describe(&self) -> PlannedChange {
        let (object, class) = match self {
            // Its name has a part that is chosen when it is made.
            Self::Create => ("application credential".to_owned(), ChangeClass::Creates),
            Self::Share { secret } => (format!("Secret {secret}"), ChangeClass::Creates),
            Self::Delete { name, .. } => (format!("application credential {name}"), ChangeClass::Deletes),
            Self::DeleteSecret { secret } => (format!("Secret {secret}"), ChangeClass::Deletes),
        };
        PlannedChange::new(Credential::NAME, object, class)
    }
}

impl Credential {
    pub(crate) const NAME: &'static str = "credential";
    pub(crate) const WHILE_DELETING: &'static str = "credential for deleting";

    /// The credential before the cluster's objects.
    #[must_use]
    pub const fn new(subject: Arc<Subject>) -> Self {
        Self { subject, while_deleting: false }
    }

    /// The credential behind the cluster's objects: only deleting has something to do with it.
    #[must_use]
    pub const fn while_deleting(subject: Arc<Subject>) -> Self {
        Self { subject, while_deleting: true }
    }

    fn description(&self) -> String {
        let names = self.subject.names();
        format!("{}={} {}={}", names::FLEET_KEY, names.fleet(), names::CLUSTER_KEY, names.cluster())
    }

    /// What must be done so that the Secret holds a credential that works.
    fn ensure(&self, seen: &Seen) -> Verdict<Change> {
        let secret = self.subject.names().cloud_config_secret();
        if self.subject.cluster.credential_scope == CredentialScope::Fleet {
            return match seen.secret {
                Some(_) => Verdict::InSync,
                None => Verdict::Change(vec![Change::Share { secret }]),
            };
        }
        let (used, unused): (Vec<_>, Vec<_>) = seen.credentials.iter().partition(|credential| {
            seen.secret.as_ref() == Some(&credential.id) && !is_over(credential, seen.now)
        });
        if used.is_empty() && seen.restricted {
            return Verdict::blocked(
                "the fleet's own credential is a restricted application credential: Keystone lets it make no others",
                "use a password or an unrestricted application credential in `clouds.yaml`, or set \
                 `spec.credentials.scope: fleet` to let all clusters share the one",
            );
        }
        let mut changes: Vec<_> = unused.into_iter().map(delete).collect();
        if used.is_empty() {
            // The new one first: deleting what the Secret names would cut off those who still use it.
            changes.insert(0, Change::Create);
        }
        Verdict::from_changes(changes)
    }

    async fn write_secret(&self, config: &CloudConfig) -> Result<(), Failure> {
        let names = self.subject.names();
        let yaml = config.to_clouds_yaml(CLOUD_NAME).map_err(Failure::permanent)?;
        let mut labels = render::labels(names);
        labels[MOVE_LABEL] = json!("true");
        let mut data = json!({ "clouds.yaml": STANDARD.encode(yaml.expose_secret()) });
        if let Some(ca) = ca_certificate(config).await? {
            data["cacert"] = json!(STANDARD.encode(ca));
        }
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "name": names.cloud_config_secret(), "namespace": names.namespace(), "labels": labels },
            "data": data,
        });
        self.subject.plane.apply(&secret).await
    }

    async fn create(&self) -> Result<(), Failure> {
        let cloud = self.subject.project.cloud();
        let token = cloud.token().await.map_err(failure::openstack)?;
        let new = NewApplicationCredential {
            name: self.subject.names().application_credential(&suffix(cloud.random())),
            description: self.description(),
            roles: roles(token.roles.iter().map(|role| role.name.as_str())),
            expires_at: None,
        };
        let made = cloud.identity().create_application_credential(&new).await;
        self.subject.project.forget_credentials().await;
        let made = made.map_err(failure::openstack)?;
        let secret = made.secret.ok_or_else(|| {
            Failure::permanent(std::io::Error::other(
                "the identity service told no secret with a new credential",
            ))
        })?;
        self.write_secret(&cloud.config().with_application_credential(&made.id, secret)).await
    }
}

/// The part of a credential's name that makes it another than those before: names cannot be used twice.
fn suffix(random: u64) -> String {
    format!("{:08x}", random & 0xffff_ffff)
}

/// A quarter of an hour before its end a credential counts as over: deleting takes that long.
fn is_over(credential: &ApplicationCredential, now: Timestamp) -> bool {
    let soon = now.saturating_add(jiff::SignedDuration::from_mins(15)).unwrap_or(now);
    credential.expires_at.is_some_and(|end| end <= soon)
}

fn delete(credential: &ApplicationCredential) -> Change {
    Change::Delete { name: credential.name.clone(), id: credential.id.clone() }
}

/// The roles to hand on: of those that the user has, what a cluster needs. Where the cloud names its roles otherwise,
/// all but those of administrators.
fn roles<'a>(held: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    if held.clone().any(|role| role == "member") {
        held.filter(|role| ROLES.contains(role)).map(str::to_owned).collect()
    } else {
        held.filter(|role| !matches!(*role, "admin" | "manager" | "service")).map(str::to_owned).collect()
    }
}

/// The certificate that the cloud's endpoints are checked with, where it is not a public one.
async fn ca_certificate(config: &CloudConfig) -> Result<Option<Vec<u8>>, Failure> {
    match &config.tls.ca_file {
        Some(path) => Ok(Some(tokio::fs::read(path).await.map_err(Failure::permanent)?)),
        None => Ok(None),
    }
}

/// The id of the application credential in a Secret; empty where the Secret holds something else.
fn id_in(secret: &DynamicObject) -> String {
    let yaml = secret.data["data"]["clouds.yaml"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let yaml = yaml.and_then(|bytes| String::from_utf8(bytes).ok()).map(SecretString::from);
    let config = yaml.and_then(|yaml| CloudConfig::from_yaml(yaml.expose_secret(), CLOUD_NAME).ok());
    match config.map(|config| config.auth) {
        Some(Auth::ApplicationCredential { which: ApplicationCredentialRef::Id(id), .. }) => id,
        _ => String::new(),
    }
}

#[async_trait]
impl Component for Credential {
    type Seen = Seen;
    type Change = Change;

    fn name(&self) -> &'static str {
        if self.while_deleting { Self::WHILE_DELETING } else { Self::NAME }
    }

    fn after(&self) -> &'static [&'static str] {
        if self.while_deleting {
            &[super::objects::ClusterObjects::CLUSTER]
        } else {
            &[super::namespace::Namespace::NAME]
        }
    }

    async fn observe(&self, _: &StepCx) -> Result<Seen, Failure> {
        let subject = &self.subject;
        let secret = subject.get(&Kind::SECRET, &subject.names().cloud_config_secret());
        let prefix = format!("{}-", subject.names().base());
        let description = self.description();
        let all = subject.project.credentials().await.map_err(failure::openstack)?;
        let ours = |credential: &&ApplicationCredential| {
            credential.name.starts_with(&prefix) && credential.description == description
        };
        let token = subject.project.cloud().token().await.map_err(failure::openstack)?;
        Ok(Seen {
            secret: secret.as_deref().map(id_in),
            credentials: all.iter().filter(ours).cloned().collect(),
            restricted: token.application_credential.is_some_and(|credential| credential.restricted),
            now: subject.since,
            needed: subject.get(&Kind::CLUSTER, subject.names().base()).is_some()
                || !subject.list(&Kind::OPENSTACK_CLUSTER).is_empty(),
        })
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<Change> {
        match (direction, self.while_deleting) {
            (Direction::Present, false) => self.ensure(seen),
            (Direction::Present, true) => Verdict::InSync,
            // The provider deletes with the Secret's credential: one that has expired would let it hang for ever.
            (Direction::Absent, true) if seen.needed && seen.secret.is_some() => self.ensure(seen),
            (Direction::Absent, true) => Verdict::InSync,
            (Direction::Absent, false) => {
                let mut changes: Vec<_> = seen.credentials.iter().map(delete).collect();
                if seen.secret.is_some() {
                    changes.push(Change::DeleteSecret { secret: self.subject.names().cloud_config_secret() });
                }
                Verdict::from_changes(changes)
            }
        }
    }

    async fn apply(&self, change: &Change, _: &StepCx) -> Result<(), Failure> {
        match change {
            Change::Create => self.create().await,
            Change::Share { .. } => self.write_secret(self.subject.project.cloud().config()).await,
            Change::Delete { id, .. } => {
                let deleted = self.subject.project.cloud().identity().delete_application_credential(id).await;
                self.subject.project.forget_credentials().await;
                deleted.map_err(failure::openstack)
            }
            Change::DeleteSecret { secret } => {
                self.subject.plane.delete(&Kind::SECRET, self.subject.namespace(), secret).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_gets_no_role_that_it_doesnt_need() {
        let held = ["admin", "member", "load-balancer_member", "swiftoperator"];
        assert_eq!(roles(held.into_iter()), ["member", "load-balancer_member"]);
        assert_eq!(roles(["admin", "_member_"].into_iter()), ["_member_"]);
    }
}

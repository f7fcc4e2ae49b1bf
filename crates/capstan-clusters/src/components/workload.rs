//! What runs in the cluster and holds OpenStack resources: released from inside before the cluster goes, because only
//! its own controllers know how. Best effort with a deadline: the cluster may be dead.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_kube::{Client, Kind};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Service};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};

use super::is_going;
use crate::failure;
use crate::subject::Subject;
use crate::workload_api;

/// How long the cluster's controllers get. What they leave is found by its names and metadata afterwards.
const PATIENCE: Duration = Duration::from_secs(180);

/// The driver of Cinder volumes (cloud-provider-openstack, Cinder CSI).
const CINDER: &str = "cinder.csi.openstack.org";

/// See the module.
pub struct Workload {
    subject: Arc<Subject>,
    /// When this run first looked, on the run's clock.
    began: OnceLock<Duration>,
}

/// What exists.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    services: Vec<Held>,
    claims: Vec<Held>,
    /// Volumes that are still bound to Cinder ones.
    volumes: usize,
}

/// An object of the cluster that holds something in OpenStack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    namespace: String,
    name: String,
    going: bool,
}

/// What can be done about it.
#[derive(Debug)]
pub enum Change {
    /// Delete a Service of type LoadBalancer.
    DeleteService(Held),
    /// Delete a PersistentVolumeClaim.
    DeleteClaim(Held),
}

impl Describe for Change {
    fn describe(&self) -> PlannedChange {
        let (object, class) = match self {
            Self::DeleteService(held) => {
                (format!("Service {}/{}", held.namespace, held.name), ChangeClass::Deletes)
            }
            Self::DeleteClaim(held) => {
                let object = format!("PersistentVolumeClaim {}/{}", held.namespace, held.name);
                (object, ChangeClass::Destroys { data: vec!["the volume's content".to_owned()] })
            }
        };
        PlannedChange::new(Workload::NAME, object, class)
    }
}

impl Workload {
    pub(crate) const NAME: &'static str = "workload";

    /// The workload of a cluster.
    #[must_use]
    pub const fn new(subject: Arc<Subject>) -> Self {
        Self { subject, began: OnceLock::new() }
    }

    /// A connection to the cluster, if there is a cluster that can still act.
    async fn client(&self) -> Option<Client> {
        let cluster = self.subject.get(&Kind::CLUSTER, self.subject.names().base())?;
        if is_going(&cluster) {
            return None;
        }
        match workload_api::client(&self.subject).await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "the workload cluster's kubeconfig cannot be used");
                None
            }
        }
    }
}

async fn look(client: Client) -> Result<Seen, kube::Error> {
    let all = ListParams::default();
    let services = Api::<Service>::all(client.clone());
    let claims = Api::<PersistentVolumeClaim>::all(client.clone());
    let volumes = Api::<PersistentVolume>::all(client);
    let (services, claims, volumes) =
        futures::try_join!(services.list(&all), claims.list(&all), volumes.list(&all))?;
    let is_balanced = |service: &&Service| {
        service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
    };
    let is_cinder = |volume: &&PersistentVolume| {
        let spec = volume.spec.as_ref();
        let driver = spec.and_then(|spec| spec.csi.as_ref()).map(|csi| csi.driver.as_str());
        let keeps = spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) == Some("Retain");
        driver == Some(CINDER) && !keeps
    };
    let cinder: Vec<_> = volumes.items.iter().filter(is_cinder).collect();
    Ok(Seen {
        services: services.items.iter().filter(is_balanced).map(held).collect(),
        claims: claims.items.iter().map(held).collect(),
        volumes: cinder.len(),
    })
}

fn held(object: &impl ResourceExt) -> Held {
    Held {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        going: object.meta().deletion_timestamp.is_some(),
    }
}

#[async_trait]
impl Component for Workload {
    type Seen = Seen;
    type Change = Change;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn after(&self) -> &'static [&'static str] {
        &[super::leftovers::Leftovers::IN_THE_WAY, super::credential::Credential::WHILE_DELETING]
    }

    async fn observe(&self, cx: &StepCx) -> Result<Seen, Failure> {
        if cx.direction() == Direction::Present {
            return Ok(Seen::default());
        }
        let began = *self.began.get_or_init(|| cx.clock().now());
        let Some(client) = self.client().await else { return Ok(Seen::default()) };
        let seen = look(client).await;
        let over = cx.clock().now() >= began + PATIENCE;
        match seen {
            Ok(seen) if over && seen != Seen::default() => {
                cx.warn(format!(
                    "the cluster did not release everything within {} s: going on",
                    PATIENCE.as_secs()
                ));
                Ok(Seen::default())
            }
            Ok(seen) => Ok(seen),
            Err(error) => {
                let error =
                    capstan_kube::Error::decode(error, &capstan_kube::Target::new(&Kind::SERVICE, None, ""));
                cx.warn(format!("the cluster does not answer, its load balancers and volumes are removed from outside: {error}"));
                Ok(Seen::default())
            }
        }
    }

    fn plan(&self, _: Direction, seen: &Seen) -> Verdict<Change> {
        let services = seen.services.iter().filter(|held| !held.going).cloned().map(Change::DeleteService);
        let claims = seen.claims.iter().filter(|held| !held.going).cloned().map(Change::DeleteClaim);
        let changes: Vec<_> = services.chain(claims).collect();
        if !changes.is_empty() {
            return Verdict::Change(changes);
        }
        if seen.services.is_empty() && seen.volumes == 0 {
            return Verdict::InSync;
        }
        let (services, volumes) = (seen.services.len(), seen.volumes);
        Verdict::waiting(format!("the cluster to release {services} load balancers and {volumes} volumes"), 3)
    }

    async fn apply(&self, change: &Change, _: &StepCx) -> Result<(), Failure> {
        let Some(client) = self.client().await else { return Ok(()) };
        let (kind, held) = match change {
            Change::DeleteService(held) => (Kind::SERVICE, held),
            Change::DeleteClaim(held) => (Kind::PERSISTENT_VOLUME_CLAIM, held),
        };
        let deleted =
            kind.api(client, Some(&held.namespace)).delete(&held.name, &DeleteParams::default()).await;
        let target = capstan_kube::Target::new(&kind, Some(&held.namespace), &held.name);
        match deleted.map_err(|error| capstan_kube::Error::decode(error, &target)) {
            Ok(_) | Err(capstan_kube::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure::kubernetes(error)),
        }
    }
}

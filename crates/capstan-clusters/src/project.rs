//! An OpenStack project as its clusters see it: lists with an age, shared by all of them.
//!
//! The cost of a quiet fleet must not grow with clusters × components, so what every cluster asks for (flavors, images,
//! networks, zones, server groups, credentials, quotas) is listed once and kept for a while. Whoever changes something
//! forgets the list it is in.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use capstan_engine::Clock;
use capstan_openstack::block_storage::VolumeZone;
use capstan_openstack::compute::{AvailabilityZone, ComputeQuota, Flavor, Keypair, ServerGroup};
use capstan_openstack::identity::ApplicationCredential;
use capstan_openstack::image::Image;
use capstan_openstack::network::{Network, NetworkQuota};
use capstan_openstack::{Cloud, Result};
use tokio::sync::Mutex;

/// How long a list is good for. Names of flavors and images rarely change; a person who adds one waits no longer.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How long the quotas are good for: as long as a plan over many clusters takes.
const QUOTA_MAX_AGE: Duration = Duration::from_secs(5);

/// A project of a cloud. Clones share connection and lists.
#[derive(Clone)]
pub struct Project(Arc<Inner>);

struct Inner {
    cloud: Cloud,
    clock: Arc<dyn Clock>,
    flavors: Listed<Flavor>,
    keypairs: Listed<Keypair>,
    zones: Listed<AvailabilityZone>,
    volume_zones: Listed<VolumeZone>,
    server_groups: Listed<ServerGroup>,
    credentials: Listed<ApplicationCredential>,
    networks: Listed<Network>,
    images: Listed<Image>,
    quotas: Mutex<Option<(Duration, (ComputeQuota, NetworkQuota))>>,
    /// One upload of an image at a time, whoever asks for it.
    uploads: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// A list and when it was made.
type Listed<T> = Mutex<Option<(Duration, Arc<Vec<T>>)>>;

impl Project {
    /// A project behind a connection.
    #[must_use]
    pub fn new(cloud: Cloud, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            cloud,
            clock,
            flavors: Mutex::default(),
            keypairs: Mutex::default(),
            zones: Mutex::default(),
            volume_zones: Mutex::default(),
            server_groups: Mutex::default(),
            credentials: Mutex::default(),
            networks: Mutex::default(),
            images: Mutex::default(),
            quotas: Mutex::default(),
            uploads: Mutex::default(),
        }))
    }

    /// The connection.
    #[must_use]
    pub fn cloud(&self) -> &Cloud {
        &self.0.cloud
    }

    /// The flavors.
    ///
    /// # Errors
    /// The service's; so for the others.
    pub async fn flavors(&self) -> Result<Arc<Vec<Flavor>>> {
        let compute = self.0.cloud.compute()?;
        self.listed(&self.0.flavors, async || compute.flavors().await).await
    }

    /// The user's key pairs.
    ///
    /// # Errors
    /// The service's.
    pub async fn keypairs(&self) -> Result<Arc<Vec<Keypair>>> {
        let compute = self.0.cloud.compute()?;
        self.listed(&self.0.keypairs, async || compute.keypairs().await).await
    }

    /// The availability zones for servers.
    ///
    /// # Errors
    /// The service's.
    pub async fn zones(&self) -> Result<Arc<Vec<AvailabilityZone>>> {
        let compute = self.0.cloud.compute()?;
        self.listed(&self.0.zones, async || compute.availability_zones().await).await
    }

    /// The availability zones for volumes.
    ///
    /// # Errors
    /// The service's.
    pub async fn volume_zones(&self) -> Result<Arc<Vec<VolumeZone>>> {
        let storage = self.0.cloud.block_storage()?;
        self.listed(&self.0.volume_zones, async || storage.availability_zones().await).await
    }

    /// The server groups.
    ///
    /// # Errors
    /// The service's.
    pub async fn server_groups(&self) -> Result<Arc<Vec<ServerGroup>>> {
        let compute = self.0.cloud.compute()?;
        self.listed(&self.0.server_groups, async || compute.server_groups().await).await
    }

    /// Forgets the server groups, after one was made or deleted.
    pub async fn forget_server_groups(&self) {
        *self.0.server_groups.lock().await = None;
    }

    /// The user's application credentials.
    ///
    /// # Errors
    /// The service's.
    pub async fn credentials(&self) -> Result<Arc<Vec<ApplicationCredential>>> {
        let identity = self.0.cloud.identity();
        self.listed(&self.0.credentials, async || identity.application_credentials().await).await
    }

    /// Forgets the application credentials, after one was made or deleted.
    pub async fn forget_credentials(&self) {
        *self.0.credentials.lock().await = None;
    }

    /// The networks that the project sees.
    ///
    /// # Errors
    /// The service's.
    pub async fn networks(&self) -> Result<Arc<Vec<Network>>> {
        let network = self.0.cloud.network()?;
        self.listed(&self.0.networks, async || network.networks(&Default::default()).await).await
    }

    /// The images that the project sees.
    ///
    /// # Errors
    /// The service's.
    pub async fn images(&self) -> Result<Arc<Vec<Image>>> {
        let image = self.0.cloud.image()?;
        self.listed(&self.0.images, async || image.images(&Default::default()).await).await
    }

    /// Forgets the images, after one was made or deleted.
    pub async fn forget_images(&self) {
        *self.0.images.lock().await = None;
    }

    /// The quotas of compute and network, a few seconds old at most: they are looked at before something is made, and
    /// by many clusters at once.
    ///
    /// # Errors
    /// The service's.
    pub async fn quotas(&self) -> Result<(ComputeQuota, NetworkQuota)> {
        let mut kept = self.0.quotas.lock().await;
        let now = self.0.clock.now();
        if let Some((at, quotas)) = &*kept
            && now.saturating_sub(*at) < QUOTA_MAX_AGE
        {
            return Ok(quotas.clone());
        }
        let (compute, network) = (self.0.cloud.compute()?, self.0.cloud.network()?);
        let quotas = futures::try_join!(compute.quota(), network.quota())?;
        *kept = Some((now, quotas.clone()));
        Ok(quotas)
    }

    /// The right to upload the image of that name; whoever else asks waits, and then finds it there.
    pub async fn upload_turn(&self, image: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = Arc::clone(self.0.uploads.lock().await.entry(image.to_owned()).or_default());
        turn.lock_owned().await
    }

    /// The kept list, or a new one. The lock is held while listing: who comes second waits for the first's answer.
    async fn listed<T, F>(&self, kept: &Listed<T>, list: impl FnOnce() -> F) -> Result<Arc<Vec<T>>>
    where
        F: Future<Output = Result<Vec<T>>>,
    {
        let mut kept = kept.lock().await;
        let now = self.0.clock.now();
        if let Some((at, values)) = &*kept
            && now.saturating_sub(*at) < MAX_AGE
        {
            return Ok(Arc::clone(values));
        }
        let values = Arc::new(list().await?);
        *kept = Some((now, Arc::clone(&values)));
        Ok(values)
    }
}

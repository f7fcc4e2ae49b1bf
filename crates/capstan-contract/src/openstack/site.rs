//! Where behaviours are tried, and how it is left clean.

use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use capstan_openstack::compute::{Server, ServerFilter};
use capstan_openstack::image::Image;
use capstan_openstack::load_balancer::LoadBalancer;
use capstan_openstack::network::{Filter, Kind, Network, Port, Subnet};
use capstan_openstack::{
    Cloud, Error, Service, ServiceType, SystemTime, Time, block_storage, image, load_balancer,
};
use serde_json::{Value, json};

/// A cloud, and a name under which one behaviour makes what it needs there.
#[derive(Debug, Clone)]
pub struct Site {
    /// The cloud.
    pub cloud: Cloud,
    /// Begins the name of everything that is made here, and of nothing else.
    pub prefix: String,
    pause: Duration,
}

/// Longer than anything takes on a cloud that works.
const PATIENCE: Duration = Duration::from_secs(120);

/// Distinguishes the sites of one process.
static SITES: AtomicU32 = AtomicU32::new(0);

impl Site {
    /// A place of its own on `cloud`. `pause` lies between two looks at something that takes time.
    #[must_use]
    pub fn new(cloud: Cloud, pause: Duration) -> Self {
        let now = SystemTime.now().as_nanosecond();
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        Self { cloud, prefix: format!("contract-{:08x}-{number}", now & 0xffff_ffff), pause }
    }

    /// Runs one behaviour and removes what it made, whatever came of it.
    ///
    /// # Errors
    /// The behaviour's, or that something could not be removed.
    pub async fn run(&self, behaviour: &super::Behaviour) -> Result<()> {
        let result = (behaviour.run)(self).await.with_context(|| behaviour.name);
        let cleaned = self.clean().await.with_context(|| format!("clean up after {}", behaviour.name));
        result.and(cleaned)
    }

    /// A name of this site.
    #[must_use]
    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    /// A service, for calls that only tests make.
    ///
    /// # Errors
    /// The catalog has no such service.
    pub fn service(&self, service: ServiceType) -> Result<Service> {
        Ok(self.cloud.service(service)?)
    }

    /// Looks again and again until there is something.
    ///
    /// # Errors
    /// Those of looking, or that it takes too long.
    pub async fn until<T, F>(&self, what: impl Display, mut look: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<Option<T>>>,
    {
        let start = SystemTime.now();
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            let waited = SystemTime.now().duration_since(start).unsigned_abs();
            ensure!(waited < PATIENCE, "{what}: not so after {} s", waited.as_secs());
            SystemTime.sleep(self.pause).await;
        }
    }

    /// A network with one subnet.
    ///
    /// # Errors
    /// The service's.
    pub async fn network(&self, what: &str) -> Result<(Network, Subnet)> {
        let service = self.service(ServiceType::Network)?;
        let body = json!({ "network": { "name": self.name(what) } });
        let network: Network = service.post(&["networks"]).json(body).one("network").await?;
        let body = json!({ "subnet": {
            "name": self.name(what), "network_id": network.id, "ip_version": 4, "cidr": "10.77.0.0/24",
        } });
        let subnet: Subnet = service.post(&["subnets"]).json(body).one("subnet").await?;
        Ok((network, subnet))
    }

    /// A port in a network.
    ///
    /// # Errors
    /// The service's.
    pub async fn port(&self, network: &Network) -> Result<Port> {
        let body = json!({ "port": { "name": self.name("port"), "network_id": network.id } });
        Ok(self.service(ServiceType::Network)?.post(&["ports"]).json(body).one("port").await?)
    }

    /// An image that servers can be made from.
    ///
    /// # Errors
    /// There is none.
    pub async fn bootable_image(&self) -> Result<Image> {
        let filter = image::Filter { visibility: Some("public".into()), ..image::Filter::default() };
        let images = self.cloud.image()?.images(&filter).await?;
        let usable = |image: &Image| image.status == "active" && image.name.starts_with("Ubuntu");
        images.into_iter().find(usable).context("no public image is called `Ubuntu …`")
    }

    /// Asks for a server. `more` is laid over what every server needs.
    ///
    /// # Errors
    /// The service's.
    pub async fn server(
        &self,
        what: &str,
        flavor: &str,
        network: Value,
        more: Value,
    ) -> Result<String, Error> {
        let flavor = self.cloud.compute()?.flavor(flavor).await?;
        let mut body =
            json!({ "server": { "name": self.name(what), "flavorRef": flavor.id, "networks": network } });
        let mut more = more;
        if let (Some(hints), Some(body)) = (more.as_object_mut(), body.as_object_mut()) {
            if let Some(hints) = hints.remove("os:scheduler_hints") {
                body.insert("os:scheduler_hints".into(), hints);
            }
            if let Some(server) = body.get_mut("server").and_then(Value::as_object_mut) {
                server.append(hints);
            }
        }
        #[derive(serde::Deserialize)]
        struct Made {
            id: String,
        }
        let call = self.cloud.service(ServiceType::Compute)?.post(&["servers"]).json(body);
        Ok(call.one::<Made>("server").await?.id)
    }

    /// Waits until a server is `ACTIVE` or `ERROR`.
    ///
    /// # Errors
    /// The service's, or that it takes too long.
    pub async fn settled(&self, server: &str) -> Result<Server> {
        let compute = self.cloud.compute()?;
        self.until("the server is made", || async {
            let server = compute.server(server).await?;
            Ok((server.status != "BUILD").then_some(server))
        })
        .await
    }

    /// Waits until nothing has this id.
    ///
    /// # Errors
    /// The service's, or that it takes too long.
    pub async fn server_gone(&self, id: &str) -> Result<()> {
        let compute = self.cloud.compute()?;
        self.until("the server is gone", || async { gone(compute.server(id).await) }).await
    }

    /// Waits until a volume has this status.
    ///
    /// # Errors
    /// The service's, or that it takes too long.
    pub async fn volume_is(&self, id: &str, status: &str) -> Result<()> {
        let storage = self.cloud.block_storage()?;
        self.until(format!("the volume is {status}"), || async {
            let volume = storage.volume(id).await?;
            ensure!(!volume.status.starts_with("error"), "the volume is in {}", volume.status);
            Ok((volume.status == status).then_some(()))
        })
        .await
    }

    /// A load balancer with its address in a subnet; still `PENDING_CREATE`.
    ///
    /// # Errors
    /// The service's.
    pub async fn load_balancer(&self, subnet: &Subnet, tag: &str) -> Result<LoadBalancer> {
        let body = json!({ "loadbalancer": {
            "name": self.name("lb"), "vip_subnet_id": subnet.id, "tags": [tag],
        } });
        let service = self.service(ServiceType::LoadBalancer)?;
        Ok(service.post(&["lbaas", "loadbalancers"]).json(body).one("loadbalancer").await?)
    }

    /// Waits until a load balancer can be changed.
    ///
    /// # Errors
    /// The service's, or that it takes too long.
    pub async fn mutable(&self, id: &str) -> Result<LoadBalancer> {
        let service = self.cloud.load_balancer()?;
        self.until("the load balancer is ACTIVE", || async {
            let balancer = service.load_balancer(id).await?;
            ensure!(balancer.provisioning_status != "ERROR", "the load balancer is in ERROR");
            Ok((!balancer.is_immutable()).then_some(balancer))
        })
        .await
    }

    /// Removes everything whose name, tag or description begins with this site's prefix.
    async fn clean(&self) -> Result<()> {
        self.clean_load_balancers().await?;
        self.clean_servers().await?;
        self.clean_volumes().await?;
        self.clean_networks().await?;
        for group in self.cloud.network()?.security_groups(&Filter::default()).await? {
            if self.made(&group.name) {
                self.cloud.network()?.delete(Kind::SecurityGroup, &group.id).await?;
            }
        }
        for image in self.cloud.image()?.images(&image::Filter::default()).await? {
            if self.made(&image.name) {
                self.cloud.image()?.delete(&image.id).await?;
            }
        }
        for credential in self.cloud.identity().application_credentials().await? {
            if self.made(&credential.name) {
                self.cloud.identity().delete_application_credential(&credential.id).await?;
            }
        }
        Ok(())
    }

    fn made(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('-'))
    }

    async fn clean_load_balancers(&self) -> Result<()> {
        let service = self.cloud.load_balancer()?;
        for balancer in service.load_balancers(&load_balancer::Filter::default()).await? {
            if !self.made(&balancer.name) {
                continue;
            }
            if balancer.provisioning_status != "PENDING_DELETE" {
                self.mutable(&balancer.id).await?;
                service.delete_load_balancer(&balancer.id).await?;
            }
            self.until("the load balancer is gone", || async {
                deleted(service.load_balancer(&balancer.id).await)
            })
            .await?;
        }
        Ok(())
    }

    async fn clean_servers(&self) -> Result<()> {
        let compute = self.cloud.compute()?;
        let filter = ServerFilter { name_prefix: Some(self.name("")), ..ServerFilter::default() };
        for server in compute.servers(&filter).await? {
            compute.delete_server(&server.id).await?;
            self.server_gone(&server.id).await?;
        }
        for group in compute.server_groups().await? {
            if self.made(&group.name) {
                compute.delete_server_group(&group.id).await?;
            }
        }
        for pair in compute.keypairs().await? {
            if self.made(&pair.name) {
                compute.delete_keypair(&pair.name).await?;
            }
        }
        Ok(())
    }

    async fn clean_volumes(&self) -> Result<()> {
        let storage = self.cloud.block_storage()?;
        let all = block_storage::Filter::default();
        for snapshot in storage.snapshots(&all).await? {
            if self.made(&snapshot.name) {
                // What is being removed already refuses it.
                if snapshot.status != "deleting" {
                    storage.delete_snapshot(&snapshot.id).await?;
                }
                self.until("the snapshot is gone", || async {
                    let left = storage.snapshots(&all).await?;
                    Ok(left.iter().all(|other| other.id != snapshot.id).then_some(()))
                })
                .await?;
            }
        }
        for volume in storage.volumes(&all).await? {
            if self.made(&volume.name) {
                if volume.status != "deleting" {
                    storage.delete_volume(&volume.id).await?;
                }
                self.until("the volume is gone", || async { gone(storage.volume(&volume.id).await) }).await?;
            }
        }
        Ok(())
    }

    async fn clean_networks(&self) -> Result<()> {
        let neutron = self.cloud.network()?;
        for address in neutron.floating_ips(&Filter::default()).await? {
            if self.made(&address.description) {
                neutron.delete(Kind::FloatingIp, &address.id).await?;
            }
        }
        for router in neutron.routers(&Filter::default()).await? {
            if !self.made(&router.name) {
                continue;
            }
            let filter = Filter { device_id: Some(router.id.clone()), ..Filter::default() };
            for port in neutron.ports(&filter).await? {
                if let Some(address) =
                    port.fixed_ips.first().filter(|_| port.device_owner.contains("interface"))
                {
                    neutron.remove_router_interface(&router.id, &address.subnet_id).await?;
                }
            }
            neutron.delete(Kind::Router, &router.id).await?;
        }
        for network in neutron.networks(&Filter::default()).await? {
            if !self.made(&network.name) {
                continue;
            }
            let filter = Filter { network_id: Some(network.id.clone()), ..Filter::default() };
            for port in neutron.ports(&filter).await? {
                neutron.delete(Kind::Port, &port.id).await?;
            }
            neutron.delete(Kind::Network, &network.id).await?;
        }
        Ok(())
    }
}

/// Something, until it does not exist any more.
fn gone<T>(result: Result<T, Error>) -> Result<Option<()>> {
    match result {
        Err(error) if error.is_not_found() => Ok(Some(())),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(None),
    }
}

/// Octavia shows what was removed for a while.
fn deleted(result: Result<LoadBalancer, Error>) -> Result<Option<()>> {
    match result {
        Ok(balancer) if balancer.provisioning_status == "DELETED" => Ok(Some(())),
        other => gone(other),
    }
}

/// The error that a call must end with.
///
/// # Errors
/// The call succeeded.
pub(super) fn refused<T>(result: Result<T, Error>, what: &str) -> Result<Error> {
    match result {
        Ok(_) => bail!("{what} should have been refused"),
        Err(error) => Ok(error),
    }
}

/// Checks that a call was refused with this status.
///
/// # Errors
/// It was not, or with another.
pub(super) fn refused_with<T>(status: u16, result: Result<T, Error>, what: &str) -> Result<Error> {
    let error = refused(result, what)?;
    ensure!(error.api().map(|api| api.status) == Some(status), "{what}: {status} was expected, but {error}");
    Ok(error)
}

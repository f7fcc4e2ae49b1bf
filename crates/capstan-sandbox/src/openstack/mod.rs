//! The simulated OpenStack cloud.

mod body;
mod caller;
pub mod compute;
mod error;
pub mod identity;
pub mod image;
pub mod load_balancer;
mod microversion;
pub mod network;
mod policy;
mod query;
mod quotas;
mod resource;
mod rest;
mod table;
mod time;
pub mod volume;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};

pub use self::error::ApiError;
pub use self::resource::Resource;
pub use self::table::{Identified, Table};

use self::compute::Nova;
use self::error::Shape;
use self::identity::{Identity, Login, Token};
use self::image::Glance;
use self::load_balancer::Octavia;
use self::network::{AllocationPool, Network, NetworkCreate, Neutron, Subnet, SubnetCreate};
use self::quotas::Quotas;
use self::volume::Cinder;
use crate::World;
use crate::clock::Clock;
use crate::config::{Config, Timings};
use crate::faults::Faults;
use crate::ids::Ids;

/// How long something that a fault holds up waits until it looks whether the fault is still there.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// The availability zones.
pub const ZONES: [&str; 3] = ["az1", "az2", "az3"];

/// The state of the cloud. In process, the functions of [`Resource`] and the methods here do what the HTTP routes do.
pub struct OpenStack {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) faults: Faults,
    token_lifetime: std::time::Duration,
    pub(crate) identity: Identity,
    timings: Timings,
    pub(crate) compute: Nova,
    pub(crate) image: Glance,
    pub(crate) load_balancer: Octavia,
    /// Id of the one flavor of load balancers.
    load_balancer_flavor: String,
    pub(crate) network: Neutron,
    pub(crate) volume: Cinder,
    pub(crate) quotas: Quotas,
}

impl OpenStack {
    pub(crate) fn new(config: &Config, clock: Clock, ids: Ids, faults: Faults) -> Self {
        let identity = Identity::new(&ids);
        let (compute, volume) = (Nova::new(&ids), Cinder::new(&ids));
        let load_balancer_flavor = ids.uuid();
        let mut cloud = Self {
            clock,
            ids,
            faults,
            token_lifetime: config.token_lifetime,
            identity,
            timings: config.timings.clone(),
            compute,
            image: Glance::default(),
            load_balancer: Octavia::default(),
            load_balancer_flavor,
            network: Neutron::default(),
            volume,
            quotas: Quotas::default(),
        };
        if let Err(error) = cloud.seed() {
            // Constant input that the tests cover; a sandbox without it is still of use to whoever reads this.
            tracing::error!(%error, "the seed data is not complete");
        }
        cloud
    }

    fn seed(&mut self) -> Result<(), ApiError> {
        let admin = self.log_in(&Login::password("admin", "admin-password", "admin"))?;
        self.seed_network(&admin)?;
        self.seed_images(&admin);
        self.expire_tokens();
        Ok(())
    }

    /// The external network, and the default security group of the demo project.
    fn seed_network(&mut self, admin: &Token) -> Result<(), ApiError> {
        let request =
            NetworkCreate { name: "public".to_owned(), external: Some(true), ..NetworkCreate::default() };
        let public = Network::create(self, admin, request)?;
        let pool = AllocationPool {
            start: std::net::Ipv4Addr::new(198, 18, 0, 10).into(),
            end: std::net::Ipv4Addr::new(198, 18, 255, 250).into(),
        };
        let request = SubnetCreate {
            network_id: public.id,
            name: "public-v4".to_owned(),
            cidr: "198.18.0.0/16".to_owned(),
            ip_version: 4,
            enable_dhcp: Some(false),
            allocation_pools: Some(vec![pool]),
            ..SubnetCreate::default()
        };
        Subnet::create(self, admin, request)?;
        if let Some(demo) = self.identity.project_named("demo").map(|project| project.id.clone()) {
            self.default_group(&demo);
        }
        Ok(())
    }

    /// Node images of some Kubernetes releases, and a plain one.
    fn seed_images(&mut self, admin: &Token) {
        let common = [
            ("architecture", "x86_64"),
            ("hw_disk_bus", "scsi"),
            ("hw_scsi_model", "virtio-scsi"),
            ("image_original_user", "ubuntu"),
            ("os_distro", "ubuntu"),
            ("os_version", "24.04"),
        ];
        for version in ["1.35.5", "1.36.1", "1.36.2", "1.36.3"] {
            let name = format!("ubuntu-capi-image-v{version}");
            self.seed_image(
                &admin.project_id,
                &name,
                &[&common[..], &[("kubernetes_version", version)]].concat(),
            );
        }
        self.seed_image(&admin.project_id, "Ubuntu 24.04", &common);
    }

    /// Sets a limit of a project: `("demo", "compute", "cores", 4)`; -1 is no limit. False if there is no such project.
    pub fn set_quota(&mut self, project: &str, service: &str, resource: &str, limit: i64) -> bool {
        let Some(id) = self.identity.project_named(project).map(|project| project.id.clone()) else {
            return false;
        };
        self.quotas.set(&id, service, resource, limit);
        true
    }

    /// A limit of a project as it is now.
    fn limit(&self, project_id: &str, service: &str, resource: &str) -> i64 {
        let set = || self.quotas.limit(project_id, service, resource);
        self.faults.limit(service, resource).unwrap_or_else(set)
    }

    /// Makes another one beside what was made, if a fault asks for that.
    fn twin<T>(&mut self, resource: &str, name: &str, make: impl FnOnce(&mut Self) -> Result<T, ApiError>) {
        if self.faults.has_twin(resource, name)
            && let Err(error) = make(self)
        {
            // Names or addresses that are unique have no twins.
            tracing::debug!(resource, name, %error, "no twin");
        }
    }

    /// Refuses zones that the cloud doesn't have.
    fn check_zones(&self, zones: &[String]) -> Result<(), ApiError> {
        match zones.iter().find(|zone| !ZONES.contains(&zone.as_str())) {
            Some(zone) => Err(ApiError::new(
                404,
                "AvailabilityZoneNotFound",
                format!("AvailabilityZone {zone} could not be found."),
            )),
            None => Ok(()),
        }
    }
}

/// Routes of all services; paths are whole.
pub(crate) fn router(world: &World) -> Router<World> {
    Router::new()
        .merge(identity::router())
        .merge(compute::router())
        .merge(network::router())
        .merge(image::router())
        .merge(volume::router())
        .merge(load_balancer::router())
        // The size was checked on arrival.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(world.clone(), render_errors))
}

/// A refusal in the shape of a service.
pub(crate) fn refusal(service: &str, error: &ApiError) -> Response {
    Shape::of_service(service).render(error)
}

/// Words a refusal in the shape of the service that was asked.
async fn render_errors(
    axum::extract::State(world): axum::extract::State<World>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let service = path.split('/').next().unwrap_or_default();
    let shape = Shape::of_service(service);
    let response = match shape.check_form(service, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let Some(error) = response.extensions().get::<ApiError>() else { return response };
    let mut rendered = shape.render(error);
    // Carries over what handlers and layers below have set, e.g. the microversion of the answer.
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    let challenge = format!("Keystone uri=\"{}/identity/v3\"", world.base_url());
    if let (401, Ok(challenge)) = (error.status, HeaderValue::from_str(&challenge)) {
        rendered.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    rendered
}

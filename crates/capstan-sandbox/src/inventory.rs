//! What a project has in the cloud: one value, to be compared before and after.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::openstack::{Identified, OpenStack, Resource, load_balancer, network};

/// Every OpenStack resource of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Inventory {
    /// The resources, in order of kind, name and id.
    pub resources: BTreeSet<Entry>,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Entry {
    /// `server`, `network`, `loadbalancer`, `application_credential`, ...
    pub kind: String,
    /// Name; of a floating IP its address.
    pub name: String,
    /// Id.
    pub id: String,
}

impl Inventory {
    /// Those of one kind.
    pub fn of_kind<'inventory>(
        &'inventory self,
        kind: &'inventory str,
    ) -> impl Iterator<Item = &'inventory Entry> {
        self.resources.iter().filter(move |entry| entry.kind == kind)
    }

    fn add(&mut self, kind: &str, id: &str, name: &str) {
        self.resources.insert(Entry { kind: kind.to_owned(), name: name.to_owned(), id: id.to_owned() });
    }

    fn add_all<R: Resource>(&mut self, cloud: &OpenStack, project_id: &str) {
        for resource in R::table(cloud).iter().filter(|resource| resource.project_id() == project_id) {
            self.add(R::ONE, resource.id(), resource.name());
        }
    }

    /// What the project of this name has.
    pub(crate) fn of(cloud: &OpenStack, project: &str) -> Self {
        let mut inventory = Self::default();
        let Some(project) = cloud.identity.project_named(project).map(|project| project.id.clone()) else {
            return inventory;
        };
        inventory.add_all::<network::Network>(cloud, &project);
        inventory.add_all::<network::Subnet>(cloud, &project);
        inventory.add_all::<network::Port>(cloud, &project);
        inventory.add_all::<network::Router>(cloud, &project);
        inventory.add_all::<network::FloatingIp>(cloud, &project);
        inventory.add_all::<network::SecurityGroup>(cloud, &project);
        inventory.add_all::<network::SecurityGroupRule>(cloud, &project);
        inventory.add_all::<load_balancer::LoadBalancer>(cloud, &project);
        inventory.add_all::<load_balancer::Listener>(cloud, &project);
        inventory.add_all::<load_balancer::Pool>(cloud, &project);
        inventory.add_all::<load_balancer::HealthMonitor>(cloud, &project);
        for member in cloud.load_balancer.members.iter().filter(|each| each.standard.project_id == project) {
            inventory.add("member", &member.id, &member.name);
        }
        for server in cloud.compute.servers.iter().filter(|each| each.project_id == project) {
            inventory.add("server", &server.id, &server.name);
        }
        for group in cloud.compute.groups.iter().filter(|each| each.project_id == project) {
            inventory.add("server_group", &group.id, &group.name);
        }
        for volume in cloud.volume.volumes.iter().filter(|each| each.project_id == project) {
            inventory.add("volume", &volume.id, volume.name.as_deref().unwrap_or_default());
        }
        for snapshot in cloud.volume.snapshots.iter().filter(|each| each.project_id == project) {
            inventory.add("snapshot", &snapshot.id, snapshot.name.as_deref().unwrap_or_default());
        }
        for image in cloud.image.images.iter().filter(|each| each.owner == project) {
            inventory.add("image", &image.id, image.name.as_deref().unwrap_or_default());
        }
        for credential in cloud.identity.credentials.iter().filter(|each| each.project_id == project) {
            inventory.add("application_credential", &credential.id, &credential.name);
        }
        let users = cloud.identity.users.iter().filter(|user| user.default_project_id == project);
        let users: Vec<&str> = users.map(|user| user.id.as_str()).collect();
        for keypair in cloud.compute.keypairs.iter().filter(|each| users.contains(&each.user_id.as_str())) {
            inventory.add("keypair", keypair.id(), &keypair.name);
        }
        inventory
    }

    /// What is here and not there.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self { resources: self.resources.difference(&other.resources).cloned().collect() }
    }
}

impl std::fmt::Display for Inventory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Entry { kind, name, id } in &self.resources {
            writeln!(formatter, "{kind} {name} {id}")?;
        }
        Ok(())
    }
}

//! A reader of the OpenStack project that shares nothing with Capstan's own client, so that it can bear witness.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Agent, RequestBuilder};

/// One resource: what it is, how it is called, its identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Resource {
    kind: String,
    name: String,
    id: String,
}

impl Resource {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is called after a cluster.
    pub(super) fn is_of(&self, cluster: &str) -> bool {
        self.name.contains(cluster)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.kind, self.name, self.id)
    }
}

/// Everything that the project holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inventory(BTreeSet<Resource>);

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|resource| writeln!(f, "{resource}"))
    }
}

impl Inventory {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many of each kind there are, as one line.
    pub(super) fn counts(&self) -> String {
        let mut counts = BTreeMap::new();
        for resource in &self.0 {
            *counts.entry(resource.kind.as_str()).or_insert(0_usize) += 1;
        }
        counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
    }

    /// What differs from an earlier look: `+` came, `-` went.
    pub(super) fn since(&self, before: &Self) -> Vec<String> {
        let came = self.0.difference(&before.0).map(|resource| format!("+ {resource}"));
        came.chain(before.0.difference(&self.0).map(|resource| format!("- {resource}"))).collect()
    }

    /// What came after an earlier look.
    pub(super) fn without(&self, before: &Self) -> Self {
        Self(self.0.difference(&before.0).cloned().collect())
    }

    /// Whether everything of an earlier look is still there.
    pub(super) fn lacks_nothing_of(&self, before: &Self) -> bool {
        self.0.is_superset(&before.0)
    }

    pub(super) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.0.iter().filter(move |resource| resource.kind == kind)
    }
}

/// A logged-in user of one project.
pub(super) struct Cloud {
    agent: Agent,
    token: String,
    user: String,
    project: String,
    endpoints: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Clouds {
    clouds: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    auth_url: String,
    username: String,
    password: String,
    project_name: String,
    user_domain_id: String,
    project_domain_id: String,
}

impl Cloud {
    /// Logs in as an entry of a `clouds.yaml` with a password.
    pub(super) fn connect(file: &Path, name: &str) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let clouds: Clouds =
            serde_saphyr::from_str(&text).with_context(|| format!("read {}", file.display()))?;
        let auth = &clouds
            .clouds
            .get(name)
            .with_context(|| format!("no cloud `{name}` in {}", file.display()))?
            .auth;
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": auth.username, "password": auth.password, "domain": {"id": auth.user_domain_id}}}},
            "scope": {"project": {"name": auth.project_name, "domain": {"id": auth.project_domain_id}}}}});
        let mut response = agent.post(format!("{}/auth/tokens", auth.auth_url)).send_json(&body)?;
        if !response.status().is_success() {
            bail!("login as `{name}`: {}", response.status());
        }
        let header = response.headers().get("x-subject-token").context("the answer has no token")?;
        let token = header.to_str()?.to_owned();
        let answer: Value = response.body_mut().read_json()?;
        let answer = &answer["token"];
        let mut endpoints = BTreeMap::from([("identity".to_owned(), auth.auth_url.clone())]);
        for service in items(&answer["catalog"]).iter().filter(|service| service["type"] != "identity") {
            for endpoint in items(&service["endpoints"]).iter().filter(|e| e["interface"] == "public") {
                endpoints.insert(
                    text_of(service, "type"),
                    text_of(endpoint, "url").trim_end_matches('/').to_owned(),
                );
            }
        }
        let (user, project) = (text_of(&answer["user"], "id"), text_of(&answer["project"], "id"));
        Ok(Self { agent, token, user, project, endpoints })
    }

    /// The id of the user.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The id of the project.
    pub(super) fn project(&self) -> &str {
        &self.project
    }

    fn url(&self, service: &str, path: &str) -> Result<String> {
        let endpoint =
            self.endpoints.get(service).with_context(|| format!("no `{service}` in the catalog"))?;
        Ok(format!("{endpoint}{path}"))
    }

    fn head<B>(&self, request: RequestBuilder<B>, service: &str) -> RequestBuilder<B> {
        let request = request.header("x-auth-token", &self.token);
        match service {
            "compute" => request.header("openstack-api-version", "compute 2.67"),
            _ => request,
        }
    }

    pub(super) fn get(&self, service: &str, path: &str) -> Result<Value> {
        let url = self.url(service, path)?;
        read(self.head(self.agent.get(&url), service).call()?, &url)
    }

    pub(super) fn put(&self, service: &str, path: &str, body: &Value) -> Result<Value> {
        let url = self.url(service, path)?;
        read(self.head(self.agent.put(&url), service).send_json(body)?, &url)
    }

    pub(super) fn post(&self, service: &str, path: &str, body: &Value) -> Result<Value> {
        let url = self.url(service, path)?;
        read(self.head(self.agent.post(&url), service).send_json(body)?, &url)
    }

    pub(super) fn delete(&self, service: &str, path: &str) -> Result<()> {
        let url = self.url(service, path)?;
        read(self.head(self.agent.delete(&url), service).call()?, &url).map(drop)
    }

    /// Every resource of the project, and the application credentials of the user.
    pub(super) fn inventory(&self) -> Result<Inventory> {
        let (project, user) = (&self.project, &self.user);
        let owned = |path: &str| format!("/v2.0/{path}?project_id={project}");
        let lists = [
            ("servers", "compute", "/servers/detail".to_owned(), "servers"),
            ("server groups", "compute", "/os-server-groups".into(), "server_groups"),
            ("volumes", "block-storage", "/volumes/detail".into(), "volumes"),
            ("snapshots", "block-storage", "/snapshots".into(), "snapshots"),
            ("images", "image", format!("/v2/images?owner={project}&limit=1000"), "images"),
            ("networks", "network", owned("networks"), "networks"),
            ("subnets", "network", owned("subnets"), "subnets"),
            ("routers", "network", owned("routers"), "routers"),
            ("ports", "network", owned("ports"), "ports"),
            ("trunks", "network", owned("trunks"), "trunks"),
            ("floating IPs", "network", owned("floatingips"), "floatingips"),
            ("security groups", "network", owned("security-groups"), "security_groups"),
            ("security group rules", "network", owned("security-group-rules"), "security_group_rules"),
            ("load balancers", "load-balancer", "/v2/lbaas/loadbalancers".into(), "loadbalancers"),
            ("listeners", "load-balancer", "/v2/lbaas/listeners".into(), "listeners"),
            ("pools", "load-balancer", "/v2/lbaas/pools".into(), "pools"),
            (
                "application credentials",
                "identity",
                format!("/users/{user}/application_credentials"),
                "application_credentials",
            ),
        ];
        let mut all = BTreeSet::new();
        for (kind, service, path, key) in lists {
            // An extension that this cloud has not: nothing of the kind can exist.
            if kind == "trunks" && !self.has_extension("trunk")? {
                continue;
            }
            let list = self.get(service, &path)?;
            let Value::Array(list) = &list[key] else { bail!("{service}{path}: no `{key}` in the answer") };
            for item in list {
                let name = if kind == "floating IPs" { "floating_ip_address" } else { "name" };
                all.insert(Resource {
                    kind: kind.into(),
                    name: text_of(item, name),
                    id: text_of(item, "id"),
                });
            }
        }
        for item in items(&self.get("compute", "/os-keypairs")?["keypairs"]) {
            let name = text_of(&item["keypair"], "name");
            all.insert(Resource { kind: "keypairs".into(), id: name.clone(), name });
        }
        Ok(Inventory(all))
    }

    fn has_extension(&self, alias: &str) -> Result<bool> {
        let extensions = self.get("network", "/v2.0/extensions")?;
        Ok(items(&extensions["extensions"]).iter().any(|extension| extension["alias"] == alias))
    }

    /// The subnet of a cluster, by the name that its provider gives the network.
    pub(super) fn subnet_of(&self, network: &str) -> Result<String> {
        let answer = self.get("network", &format!("/v2.0/networks?name={network}"))?;
        let subnet = &answer["networks"][0]["subnets"][0];
        subnet
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("network `{network}` with a subnet is not there"))
    }

    /// A load balancer as one that a Service has left behind, and tells its identifier when it is ACTIVE.
    pub(super) fn orphan_load_balancer(&self, name: &str, description: &str, subnet: &str) -> Result<String> {
        let body =
            json!({"loadbalancer": {"name": name, "description": description, "vip_subnet_id": subnet}});
        let made = self.post("load-balancer", "/v2/lbaas/loadbalancers", &body)?;
        let id = text_of(&made["loadbalancer"], "id");
        super::bed::wait("orphaned load balancer ACTIVE", Duration::from_secs(60), || {
            let now = self.get("load-balancer", &format!("/v2/lbaas/loadbalancers/{id}"))?;
            Ok(now["loadbalancer"]["provisioning_status"] == "ACTIVE")
        })?;
        Ok(id)
    }

    /// A volume as one that the Cinder CSI driver has left behind.
    pub(super) fn orphan_volume(&self, name: &str, cluster: &str) -> Result<()> {
        let metadata = json!({"cinder.csi.openstack.org/cluster": cluster});
        let made = self.post(
            "block-storage",
            "/volumes",
            &json!({"volume": {"name": name, "size": 1, "metadata": metadata}}),
        )?;
        let id = text_of(&made["volume"], "id");
        super::bed::wait("orphaned volume available", Duration::from_secs(60), || {
            Ok(self.get("block-storage", &format!("/volumes/{id}"))?["volume"]["status"] == "available")
        })
        .map(drop)
    }
}

fn read(mut response: Response<ureq::Body>, url: &str) -> Result<Value> {
    let status = response.status();
    let text = response.body_mut().read_to_string()?;
    if !status.is_success() {
        bail!("{url}: {status}: {text}");
    }
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("{url}: read the answer"))
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// A text of an object, empty when it is not there.
pub(super) fn text_of(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(resources: &[(&'static str, &str)]) -> Inventory {
        let one = |(kind, name): &(&'static str, &str)| Resource {
            kind: (*kind).into(),
            name: (*name).into(),
            id: format!("id-{name}"),
        };
        Inventory(resources.iter().map(one).collect())
    }

    #[test]
    fn differences_name_what_came_and_what_went() {
        let before = inventory(&[("servers", "old"), ("networks", "ext")]);
        let after = inventory(&[("servers", "new"), ("networks", "ext")]);
        assert_eq!(after.since(&before), ["+ servers new (id-new)", "- servers old (id-old)"]);
        assert!(before.since(&before).is_empty());
        assert_eq!(after.counts(), "1 networks, 1 servers");
        assert_eq!(after.without(&before), inventory(&[("servers", "new")]));
        assert!(!after.lacks_nothing_of(&before) && after.lacks_nothing_of(&after.without(&before)));
        assert_eq!(after.of_kind("servers").filter(|resource| resource.is_of("new")).count(), 1);
    }
}

//! The less usual ways to have a cluster, in one: an image that Capstan uploads, a diskless flavor with a root volume,
//! zones, a network that is there already. And what users meet with it: a short quota, a server that Nova cannot place,
//! a credential that somebody has revoked.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::capstan::Capstan;
use super::cloud::{Cloud, text_of};
use super::fleet::{Group, OLD, SMALL, Shape};
use super::{Scene, fleet, look};
use crate::run::output;

const NAME: &str = "variant";
const DISKLESS: &str = "SCS-2V-4";
/// The zone that the test bed has beside Nova's own.
const ZONE: &str = "az2";
/// Existing network, subnet and router: the user's, not the fleet's.
const EXISTING: &str = "users-own";
/// A flavor that no hypervisor has room for.
const HUGE: &str = "no-host-has-room";

pub(super) fn run(scene: &Scene) -> Result<()> {
    let capstan = scene.capstan();
    fleet::write_fleet(capstan.fleet(), &scene.bed)?;
    capstan.expect(0, &["up", "--yes"])?;
    let before = scene.cloud.inventory()?;
    let network = Existing::make(&scene.cloud)?;
    let sum = write_image(&capstan.fleet().join("node.raw"))?;
    let document = |groups: &str| document(&sum, groups);
    let one = group("blue", SMALL);

    fleet::write_document(capstan.fleet(), NAME, &document(&one))?;
    let ended = capstan.expect(0, &["cluster", "create", NAME, "--yes"])?;
    println!("created in {:.1} s, the upload of its image included", ended.time.as_secs_f64());
    insist(scene, &capstan)?;

    let admin = Cloud::connect(&scene.bed.clouds(), "admin")?;
    short_quota(scene, &admin, &capstan)?;
    fleet::write_document(capstan.fleet(), NAME, &document(&one))?;
    no_valid_host(&admin, &capstan, &document(&format!("{one}, {}", group("red", HUGE))))?;
    fleet::write_document(capstan.fleet(), NAME, &document(&one))?;
    capstan.expect(0, &["cluster", "apply", NAME, "--yes"])?;
    insist(scene, &capstan)?;

    revoke_credential(scene)?;
    capstan.expect(0, &["cluster", "delete", NAME, "--yes"])?;
    fleet::forget_cluster(capstan.fleet(), NAME)?;
    capstan.expect(0, &["image", "prune", "--yes"])?;
    network.remove(&scene.cloud)?;
    scene.insist_on(&before)
}

fn group(name: &str, flavor: &str) -> String {
    format!(
        "{{name: {name}, replicas: 1, flavor: {flavor}, zones: [{ZONE}], labels: {{tier: web}}, \
         taints: [{{key: only, value: web, effect: PreferNoSchedule}}]}}"
    )
}

fn document(sum: &str, groups: &str) -> String {
    // Nova places an image of another hypervisor's type nowhere, and the test bed's hypervisor is a fake one.
    format!(
        "apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {{name: {NAME}}}\nspec:\n  \
         kubernetes: {{version: {OLD}}}\n  \
         image: {{name: \"uploaded-{{version}}\", source: node.raw, sha256: {sum}, format: raw, properties: {{hypervisor_type: fake}}}}\n  \
         network: {{existing: {{network: {EXISTING}, router: {EXISTING}}}}}\n  \
         controlPlane: {{flavor: {DISKLESS}, zones: [nova], antiAffinity: none, rootVolume: {{sizeGiB: 12}}, metadata: {{team: infra}}}}\n  \
         nodeGroups: [{groups}]\n"
    )
}

/// A disk as the test bed's images are: its content does not matter, the release is in the image's name.
fn write_image(file: &Path) -> Result<String> {
    std::fs::write(file, vec![0; 1 << 20]).with_context(|| format!("write {}", file.display()))?;
    let sum = output(Command::new("sha256sum").arg(file))?;
    sum.split_whitespace().next().map(str::to_owned).context("`sha256sum` printed nothing")
}

/// A network with a subnet and a router to the outside, made by its user.
struct Existing {
    network: String,
    subnet: String,
    router: String,
}

impl Existing {
    fn make(cloud: &Cloud) -> Result<Self> {
        let make = |path: &str, kind: &str, body: Value| -> Result<String> {
            let made = cloud.post("network", &format!("/v2.0/{path}"), &json!({ kind: body }))?;
            Ok(text_of(&made[kind], "id"))
        };
        let external = cloud.get("network", "/v2.0/networks?name=ext")?;
        let external = &external["networks"][0]["id"];
        let network = make("networks", "network", json!({"name": EXISTING}))?;
        let subnet =
            json!({"name": EXISTING, "network_id": network, "ip_version": 4, "cidr": "10.11.0.0/24"});
        let subnet = make("subnets", "subnet", subnet)?;
        let gateway = json!({"name": EXISTING, "external_gateway_info": {"network_id": external}});
        let router = make("routers", "router", gateway)?;
        cloud.put(
            "network",
            &format!("/v2.0/routers/{router}/add_router_interface"),
            &json!({"subnet_id": subnet}),
        )?;
        Ok(Self { network, subnet, router })
    }

    fn remove(&self, cloud: &Cloud) -> Result<()> {
        let Self { network, subnet, router } = self;
        let interface = format!("/v2.0/routers/{router}/remove_router_interface");
        cloud.put("network", &interface, &json!({"subnet_id": subnet}))?;
        cloud.delete("network", &format!("/v2.0/routers/{router}"))?;
        cloud.delete("network", &format!("/v2.0/networks/{network}"))
    }
}

fn shape() -> Shape {
    let groups = vec![Group { name: "blue", replicas: 1, flavor: SMALL }];
    Shape { name: NAME, version: OLD, control_planes: 1, groups, node_cidr: "10.11.0.0/24" }
}

/// The cluster is Available, and everything unusual in its document is to be seen in Nova and Kubernetes.
fn insist(scene: &Scene, capstan: &Capstan<'_>) -> Result<()> {
    let name = shape().full_name();
    let difference = look::unsettled(&scene.bed, &name, &shape())?;
    ensure!(difference.is_none(), "Capstan says it is done, but: {}", difference.unwrap_or_default());
    let servers = scene.cloud.get("compute", "/servers/detail")?;
    let server = |part: &str| -> Result<&Value> {
        let prefix = format!("{name}-{part}");
        let all = servers["servers"].as_array().context("no list of servers")?;
        all.iter().find(|server| text_of(server, "name").starts_with(&prefix)).with_context(|| prefix)
    };
    let (plane, worker) = (server("control-plane")?, server("blue")?);
    let volumes = plane["os-extended-volumes:volumes_attached"].as_array().map_or(0, Vec::len);
    ensure!(volumes == 1 && plane["image"] == "", "the control plane does not start from a volume: {plane}");
    ensure!(plane["metadata"]["team"] == "infra", "metadata: {}", plane["metadata"]);
    ensure!(worker["OS-EXT-AZ:availability_zone"] == ZONE, "zone: {}", worker["OS-EXT-AZ:availability_zone"]);
    ensure!(!plane["addresses"][EXISTING].is_null(), "not in the existing network: {}", plane["addresses"]);

    let kubeconfig = scene.folder.join("variant.kubeconfig");
    let text = capstan.expect(0, &["cluster", "kubeconfig", NAME])?.stdout;
    std::fs::write(&kubeconfig, text)?;
    let flag = format!("--kubeconfig={}", kubeconfig.display());
    let found = scene.bed.kubectl(&[
        &flag,
        "get",
        "nodes",
        "--selector=tier=web",
        "--output=jsonpath={.items[*].spec.taints[?(@.key==\"only\")].value}",
    ])?;
    ensure!(found == "web", "labels and taints of the worker's node: `{found}`");
    println!("seen with other eyes: root volume, metadata, zone {ZONE}, existing network, labels, taints");
    Ok(())
}

/// One core short of another worker: said in numbers, and nothing is made.
fn short_quota(scene: &Scene, admin: &Cloud, capstan: &Capstan<'_>) -> Result<()> {
    let path = format!("/os-quota-sets/{}", scene.cloud.project());
    let limits = scene.cloud.get("compute", "/limits")?;
    let limits = &limits["limits"]["absolute"];
    let used = limits["totalCoresUsed"].as_u64().context("no use of cores")?;
    let quota = |cores: &Value| admin.put("compute", &path, &json!({"quota_set": {"cores": cores}}));
    let before = scene.cloud.inventory()?;
    quota(&json!(used + 1))?;
    let scaled = capstan.run(&["cluster", "scale", NAME, "blue=2"]);
    quota(&limits["maxTotalCores"])?;
    let scaled = scaled?;
    scaled.insist(3, &["cluster", "scale"])?;
    ensure!(scaled.stderr.contains("cores is short"), "the short quota is not named:\n{}", scaled.stderr);
    scene.insist_on(&before)
}

/// A server that no host can take: Nova's words reach the user, and the run ends blocked.
fn no_valid_host(admin: &Cloud, capstan: &Capstan<'_>, document: &str) -> Result<()> {
    let flavor = json!({"flavor": {"name": HUGE, "vcpus": 2, "ram": 900_000, "disk": 20}});
    let flavor = text_of(&admin.post("compute", "/flavors", &flavor)?["flavor"], "id");
    fleet::write_document(capstan.fleet(), NAME, document)?;
    let applied = capstan.run(&["cluster", "apply", NAME, "--yes"]);
    admin.delete("compute", &format!("/flavors/{flavor}"))?;
    let applied = applied?;
    applied.insist(3, &["cluster", "apply"])?;
    ensure!(applied.stderr.contains("No valid host"), "Nova's fault is not shown:\n{}", applied.stderr);
    println!("Nova's fault was told after {:.1} s", applied.time.as_secs_f64());
    Ok(())
}

/// Takes the cluster's own credential away.
fn revoke_credential(scene: &Scene) -> Result<()> {
    let path = format!("/users/{}/application_credentials", scene.cloud.user());
    let name = shape().full_name();
    let all = scene.cloud.get("identity", &path)?;
    let own = all["application_credentials"]
        .as_array()
        .and_then(|all| all.iter().find(|one| text_of(one, "name").contains(&name)))
        .context("the cluster has no application credential")?;
    scene.cloud.delete("identity", &format!("{path}/{}", text_of(own, "id")))?;
    println!("revoked: application credential {}", text_of(own, "name"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_yaml_with_all_that_is_unusual() {
        let groups = format!("{}, {}", group("blue", SMALL), group("red", HUGE));
        let document: Value = serde_saphyr::from_str(&document("abc", &groups)).unwrap();
        assert_eq!(document["spec"]["controlPlane"]["rootVolume"]["sizeGiB"], 12);
        assert_eq!(document["spec"]["network"]["existing"]["network"], EXISTING);
        assert_eq!(document["spec"]["nodeGroups"][1]["flavor"], HUGE);
        assert_eq!(document["spec"]["image"]["name"], "uploaded-{version}");
    }
}

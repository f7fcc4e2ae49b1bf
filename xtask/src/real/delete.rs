//! A cluster goes, although somebody has left things behind and Capstan is killed on the way.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Scene, bed, fleet, load};
use crate::run::output;

/// A Service of the kind whose load balancer Kubernetes makes, and has to remove itself.
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";

pub(super) fn run(scene: &Scene) -> Result<()> {
    let capstan = scene.capstan();
    let shape = scene.web();
    let name = shape.full_name();
    let before = load(&scene.before())?;
    if scene.bed.state.join(format!("{name}.kubeconfig")).exists() {
        leave_things_behind(scene, &name)?;
    }

    // Nobody is there to type the name, and nobody said --yes.
    capstan.expect(2, &["cluster", "delete", shape.name])?;
    let clusters = scene.bed.list("clusters.cluster.x-k8s.io", &name)?;
    ensure!(
        clusters.iter().all(|cluster| cluster["metadata"]["deletionTimestamp"].is_null()),
        "deleted all the same"
    );

    let delete = ["cluster", "delete", shape.name, "--yes"];
    let begin = Instant::now();
    capstan.kill_when(&delete, "the Cluster is going", || {
        let clusters = scene.bed.list("clusters.cluster.x-k8s.io", &name)?;
        Ok(clusters.iter().all(|cluster| !cluster["metadata"]["deletionTimestamp"].is_null()))
    })?;
    capstan.expect(0, &delete)?;
    println!("deleted in {:.1} s, one kill included", begin.elapsed().as_secs_f64());
    scene.insist_on(&before)?;
    let namespace = scene.bed.kubectl(&["get", "namespace", &name, "--ignore-not-found", "--output=name"])?;
    ensure!(namespace.is_empty(), "the namespace is still there");

    let again = capstan.expect(0, &delete)?;
    println!("the same once more: {:.1} s", again.time.as_secs_f64());
    fleet::forget_cluster(capstan.fleet(), shape.name)
}

/// A Service with its load balancer, and what users find after a cluster died: a load balancer whose Service is gone,
/// a volume whose claim is gone.
fn leave_things_behind(scene: &Scene, name: &str) -> Result<()> {
    let network = format!("k8s-clusterapi-cluster-{name}-{name}");
    let subnet = scene.cloud.subnet_of(&network)?;
    let orphan = format!("kube_service_{name}_default_orphan");
    let description = format!("Kubernetes external service default/orphan from cluster {name}");
    scene.cloud.orphan_load_balancer(&orphan, &description, &subnet)?;
    scene.cloud.orphan_volume("pvc-orphan", name)?;
    println!("left behind: load balancer {orphan}, volume pvc-orphan");

    let kubeconfig = format!("--kubeconfig={}", scene.bed.state.join(format!("{name}.kubeconfig")).display());
    let mut apply = Command::new("bash");
    let kubectl = scene.bed.inside("kubectl");
    apply.args(["-c", "printf '%s' \"$1\" | \"${@:2}\"", "apply", SERVICE]);
    apply.arg(kubectl.get_program()).args(kubectl.get_args()).args([&kubeconfig, "apply", "--filename=-"]);
    output(apply.stdin(Stdio::null())).context("make a Service")?;
    let address = "--output=jsonpath={.status.loadBalancer.ingress[0].ip}";
    let time = bed::wait("Service has a load balancer", Duration::from_secs(120), || {
        Ok(!scene.bed.kubectl(&[&kubeconfig, "get", "service", "web", address])?.is_empty())
    })?;
    println!("left alive: Service default/web with a load balancer ({:.1} s)", time.as_secs_f64());
    Ok(())
}

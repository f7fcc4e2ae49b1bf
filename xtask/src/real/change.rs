//! A living cluster changes: its document is edited, `plan` says what that means, `cluster apply` does it.

use anyhow::{Result, ensure};

use super::capstan::Capstan;
use super::fleet::{Group, LARGE, NEW, SMALL, Shape};
use super::{Scene, bed, fleet, look};

fn three(scene: &Scene) -> Shape {
    let groups = [("blue", SMALL), ("red", SMALL)];
    let groups = groups.map(|(name, flavor)| Group { name, replicas: 1, flavor }).to_vec();
    Shape { control_planes: 3, groups, ..scene.web() }
}

/// Plans, insists on what the plan says, applies, and insists on the result.
fn apply(scene: &Scene, capstan: &Capstan<'_>, shape: &Shape, says: &[&str]) -> Result<()> {
    fleet::write_cluster(capstan.fleet(), shape)?;
    let planned = capstan.expect(10, &["plan"])?;
    println!("{}", planned.stdout.trim_end());
    for word in says {
        ensure!(planned.stdout.contains(word), "the plan does not say `{word}`");
    }
    let ended = capstan.expect(0, &["cluster", "apply", shape.name, "--yes"])?;
    println!("applied in {:.1} s", ended.time.as_secs_f64());
    look::insist(&scene.bed, &scene.cloud, shape)?;
    capstan.expect(0, &["plan"]).map(drop)
}

/// A control plane grows beyond one only when its nodes have addresses: the cloud controller manager gives them.
pub(super) fn grow(scene: &Scene) -> Result<()> {
    let capstan = scene.capstan();
    let name = scene.web().full_name();
    scene.bed.install_cloud_controller(&name, &name)?;
    let nodes = scene.bed.state.join(format!("{name}.kubeconfig"));
    let kubeconfig = format!("--kubeconfig={}", nodes.display());
    let addresses = "--output=jsonpath={.items[*].status.addresses[?(@.type==\"InternalIP\")].address}";
    let time = bed::wait("nodes have addresses", std::time::Duration::from_secs(120), || {
        Ok(scene.bed.kubectl(&[&kubeconfig, "get", "nodes", addresses])?.split_whitespace().count() == 2)
    })?;
    println!("OCCM: nodes have addresses after {:.1} s", time.as_secs_f64());
    apply(scene, &capstan, &three(scene), &["red"])?;
    println!("{}", scene.bed.describe(&name, &name)?);
    Ok(())
}

pub(super) fn scale(scene: &Scene) -> Result<()> {
    let capstan = scene.capstan();
    let mut shape = three(scene);
    for replicas in [2, 1] {
        shape.groups[0].replicas = replicas;
        apply(scene, &capstan, &shape, &["blue"])?;
    }
    Ok(())
}

pub(super) fn flavor(scene: &Scene) -> Result<()> {
    let capstan = scene.capstan();
    let mut shape = three(scene);
    shape.groups[1].flavor = LARGE;
    apply(scene, &capstan, &shape, &["red", "rolls"])
}

pub(super) fn upgrade(scene: &Scene) -> Result<()> {
    let capstan = scene.capstan();
    let mut shape = three(scene);
    shape.groups[1].flavor = LARGE;
    shape.version = NEW;
    apply(scene, &capstan, &shape, &["rolls", NEW])?;
    let name = shape.full_name();
    println!("{}", scene.bed.describe(&name, &name)?);
    Ok(())
}

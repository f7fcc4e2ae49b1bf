//! What all services do with requests that are wrong.

use anyhow::{Result, ensure};
use capstan_openstack::ServiceType;
use serde_json::{Value, json};

use super::Site;
use super::site::{refused, refused_with};

/// Where each service makes something, and the root of the body; Glance's has none.
const MADE: [(ServiceType, &[&str], &str); 7] = [
    (ServiceType::Compute, &["servers"], "server"),
    (ServiceType::Compute, &["os-server-groups"], "server_group"),
    (ServiceType::Network, &["networks"], "network"),
    (ServiceType::Network, &["security-groups"], "security_group"),
    (ServiceType::Image, &["images"], ""),
    (ServiceType::BlockStorage, &["volumes"], "volume"),
    (ServiceType::LoadBalancer, &["lbaas", "loadbalancers"], "loadbalancer"),
];

fn body(root: &str, content: Value) -> Value {
    if root.is_empty() { content } else { json!({ root: content }) }
}

/// Names of more than 255 characters are refused by every service with 400 and the reason.
///
/// # Errors
/// It is not so.
pub async fn too_long_names_are_refused(site: &Site) -> Result<()> {
    // Longer by far, so that a name that was cut would still be one of this site's.
    let name = site.name(&"x".repeat(300));
    for (service, path, root) in MADE {
        let content = json!({ "name": name, "size": 1 });
        let content = if service == ServiceType::BlockStorage { content } else { json!({ "name": name }) };
        let call = site.service(service)?.post(path).json(body(root, content));
        let error = refused_with(400, call.done().await, &format!("a long name in {path:?}"))?;
        // Glance tells the field behind the name itself, where the text may have been cut.
        ensure!(service == ServiceType::Image || error.to_string().contains("name"), "{path:?}: {error}");
    }
    Ok(())
}

/// A field that a service doesn't know is refused, except by Keystone and Cinder, and named.
///
/// # Errors
/// It is not so.
pub async fn unknown_fields_are_refused(site: &Site) -> Result<()> {
    for (service, path, root) in MADE {
        // Cinder drops what it doesn't know, and every further field of an image is a property of it.
        if matches!(service, ServiceType::BlockStorage | ServiceType::Image) {
            continue;
        }
        let content = json!({ "name": site.name("odd"), "nonsense": "x" });
        let call = site.service(service)?.post(path).json(body(root, content));
        let error = refused_with(400, call.done().await, &format!("an unknown field in {path:?}"))?;
        // Nova may complain of what is missing first.
        let told = error.to_string();
        ensure!(told.contains("nonsense") || told.contains("required"), "{path:?}: {told}");
    }
    Ok(())
}

/// A body of another kind than the one wanted is refused, and the refusal can be read. Octavia may answer with 500.
///
/// # Errors
/// It is not so.
pub async fn bodies_of_the_wrong_kind_are_refused(site: &Site) -> Result<()> {
    for (service, path, root) in MADE {
        if service == ServiceType::LoadBalancer {
            continue;
        }
        let wrong = if root.is_empty() { json!({ "name": 5 }) } else { json!({ root: [] }) };
        let call = site.service(service)?.post(path).json(wrong);
        let error = refused(call.done().await, &format!("a list in {path:?}"))?;
        let api = error.api();
        ensure!(api.is_some_and(|api| api.status == 400 && !api.message.is_empty()), "{path:?}: {error:?}");
    }
    Ok(())
}

//! What the API server fills in when it stores a built-in object: the part that clients look at.

use serde_json::{Value, json};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::object::{Object, Read as _, Write as _};

/// Fills in the defaults of a built-in kind.
pub(crate) fn fill(resource: &str, object: &mut Object) {
    match resource {
        "namespaces" => {
            let name = object.name().to_owned();
            object.set_entry("metadata.labels", "kubernetes.io/metadata.name", name);
            default(object, "spec.finalizers", json!(["kubernetes"]));
            default(object, "status.phase", json!("Active"));
        }
        "secrets" => {
            default(object, "type", json!("Opaque"));
            if let Some(Value::Object(texts)) = object.unset("stringData") {
                for (key, text) in texts {
                    let bytes = STANDARD.encode(text.as_str().unwrap_or_default());
                    object.set_entry("data", &key, bytes);
                }
            }
        }
        "services" => fill_service(object),
        "persistentvolumeclaims" => {
            default(object, "spec.volumeMode", json!("Filesystem"));
            default(object, "status.phase", json!("Pending"));
        }
        "persistentvolumes" => default(object, "status.phase", json!("Available")),
        "pods" => {
            default(object, "status.phase", json!("Pending"));
            default(object, "spec.restartPolicy", json!("Always"));
        }
        "deployments.apps" | "statefulsets.apps" | "replicasets.apps" => {
            default(object, "spec.replicas", json!(1))
        }
        "storageclasses.storage.k8s.io" => {
            default(object, "reclaimPolicy", json!("Delete"));
            default(object, "volumeBindingMode", json!("Immediate"));
        }
        _ => {}
    }
}

fn default(object: &mut Object, path: &str, value: Value) {
    if object.at(path).is_null() {
        object.set(path, value);
    }
}

fn fill_service(object: &mut Object) {
    default(object, "spec.type", json!("ClusterIP"));
    default(object, "spec.sessionAffinity", json!("None"));
    let balanced = object.text("spec.type") == "LoadBalancer";
    let outside = balanced || object.text("spec.type") == "NodePort";
    for (index, port) in object.list_mut("spec.ports").iter_mut().enumerate() {
        default(port, "protocol", json!("TCP"));
        let number = port.at("port").clone();
        default(port, "targetPort", number);
        if outside {
            // The sandbox has no node ports to run out of; they only have to be in the range.
            let offset = port.int("port").unwrap_or(0) + i64::try_from(index).unwrap_or(0);
            default(port, "nodePort", json!(30000 + offset.rem_euclid(2767)));
        }
    }
    default(object, "status.loadBalancer", json!({}));
    if object.text("spec.type") != "ExternalName" && object.at("spec.clusterIP").is_null() {
        let sum: u32 =
            object.name().bytes().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let address = format!("10.96.{}.{}", (sum >> 8) & 0xff, 1 + (sum & 0xff) % 254);
        object.set("spec.clusterIP", address.clone());
        object.set("spec.clusterIPs", json!([address]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_encoded_and_namespaces_labelled() {
        let mut secret = json!({"metadata": {"name": "a"}, "stringData": {"k": "v"}});
        fill("secrets", &mut secret);
        assert_eq!(secret, json!({"metadata": {"name": "a"}, "type": "Opaque", "data": {"k": "dg=="}}));
        let mut namespace = json!({"metadata": {"name": "a"}});
        fill("namespaces", &mut namespace);
        assert_eq!(namespace.label("kubernetes.io/metadata.name"), Some("a"));
    }
}

//! The parts of kubeadm's configuration that control plane and workers share.

use serde_json::{Value, json};

/// How a node registers itself: under its host name, with its server's id, and untainted only once the OpenStack cloud
/// controller manager has seen it (`cloud-provider: external`).
///
/// cloud-init puts host name and id in; the quotes around the id are the provider's documented form
/// (cluster-api-provider-openstack, `templates/cluster-template.yaml`).
pub(super) fn node_registration(more: &[(&str, String)], taints: Option<Value>) -> Value {
    let mut arguments = vec![
        json!({ "name": "cloud-provider", "value": "external" }),
        json!({ "name": "provider-id", "value": "openstack:///'{{ instance_id }}'" }),
    ];
    arguments.extend(more.iter().map(|(name, value)| json!({ "name": name, "value": value })));
    let mut registration = json!({ "name": "{{ local_hostname }}", "kubeletExtraArgs": arguments });
    super::set(&mut registration, "taints", taints);
    registration
}

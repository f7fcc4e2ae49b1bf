//! The workload cluster's own API, reached with the kubeconfig that Cluster API keeps for it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use capstan_kube::connect::{self, ConnectError, Options, Source};
use capstan_kube::{Client, Kind};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use secrecy::SecretString;

use crate::subject::Subject;

/// A cluster whose API answers no sooner is not there for us: the caller goes on without it.
const LIMIT: Duration = Duration::from_secs(5);

/// The taint that a node has until the cloud controller manager has seen its server (k8s.io/cloud-provider).
const UNINITIALISED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// The administrator's kubeconfig, once Cluster API has made it.
#[must_use]
pub fn kubeconfig(subject: &Subject) -> Option<SecretString> {
    let secret = subject.get(&Kind::SECRET, &subject.names().kubeconfig_secret())?;
    let bytes = STANDARD.decode(secret.data["data"]["value"].as_str()?).ok()?;
    String::from_utf8(bytes).ok().map(SecretString::from)
}

/// A connection; `None` while there is no kubeconfig. Nothing is sent yet.
///
/// # Errors
/// The kubeconfig makes no sense.
pub async fn client(subject: &Subject) -> Result<Option<Client>, ConnectError> {
    let Some(kubeconfig) = kubeconfig(subject) else { return Ok(None) };
    let options = Options {
        connect_limit: LIMIT,
        call_limit: LIMIT,
        transport: subject.plane.connection().transport.clone(),
        ..Options::new(Source::Text(kubeconfig))
    };
    Ok(Some(connect::connect(&options).await?.client))
}

/// Whether nodes wait for the OpenStack cloud controller manager. A cluster that doesn't answer is said to lack nothing.
pub(crate) async fn lacks_cloud_controller(subject: &Subject) -> bool {
    let Ok(Some(client)) = client(subject).await else { return false };
    let nodes = Api::<Node>::all(client).list(&ListParams::default()).await;
    nodes.is_ok_and(|nodes| {
        let taints =
            |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        nodes.items.iter().any(|node| taints(node).iter().any(|taint| taint.key == UNINITIALISED))
    })
}

//! The critical path of a cluster, read from its objects: what had to be there before the next thing could begin.

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

use super::bed::Bed;

/// A moment on the way, in seconds since the begin.
pub(super) struct Moment {
    pub what: String,
    pub after: f64,
}

/// The moments of a creation, in order of time; what has not happened is left out.
pub(super) fn read(bed: &Bed, namespace: &str, begin: Timestamp) -> Result<Vec<Moment>> {
    let kinds = "clusters.cluster.x-k8s.io,openstackclusters,kubeadmcontrolplanes,machines,openstackmachines";
    let objects = bed.list(kinds, namespace)?;
    let mut moments = moments(&objects, begin)?;
    let created = bed.get(&["namespace", namespace])?;
    moments.extend(moment("namespace made", &created["metadata"]["creationTimestamp"], begin)?);
    moments.sort_by(|a, b| a.after.total_cmp(&b.after));
    Ok(moments)
}

fn moments(objects: &[Value], begin: Timestamp) -> Result<Vec<Moment>> {
    let mut found = Vec::new();
    let mut add = |what: &str, at: &Value| -> Result<()> {
        found.extend(moment(what, at, begin)?);
        Ok(())
    };
    for object in objects {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match object["kind"].as_str().unwrap_or_default() {
            "Cluster" => {
                add("Cluster object made", &object["metadata"]["creationTimestamp"])?;
                add("network, load balancer, security groups ready", since(object, "InfrastructureReady"))?;
                add("control plane initialised", since(object, "ControlPlaneInitialized"))?;
                add("Cluster Available", since(object, "Available"))?;
            }
            "Machine" => {
                add(&format!("{name}: Machine made"), &object["metadata"]["creationTimestamp"])?;
                add(&format!("{name}: bootstrap data ready"), since(object, "BootstrapConfigReady"))?;
                add(&format!("{name}: server ACTIVE"), since(object, "InfrastructureReady"))?;
                add(&format!("{name}: node ready"), since(object, "NodeReady"))?;
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Since when a condition is true; null when it is not.
fn since<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let condition = conditions.iter().find(|c| c["type"] == kind && c["status"] == "True");
    condition.map_or(&Value::Null, |condition| &condition["lastTransitionTime"])
}

fn moment(what: &str, at: &Value, begin: Timestamp) -> Result<Option<Moment>> {
    let Some(at) = at.as_str() else { return Ok(None) };
    let at: Timestamp = at.parse().with_context(|| format!("time `{at}` of {what}"))?;
    let after = at.duration_since(begin).as_secs_f64();
    Ok(Some(Moment { what: what.to_owned(), after }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_true_has_a_moment() {
        let cluster = json!({"kind": "Cluster", "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:02Z"},
            "status": {"conditions": [
                {"type": "InfrastructureReady", "status": "True", "lastTransitionTime": "2026-01-01T00:00:16Z"},
                {"type": "Available", "status": "False", "lastTransitionTime": "2026-01-01T00:00:03Z"}]}});
        let begin = "2026-01-01T00:00:00Z".parse().unwrap();
        let found = moments(&[cluster], begin).unwrap();
        let found: Vec<_> = found.iter().map(|m| (m.what.as_str(), m.after)).collect();
        assert_eq!(
            found,
            [("Cluster object made", 2.0), ("network, load balancer, security groups ready", 16.0)]
        );
    }

    #[test]
    fn a_broken_time_is_an_error() {
        assert!(moment("x", &json!("yesterday"), "2026-01-01T00:00:00Z".parse().unwrap()).is_err());
    }
}

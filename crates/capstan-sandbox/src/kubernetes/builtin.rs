//! The resources that every API server brings: those of a Kubernetes that an operator of clusters touches.

use std::sync::{Arc, LazyLock};

use super::registry::{Resource, Scale};

/// `group version Kind plural short-names flags`; flags: `n` namespaced, `s` status, `c` scale, `r` review (create only).
const TABLE: &str = "
- v1 Namespace namespaces ns s
- v1 Node nodes no s
- v1 Pod pods po ns
- v1 Service services svc ns
- v1 Endpoints endpoints ep n
- v1 ConfigMap configmaps cm n
- v1 Secret secrets - n
- v1 ServiceAccount serviceaccounts sa n
- v1 Event events ev n
- v1 PersistentVolumeClaim persistentvolumeclaims pvc ns
- v1 PersistentVolume persistentvolumes pv s
- v1 ResourceQuota resourcequotas quota ns
- v1 LimitRange limitranges limits n
apps v1 Deployment deployments deploy nsc
apps v1 DaemonSet daemonsets ds ns
apps v1 StatefulSet statefulsets sts nsc
apps v1 ReplicaSet replicasets rs nsc
apps v1 ControllerRevision controllerrevisions - n
autoscaling v2 HorizontalPodAutoscaler horizontalpodautoscalers hpa ns
batch v1 Job jobs - ns
batch v1 CronJob cronjobs cj ns
coordination.k8s.io v1 Lease leases - n
discovery.k8s.io v1 EndpointSlice endpointslices - n
events.k8s.io v1 Event events ev n
networking.k8s.io v1 Ingress ingresses ing ns
networking.k8s.io v1 IngressClass ingressclasses - -
networking.k8s.io v1 NetworkPolicy networkpolicies netpol n
policy v1 PodDisruptionBudget poddisruptionbudgets pdb ns
rbac.authorization.k8s.io v1 Role roles - n
rbac.authorization.k8s.io v1 RoleBinding rolebindings - n
rbac.authorization.k8s.io v1 ClusterRole clusterroles - -
rbac.authorization.k8s.io v1 ClusterRoleBinding clusterrolebindings - -
scheduling.k8s.io v1 PriorityClass priorityclasses pc -
storage.k8s.io v1 StorageClass storageclasses sc -
storage.k8s.io v1 CSIDriver csidrivers - -
storage.k8s.io v1 CSINode csinodes - -
storage.k8s.io v1 VolumeAttachment volumeattachments - s
admissionregistration.k8s.io v1 MutatingWebhookConfiguration mutatingwebhookconfigurations - -
admissionregistration.k8s.io v1 ValidatingWebhookConfiguration validatingwebhookconfigurations - -
apiextensions.k8s.io v1 CustomResourceDefinition customresourcedefinitions crd,crds s
apiregistration.k8s.io v1 APIService apiservices - s
authentication.k8s.io v1 TokenReview tokenreviews - r
authentication.k8s.io v1 SelfSubjectReview selfsubjectreviews - r
authorization.k8s.io v1 SelfSubjectAccessReview selfsubjectaccessreviews - r
authorization.k8s.io v1 SubjectAccessReview subjectaccessreviews - r
authorization.k8s.io v1 SelfSubjectRulesReview selfsubjectrulesreviews - r
";

static RESOURCES: LazyLock<Vec<Arc<Resource>>> =
    LazyLock::new(|| TABLE.lines().filter_map(parse).map(Arc::new).collect());

/// All built-in resources; shared, since every workload cluster has them.
pub(super) fn resources() -> impl Iterator<Item = Arc<Resource>> {
    RESOURCES.iter().cloned()
}

fn parse(line: &str) -> Option<Resource> {
    let mut words = line.split_whitespace();
    let group = words.next()?.trim_start_matches('-').to_owned();
    let [version, kind, plural, short, flags] =
        [words.next()?, words.next()?, words.next()?, words.next()?, words.next()?];
    let id = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    let workload = matches!(
        kind,
        "Pod" | "Service" | "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" | "Job" | "CronJob"
    );
    let scale = flags.contains('c').then(|| Scale {
        spec: "spec.replicas".to_owned(),
        status: "status.replicas".to_owned(),
        selector: None,
    });
    Some(Resource {
        id: id.into(),
        group,
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: short.split(',').filter(|s| *s != "-").map(str::to_owned).collect(),
        categories: if workload { vec!["all".to_owned()] } else { Vec::new() },
        namespaced: flags.contains('n'),
        status: flags.contains('s'),
        scale,
        schema: None,
        columns: Vec::new(),
        create_only: flags.contains('r'),
    })
}

/// Built-in resources whose `metadata.generation` counts.
pub(super) fn has_generation(id: &str) -> bool {
    matches!(
        id,
        "deployments.apps"
            | "daemonsets.apps"
            | "statefulsets.apps"
            | "replicasets.apps"
            | "ingresses.networking.k8s.io"
            | "networkpolicies.networking.k8s.io"
            | "poddisruptionbudgets.policy"
            | "customresourcedefinitions.apiextensions.k8s.io"
            | "mutatingwebhookconfigurations.admissionregistration.k8s.io"
            | "validatingwebhookconfigurations.admissionregistration.k8s.io"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let all: Vec<_> = resources().collect();
        assert_eq!(all.len(), TABLE.lines().filter(|l| !l.is_empty()).count());
        let namespace = all.iter().find(|r| r.kind == "Namespace").unwrap();
        assert!(!namespace.namespaced && namespace.status);
        assert_eq!(namespace.short_names, ["ns"]);
        let deployment = all.iter().find(|r| r.kind == "Deployment").unwrap();
        assert!(deployment.namespaced && deployment.status && deployment.scale.is_some());
    }
}

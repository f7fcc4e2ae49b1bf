//! The texts are those of a Kubernetes 1.36 API server, CAPI 1.14 and CAPO 0.14.

use kube::core::Status;
use serde_json::json;

use super::*;

fn target() -> Target {
    Target::new(&Kind::KUBEADM_CONTROL_PLANE, Some("f-c"), "f-c-control-plane")
}

fn decode(status: serde_json::Value) -> Error {
    let status: Status = serde_json::from_value(status).unwrap();
    Error::from_status(&status, &target())
}

#[test]
fn a_conflict_names_each_manager_once_with_its_fields() {
    let error = decode(
        json!({"code": 409, "reason": "Conflict", "message": "Apply failed with 3 conflicts", "details": {
        "causes": [
            {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl-edit\" using controlplane.cluster.x-k8s.io/v1beta2 at 2026-11-23T20:00:00Z", "field": ".spec.replicas"},
            {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl-edit\" using controlplane.cluster.x-k8s.io/v1beta2 at 2026-11-23T20:00:00Z", "field": ".spec.version"},
            {"reason": "FieldManagerConflict", "message": "conflict with \"manager\" with subresource \"status\" using v1", "field": ".metadata.labels"}]}}),
    );
    assert_eq!(
        error.to_string(),
        "`KubeadmControlPlane f-c/f-c-control-plane` has fields that others set: `kubectl-edit` owns `.spec.replicas`, `.spec.version`; `manager (status)` owns `.metadata.labels`"
    );
    assert!(error.hint().unwrap().contains("`kubectl-edit`, `manager (status)`"));
}

#[test]
fn a_server_that_lacks_what_every_kubernetes_has_is_none() {
    let status: Status =
        serde_json::from_value(json!({"code": 404, "reason": "NotFound", "message": "Not Found"})).unwrap();
    let error = Error::from_status(&status, &Target::new(&Kind::NAMESPACE, None, ""));
    assert!(error.hint().unwrap().contains("kubeconfig's server"), "{error}");
}

#[test]
fn a_webhook_refusal_is_split_into_fields() {
    let error = decode(json!({"code": 403, "reason": "Forbidden",
        "message": "admission webhook \"validation.kubeadmcontrolplane.controlplane.cluster.x-k8s.io\" denied the request: KubeadmControlPlane.controlplane.cluster.x-k8s.io \"x\" is invalid: [spec.replicas: Forbidden: cannot be an even number when etcd is stacked, one more, spec.version: Invalid value: \"x\": must be semver]"}));
    let Error::Refused(refused) = error else { panic!("{error:?}") };
    assert_eq!(
        refused.webhook.as_deref(),
        Some("validation.kubeadmcontrolplane.controlplane.cluster.x-k8s.io")
    );
    assert_eq!(refused.causes.len(), 2);
    assert_eq!(refused.causes[0].field, "spec.replicas");
    assert_eq!(
        refused.causes[0].message,
        "Forbidden: cannot be an even number when etcd is stacked, one more"
    );
    assert_eq!(refused.causes[1].field, "spec.version");
}

#[test]
fn validation_causes_come_from_the_details() {
    let error = decode(json!({"code": 422, "reason": "Invalid", "message": "it is invalid", "details": {
        "causes": [{"reason": "FieldValueInvalid", "message": "Invalid value: -1: should be greater than 0", "field": "spec.replicas"}]}}));
    assert_eq!(
        error.to_string(),
        "`KubeadmControlPlane f-c/f-c-control-plane` was refused: `spec.replicas`: Invalid value: -1: should be greater than 0"
    );
}

#[test]
fn an_undeclared_field_is_a_refusal_although_it_comes_as_a_500() {
    let error = decode(
        json!({"code": 500, "message": "failed to create typed patch object (f-c/x; controlplane.cluster.x-k8s.io/v1beta2, Kind=KubeadmControlPlane): .spec.foo: field not declared in schema"}),
    );
    assert_eq!(
        error.to_string(),
        "`KubeadmControlPlane f-c/f-c-control-plane` was refused: `spec.foo`: field not declared in schema"
    );
    let two = decode(
        json!({"code": 500, "message": "failed to create typed patch object (a; v1, Kind=B): errors:\n  .spec.a: field not declared in schema\n  .spec.b: field not declared in schema\n"}),
    );
    assert!(
        two.to_string()
            .ends_with("`spec.a`: field not declared in schema; `spec.b`: field not declared in schema")
    );
    assert!(!two.is_transient());
}

#[test]
fn not_found_tells_object_namespace_and_kind_apart() {
    let object = decode(
        json!({"code": 404, "reason": "NotFound", "details": {"kind": "kubeadmcontrolplanes", "name": "f-c-control-plane"}}),
    );
    assert_eq!(object.to_string(), "there is no `KubeadmControlPlane f-c/f-c-control-plane`");
    let namespace =
        decode(json!({"code": 404, "reason": "NotFound", "details": {"kind": "namespaces", "name": "f-c"}}));
    assert_eq!(namespace.to_string(), "there is no `namespace f-c`");
    let kind =
        decode(json!({"code": 404, "reason": "Failed to parse error data", "message": "404 page not found"}));
    assert_eq!(
        kind.to_string(),
        "the API server knows no `KubeadmControlPlane` in `controlplane.cluster.x-k8s.io/v1beta2`"
    );
}

#[test]
fn the_other_answers_have_a_name_each() {
    let names = [
        (json!({"code": 401, "reason": "Unauthorized"}), "unauthorized"),
        (
            json!({"code": 403, "reason": "Forbidden", "message": "secrets is forbidden: User \"x\" cannot list resource"}),
            "forbidden",
        ),
        (
            json!({"code": 403, "reason": "Forbidden", "message": "terminating", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}),
            "terminating",
        ),
        (json!({"code": 409, "reason": "AlreadyExists"}), "exists"),
        (json!({"code": 409, "reason": "Conflict", "message": "the object has been modified"}), "changed"),
        (json!({"code": 410, "reason": "Expired"}), "expired"),
        (json!({"code": 429, "reason": "TooManyRequests"}), "busy"),
        (
            json!({"code": 500, "reason": "InternalError", "message": "Internal error occurred: failed calling webhook \"x\": connect: connection refused"}),
            "webhook-down",
        ),
        (json!({"code": 500, "reason": "InternalError", "message": "etcd"}), "other"),
    ];
    for (status, name) in names {
        assert_eq!(decode(status.clone()).name(), name, "{status}");
    }
}

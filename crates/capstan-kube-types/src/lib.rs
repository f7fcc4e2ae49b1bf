//! Kubernetes types of Cluster API (v1beta2) and its OpenStack provider (v1beta1), generated from their CRDs by
//! `cargo xtask codegen`. Nothing is written by hand here, and nothing but data is in here.
//!
//! Every type has a `Default`, so that an object is made with the fields that matter and `..Default::default()`.
//! Optional fields that are `None` aren't written: Cluster API refuses empty values. What Capstan never uses
//! (ClusterClass topologies, bastions, the deprecated part of the status) isn't in the types; an object that
//! somebody else made keeps it, because Capstan writes by server-side apply and reads raw JSON.

#[rustfmt::skip]
macro_rules! generated {
    ($($module:ident),* $(,)?) => {$(
        #[allow(missing_docs, unreachable_pub, clippy::all, rustdoc::all, reason = "generated from a CRD")]
        #[rustfmt::skip]
        pub mod $module;
    )*};
}

generated!(
    cluster,
    kubeadm_config_template,
    kubeadm_control_plane,
    machine,
    machine_deployment,
    machine_health_check,
    machine_set,
    openstack_cluster,
    openstack_machine,
    openstack_machine_template,
);

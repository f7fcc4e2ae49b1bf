//! Errors of the clients as failures of a step: with hints, and with whether another try may help.

use capstan_engine::Failure;

/// An error of the OpenStack client.
pub(crate) fn openstack(error: capstan_openstack::Error) -> Failure {
    let hint = error.hint();
    // A lost answer and a conflict are settled by looking again.
    let again = error.is_transient() || error.is_uncertain() || error.is_conflict();
    Failure::of(error, again, hint)
}

/// An error of the Kubernetes client.
pub(crate) fn kubernetes(error: capstan_kube::Error) -> Failure {
    let (again, hint) = (error.is_transient(), error.hint());
    Failure::of(error, again, hint)
}

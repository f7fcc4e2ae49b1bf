//! Client of Kubernetes: server-side apply, conditions, watched mirrors, leases.

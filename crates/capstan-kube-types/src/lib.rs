//! Kubernetes types of Cluster API and its OpenStack provider, generated from their CRDs.

//! Components of a workload cluster, in order.

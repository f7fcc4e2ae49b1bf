//! Components of the management plane, in order.

//! Documents, validation, versions, names, plans and status of Capstan: pure, without clock, network or environment.

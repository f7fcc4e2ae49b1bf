//! Component, pass, driver, events and clock: the engine that observes, plans, applies and reports.

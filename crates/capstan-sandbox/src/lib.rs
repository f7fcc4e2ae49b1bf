//! A simulated OpenStack and management plane over real HTTP.

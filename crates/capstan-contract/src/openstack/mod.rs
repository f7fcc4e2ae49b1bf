//! Behaviour of the OpenStack services.

pub mod block_storage;
pub mod compute;
pub mod identity;
pub mod image;
pub mod load_balancer;
pub mod network;
pub mod requests;
mod site;

use std::pin::Pin;

pub use self::site::Site;

/// What a behaviour ends with.
pub type Outcome<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// One behaviour that Capstan relies on.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// The function's name, with its module: `network::used_network_is_not_deleted`.
    pub name: &'static str,
    /// The function.
    pub run: fn(&Site) -> Outcome<'_>,
}

macro_rules! suite {
    ($($module:ident { $($function:ident),+ $(,)? })+) => {
        /// All behaviours. Each makes what it needs and removes it again, so they can run side by side.
        pub const SUITE: &[Behaviour] = &[$($(
            Behaviour {
                name: concat!(stringify!($module), "::", stringify!($function)),
                run: |site| Box::pin($module::$function(site)),
            },
        )+)+];
    };
}

suite! {
    identity {
        token_tells_user_project_roles_and_expiry,
        credential_secret_is_shown_only_once,
        credential_names_are_unique,
        restricted_credential_makes_no_other,
        credential_brings_its_project_and_ends_with_its_removal,
        wrong_password_is_unauthorized,
        credential_has_only_its_roles,
    }
    compute {
        flavors_tell_disk_and_specs,
        server_is_found_by_prefix_and_metadata,
        diskless_flavor_refuses_to_boot_an_image,
        diskless_flavor_boots_a_volume,
        hard_anti_affinity_spreads,
        impossible_placement_ends_in_a_fault,
        server_groups_may_share_a_name,
        server_group_with_members_can_be_deleted,
        keypair_names_are_unique,
        quota_counts_what_is_used,
        too_many_servers_exceed_the_quota,
        own_port_survives_its_server,
    }
    network {
        tags_select_and_combine,
        networks_may_share_a_name,
        used_network_is_not_deleted,
        router_with_interfaces_is_not_deleted,
        router_interface_is_kept_by_a_floating_ip,
        floating_ip_survives_its_port,
        used_security_group_is_not_deleted,
        external_network_is_found,
        quota_counts_what_is_used,
        too_many_networks_exceed_the_quota,
        port_of_a_vanished_device_keeps_its_network,
        routers_and_groups_may_share_a_name,
    }
    image {
        image_is_queued_until_its_data_is_there,
        data_is_uploaded_only_once,
        image_is_found_by_name_property_and_visibility,
        images_may_share_a_name,
        properties_are_set_and_removed,
        protected_image_is_not_deleted,
        upload_of_wrong_length_leaves_no_active_image,
    }
    block_storage {
        volume_is_found_by_metadata,
        volume_in_use_is_not_deleted,
        volume_with_snapshot_is_not_deleted,
        types_zones_and_quota_are_told,
        too_large_a_volume_exceeds_the_quota,
    }
    load_balancer {
        providers_flavors_quota_and_version_are_told,
        load_balancer_is_immutable_while_pending,
        pools_are_immutable_while_pending,
        load_balancer_keeps_its_network,
        cascade_removes_children_and_port,
        floating_ip_survives_its_load_balancer,
    }
    requests {
        too_long_names_are_refused,
        unknown_fields_are_refused,
        bodies_of_the_wrong_kind_are_refused,
    }
}

#[cfg(test)]
mod tests {
    use super::SUITE;

    #[test]
    fn the_table_names_every_behaviour() {
        let table = include_str!("../../README.md");
        let missing: Vec<_> =
            SUITE.iter().filter(|one| !table.contains(&format!("| `{}` |", one.name))).collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}

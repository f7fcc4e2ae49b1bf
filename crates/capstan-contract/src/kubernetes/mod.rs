//! Behaviour of the management plane: a Kubernetes API with the CRDs and webhooks of Cluster API and CAPO.

pub mod access;
pub mod apply;
pub mod cluster_api;
pub mod custom_resource;
pub mod lease;
pub mod object;
pub mod refusals;
mod site;
pub mod watch;

use std::pin::Pin;

pub use self::site::Site;

/// What a behaviour ends with.
pub type Outcome<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// One behaviour that Capstan relies on.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// The function's name, with its module: `apply::same_object_again_changes_nothing`.
    pub name: &'static str,
    /// The function.
    pub run: fn(&Site) -> Outcome<'_>,
}

macro_rules! suite {
    ($($module:ident { $($function:ident),+ $(,)? })+) => {
        /// All behaviours. Each has a namespace of its own, so they can run side by side.
        pub const SUITE: &[Behaviour] = &[$($(
            Behaviour {
                name: concat!(stringify!($module), "::", stringify!($function)),
                run: |site| Box::pin($module::$function(site)),
            },
        )+)+];
    };
}

suite! {
    apply {
        same_object_again_changes_nothing,
        fields_of_others_survive,
        fields_no_longer_applied_are_removed,
        other_values_conflict_and_name_manager_and_fields,
        force_takes_fields_over,
        undeclared_field_is_refused_and_named,
        lists_by_keys_have_each_key_once,
        dry_run_stores_nothing,
        missing_namespace_is_named,
        unknown_kind_is_told,
    }
    object {
        stale_version_is_a_conflict,
        second_create_is_told,
        finalizer_holds_a_deleted_object,
        removed_owner_takes_its_objects_along,
        delete_is_bound_to_the_uid,
        delete_of_nothing_is_told,
        ending_namespace_takes_nothing_new,
    }
    watch {
        mirror_follows_every_change,
        list_comes_in_pages,
        watch_goes_on_from_a_version,
        watch_ends_after_a_bookmark,
        version_too_old_to_watch_from_is_told,
        versions_are_growing_numbers,
        labels_select,
    }
    cluster_api {
        even_control_planes_are_refused,
        network_of_a_cluster_is_immutable,
        allowed_addresses_are_mutable,
        machine_template_is_immutable,
        bootstrap_template_takes_extra_arguments,
        defaults_are_no_difference,
        typed_objects_are_taken_and_read_back,
    }
    lease {
        second_learns_who_holds_it,
        released_lease_is_free,
        expired_lease_is_taken_over,
        missing_namespace_is_told,
    }
    refusals {
        unreadable_bodies_are_bad_requests,
        metadata_has_its_forms,
        strict_validation_and_options_are_told,
        bad_patches_change_nothing,
        bad_selectors_and_versions_are_told,
        what_is_not_served_is_told,
        webhooks_and_schema_refuse_in_this_order,
    }
    access {
        a_role_allows_what_it_names,
        a_review_tells_why_somebody_may,
    }
    custom_resource {
        kind_is_served_once_established,
        status_is_written_by_itself,
    }
}

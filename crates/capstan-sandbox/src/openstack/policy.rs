//! Who may do what: roles, and each service's own words of refusal.
//!
//! The roles are those of the newer defaults ("secure RBAC"): a reader reads. Clouds with older defaults let readers write, too.

use axum::http::Method;

use super::error::ApiError;
use super::identity::Token;

/// Refuses what the caller's roles don't allow.
pub(super) fn check(method: &Method, path: &str, caller: &Token) -> Result<(), ApiError> {
    if caller.is_admin() {
        return Ok(());
    }
    let reads = method == Method::GET || method == Method::HEAD;
    let (service, rest) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let allowed = match service {
        "identity" => true,
        "load-balancer" if reads => caller.roles.iter().any(|role| role.name.starts_with("load-balancer_")),
        "load-balancer" => caller.has_role("load-balancer_member"),
        _ => reads || caller.has_role("member"),
    };
    if allowed { Ok(()) } else { Err(refusal(service, method, rest)) }
}

fn refusal(service: &str, method: &Method, path: &str) -> ApiError {
    // Behind the version, and behind the project in Cinder's paths.
    let skipped = if service == "volume" { 2 } else { 1 };
    let mut segments = path.split('/').skip(skipped);
    let kind = segments.next().unwrap_or_default();
    let verb = match *method {
        Method::POST => "create",
        Method::DELETE => "delete",
        _ => "update",
    };
    match service {
        "compute" => {
            ApiError::forbidden(format!("Policy doesn't allow os_compute_api:{kind}:{verb} to be performed."))
        }
        "network" => {
            let one = kind.trim_end_matches('s').replace('-', "_");
            let rule = match segments.nth(1) {
                Some(action @ ("add_router_interface" | "remove_router_interface")) => action.to_owned(),
                _ => format!("{verb}_{one}"),
            };
            ApiError::new(403, "PolicyNotAuthorized", format!("rule:{rule} is disallowed by policy"))
        }
        "image" => {
            let action = match *method {
                Method::POST => "add",
                Method::DELETE => "delete",
                Method::PUT => "upload",
                _ => "modify",
            };
            ApiError::forbidden(format!("You are not authorized to complete {action}_image action."))
        }
        "volume" => {
            let suffix = if kind == "volumes" { "" } else { "_snapshot" };
            ApiError::forbidden(format!("Policy doesn't allow volume:{verb}{suffix} to be performed."))
        }
        _ => ApiError::forbidden("Policy does not allow this request to be performed."),
    }
}

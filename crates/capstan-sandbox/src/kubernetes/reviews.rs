//! Reviews: who am I, what may I do, whose token is this.

use serde_json::{Value, json};

use super::object::{Object, Read as _, Write as _};
use super::rbac::{self, User, Wish};
use super::store::State;

/// Answers a review of a kind; the object comes back with its status.
pub(crate) fn answer(
    kind: &str,
    mut review: Object,
    user: &User,
    state: &State,
    known: impl Fn(&str) -> Option<User>,
) -> Object {
    let status = match kind {
        "SelfSubjectReview" => json!({"userInfo": user.to_json()}),
        "TokenReview" => match known(review.text("spec.token")) {
            Some(user) => json!({"authenticated": true, "user": user.to_json()}),
            None => json!({"user": {}, "error": "[invalid bearer token, token lookup failed]"}),
        },
        "SelfSubjectRulesReview" => rbac::rules(state, user, review.text("spec.namespace")),
        "SubjectAccessReview" => {
            let groups: Vec<&str> = review.items("spec.groups").iter().filter_map(Value::as_str).collect();
            let asked = User {
                name: review.text("spec.user").to_owned(),
                groups: groups.into_iter().map(str::to_owned).collect(),
            };
            access(&review, state, &asked)
        }
        _ => access(&review, state, user),
    };
    review.set("status", status);
    review
}

fn access(review: &Object, state: &State, user: &User) -> Value {
    let (resource, path) = (review.at("spec.resourceAttributes"), review.at("spec.nonResourceAttributes"));
    let text = |field: &str| resource.text(field).to_owned();
    let wish = if resource.is_object() {
        let subresource = resource.text_at("subresource").map_or(String::new(), |sub| format!("/{sub}"));
        Wish {
            verb: text("verb"),
            group: text("group"),
            resource: text("resource") + &subresource,
            namespace: text("namespace"),
            name: text("name"),
            path: String::new(),
        }
    } else {
        Wish { verb: path.text("verb").to_owned(), path: path.text("path").to_owned(), ..Wish::default() }
    };
    match wish.allowed(state, user) {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    }
}

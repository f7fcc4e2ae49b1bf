//! Reviews: who am I, what may I do, whose token is this. In the sandbox whoever has a valid token is an administrator.

use serde_json::{Value, json};

use super::object::{Object, Read as _, Write as _};

/// Who holds a token.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) groups: &'static [&'static str],
}

impl User {
    fn to_json(&self) -> Value {
        json!({"username": self.name, "groups": self.groups})
    }
}

/// Answers a review of a kind; the object comes back with its status.
pub(crate) fn answer(
    kind: &str,
    mut review: Object,
    user: &User,
    known: impl Fn(&str) -> Option<User>,
) -> Object {
    let status = match kind {
        "SelfSubjectReview" => json!({"userInfo": user.to_json()}),
        "TokenReview" => match known(review.text("spec.token")) {
            Some(user) => json!({"authenticated": true, "user": user.to_json()}),
            None => json!({"authenticated": false, "error": "invalid bearer token"}),
        },
        "SelfSubjectRulesReview" => json!({"incomplete": false,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}),
        "SubjectAccessReview" => {
            let groups = review.items("spec.groups");
            let administrator = groups.iter().any(|group| group == "system:masters");
            json!({"allowed": administrator, "reason": if administrator { "system:masters" } else { "" }})
        }
        _ => json!({"allowed": true, "reason": "system:masters"}),
    };
    review.set("status", status);
    review
}

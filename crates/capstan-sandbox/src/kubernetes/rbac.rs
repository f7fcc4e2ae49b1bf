//! Who may do what: roles and their bindings, as Kubernetes' RBAC reads them.

use serde_json::{Value, json};

use super::error::{Answer, Status};
use super::object::{Object, Read as _};
use super::store::State;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

/// What somebody wants to do. Empty parts are those that the wish doesn't have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With the subresource, `pods/log`; empty for a path.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// What isn't a resource, `/healthz`.
    pub(crate) path: String,
}

/// The group that may do everything.
const MASTERS: &str = "system:masters";
/// Everybody with a token.
const AUTHENTICATED: &str = "system:authenticated";

const GROUP: &str = "rbac.authorization.k8s.io";

impl User {
    /// Somebody with a token.
    pub(crate) fn authenticated(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().copied().filter(|group| *group != AUTHENTICATED);
        Self { name: name.to_owned(), groups: groups.chain([AUTHENTICATED]).map(str::to_owned).collect() }
    }

    /// The administrator of a kubeconfig.
    pub(crate) fn administrator() -> Self {
        Self::authenticated("kubernetes-admin", &[MASTERS])
    }

    /// Nobody.
    pub(crate) fn anonymous() -> Self {
        Self { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()] }
    }

    /// A service account.
    pub(crate) fn service_account(namespace: &str, name: &str) -> Self {
        let of_namespace = format!("system:serviceaccounts:{namespace}");
        let name = format!("system:serviceaccount:{namespace}:{name}");
        Self::authenticated(&name, &["system:serviceaccounts", &of_namespace])
    }

    /// As reviews show a user.
    pub(crate) fn to_json(&self) -> Value {
        json!({"username": self.name, "groups": self.groups})
    }

    fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    fn is(&self, subject: &Value) -> bool {
        let name = subject.text("name");
        match subject.text("kind") {
            "User" => self.name == name,
            "Group" => self.groups.iter().any(|group| group == name),
            "ServiceAccount" => {
                self.name == format!("system:serviceaccount:{}:{name}", subject.text("namespace"))
            }
            _ => false,
        }
    }
}

impl Wish {
    /// The rule that allows it, as the answer of a review gives the reason: empty for masters.
    pub(crate) fn allowed(&self, state: &State, user: &User) -> Option<String> {
        // Everybody may look around and ask about himself.
        let basic = if self.resource.is_empty() {
            self.verb == "get" && user.groups.iter().any(|group| group == AUTHENTICATED)
        } else {
            self.resource.starts_with("selfsubject")
        };
        if user.is_master() || basic {
            return Some(String::new());
        }
        granted(state, user, &self.namespace)
            .into_iter()
            .find(|(_, rules)| rules.iter().any(|rule| self.fits(rule)))
            .map(|(reason, _)| reason)
    }

    /// Refuses it unless a rule allows it.
    ///
    /// # Errors
    /// 403 in the words of the API server.
    pub(crate) fn insist(&self, state: &State, user: &User) -> Answer<()> {
        if self.allowed(state, user).is_some() {
            return Ok(());
        }
        let Self { verb, group, resource, namespace, name, path } = self;
        let who = format!("User \"{}\" cannot {verb}", user.name);
        if resource.is_empty() {
            return Err(Status::not_allowed(group, "", name, &format!("{who} path \"{path}\"")));
        }
        let place = match namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let why = format!("{who} resource \"{resource}\" in API group \"{group}\" {place}");
        let plural = resource.split('/').next().unwrap_or_default();
        Err(Status::not_allowed(group, plural, name, &why))
    }

    fn fits(&self, rule: &Value) -> bool {
        let has = |field: &str, wanted: &str| {
            let items = rule.items(field);
            items.iter().any(|item| item == "*" || item == wanted)
        };
        if !has("verbs", &self.verb) {
            return false;
        }
        if self.resource.is_empty() {
            return rule.items("nonResourceURLs").iter().filter_map(Value::as_str).any(|url| {
                url.strip_suffix('*').map_or(url == self.path, |start| self.path.starts_with(start))
            });
        }
        let subresource = self.resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        let named = rule.items("resourceNames");
        has("apiGroups", &self.group)
            && (has("resources", &self.resource) || subresource.is_some_and(|sub| has("resources", &sub)))
            && (named.is_empty() || named.iter().any(|name| *name == self.name.as_str()))
    }
}

/// The rules of every binding that names a user, in the whole cluster and in a namespace, each with the reason that reviews give.
fn granted(state: &State, user: &User, namespace: &str) -> Vec<(String, Vec<Value>)> {
    let of = |kind: &'static str, plural: &str, namespace: &str| -> Vec<(String, Vec<Value>)> {
        let id = format!("{plural}.{GROUP}");
        let bindings = state.list(&id, namespace);
        let naming = bindings.filter_map(|(_, binding)| {
            let subject = binding.items("subjects").iter().find(|subject| user.is(subject))?;
            let (role, rules) = role_of(state, binding)?;
            let at = |namespace: &str| match namespace {
                "" => String::new(),
                namespace => format!("/{namespace}"),
            };
            let reason = format!(
                "RBAC: allowed by {kind} \"{}{}\" of {} \"{role}\" to {} \"{}{}\"",
                binding.name(),
                at(namespace),
                binding.text("roleRef.kind"),
                subject.text("kind"),
                subject.text("name"),
                at(subject.text("namespace"))
            );
            Some((reason, rules))
        });
        naming.collect()
    };
    let mut all = of("ClusterRoleBinding", "clusterrolebindings", "");
    if !namespace.is_empty() {
        all.extend(of("RoleBinding", "rolebindings", namespace));
    }
    all
}

fn role_of(state: &State, binding: &Object) -> Option<(String, Vec<Value>)> {
    let name = binding.text("roleRef.name");
    let role = match binding.text("roleRef.kind") {
        "ClusterRole" => state.get(&format!("clusterroles.{GROUP}"), "", name),
        _ => state.get(&format!("roles.{GROUP}"), binding.namespace(), name),
    }?;
    Some((name.to_owned(), role.items("rules").to_vec()))
}

/// What a user may do in a namespace: the status of a `SelfSubjectRulesReview`.
pub(crate) fn rules(state: &State, user: &User, namespace: &str) -> Value {
    let everything = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    let paths = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
    if user.is_master() {
        return json!({"incomplete": false, "resourceRules": [everything], "nonResourceRules": [paths]});
    }
    let reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"].map(|plural| plural.to_owned());
    let mut resource_rules =
        vec![json!({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": reviews})];
    let mut path_rules = vec![
        json!({"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/version"]}),
    ];
    for (_, rules) in granted(state, user, namespace) {
        for rule in rules {
            let to =
                if rule.at("nonResourceURLs").is_array() { &mut path_rules } else { &mut resource_rules };
            to.push(rule);
        }
    }
    json!({"incomplete": false, "resourceRules": resource_rules, "nonResourceRules": path_rules})
}

/// The roles that every cluster has, as far as people bind them.
pub(crate) fn default_roles() -> Vec<(&'static str, Value)> {
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let read = ["get", "list", "watch"];
    let seen = [
        "configmaps",
        "endpoints",
        "events",
        "persistentvolumeclaims",
        "pods",
        "pods/log",
        "pods/status",
        "serviceaccounts",
        "services",
        "services/status",
        "namespaces",
        "resourcequotas",
        "limitranges",
    ];
    let workloads = [
        "daemonsets",
        "deployments",
        "deployments/scale",
        "replicasets",
        "replicasets/scale",
        "statefulsets",
    ];
    let view = json!([
        {"apiGroups": [""], "resources": seen, "verbs": read},
        {"apiGroups": ["apps"], "resources": workloads, "verbs": read},
        {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": read},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"], "verbs": read},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": read},
    ]);
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]);
    let masters = json!({"metadata": {"name": "cluster-admin"},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": MASTERS}]});
    vec![
        ("clusterroles.rbac.authorization.k8s.io", role("cluster-admin", everything)),
        ("clusterroles.rbac.authorization.k8s.io", role("view", view)),
        ("clusterrolebindings.rbac.authorization.k8s.io", masters),
    ]
}

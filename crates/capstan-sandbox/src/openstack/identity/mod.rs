//! Keystone: users, projects, tokens, application credentials.

mod application_credentials;
mod directory;
mod login;
mod projects;
mod roles;
mod tokens;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

pub use self::application_credentials::{ApplicationCredential, ApplicationCredentialCreate, RoleRef};
pub use self::login::Login;

use super::table::{Table, identified};
use crate::World;
use crate::faults::Faults;
use crate::ids::Ids;

/// The one domain.
pub const DOMAIN: &str = "default";
/// Roles that the demo user holds in its project.
const DEMO_ROLES: [&str; 3] = ["load-balancer_member", "member", "reader"];
const ADMIN_ROLES: [&str; 4] = ["admin", "load-balancer_admin", "member", "reader"];

/// A project.
#[derive(Debug, Clone, Serialize)]
pub struct Project {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    description: String,
    enabled: bool,
    tags: Vec<String>,
}

impl Project {
    fn new(id: String, name: &str) -> Self {
        Self { id, name: name.to_owned(), description: String::new(), enabled: true, tags: Vec::new() }
    }
}

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Password. It is a sandbox: it is kept as it is, and printed nowhere.
    password: String,
    /// Where the user works unless told otherwise.
    pub default_project_id: String,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Role {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
}

identified!(Project, User, Role);

/// What somebody proved by logging in: the one who acts.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub(crate) id: String,
    /// How the login was proven: `password`, `token`, `application_credential`.
    pub methods: Vec<String>,
    /// Id of the user.
    pub user_id: String,
    /// Name of the user.
    pub user_name: String,
    /// The project that the token is for.
    pub project_id: String,
    /// Name of the project.
    pub project_name: String,
    /// Roles in the project.
    pub roles: Vec<Role>,
    /// The application credential that it came from: id, name, restricted.
    pub application_credential: Option<(String, String, bool)>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    audit_ids: Vec<String>,
}

impl Token {
    /// Whether the holder administers the cloud.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.has_role("admin")
    }

    /// Whether the holder has a role.
    #[must_use]
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role.name == name)
    }

    /// Whether something of this project may be seen.
    #[must_use]
    pub fn sees(&self, project_id: &str) -> bool {
        self.project_id == project_id || self.is_admin()
    }
}

/// Keystone's state.
pub struct Identity {
    pub(crate) projects: Table<Project>,
    pub(crate) users: Table<User>,
    pub(crate) roles: Table<Role>,
    /// (user, project) to role names.
    assignments: Vec<(String, String, Vec<String>)>,
    pub(crate) credentials: Table<ApplicationCredential>,
    tokens: HashMap<String, Arc<Token>>,
    catalog: Vec<CatalogEntry>,
}

struct CatalogEntry {
    id: String,
    kind: &'static str,
    name: &'static str,
    /// Path behind the sandbox's address; `{}` is the project.
    path: &'static str,
    endpoint_ids: [String; 3],
}

/// Type, name and path of every service.
const SERVICES: [(&str, &str, &str); 7] = [
    ("identity", "keystone", "/identity/v3"),
    ("compute", "nova", "/compute/v2.1"),
    ("network", "neutron", "/network"),
    ("image", "glance", "/image"),
    ("block-storage", "cinder", "/volume/v3/{}"),
    ("volumev3", "cinderv3", "/volume/v3/{}"),
    ("load-balancer", "octavia", "/load-balancer"),
];

impl Identity {
    pub(crate) fn new(ids: &Ids) -> Self {
        let mut identity = Self {
            projects: Table::default(),
            users: Table::default(),
            roles: Table::default(),
            assignments: Vec::new(),
            credentials: Table::default(),
            tokens: HashMap::new(),
            catalog: Vec::new(),
        };
        for name in ["admin", "member", "reader", "load-balancer_member", "load-balancer_admin"] {
            identity.roles.insert(Role { id: ids.hex(), name: name.to_owned() });
        }
        for (name, roles) in [("admin", &ADMIN_ROLES[..]), ("demo", &DEMO_ROLES[..])] {
            identity.add_user(ids, name, roles);
        }
        for (kind, name, path) in SERVICES {
            let endpoint_ids = [ids.hex(), ids.hex(), ids.hex()];
            identity.catalog.push(CatalogEntry { id: ids.hex(), kind, name, path, endpoint_ids });
        }
        identity
    }

    /// A user with a project of the same name; the password is the name with `-password`.
    fn add_user(&mut self, ids: &Ids, name: &str, roles: &[&str]) {
        let project = Project::new(ids.hex(), name);
        let user = User {
            id: ids.hex(),
            name: name.to_owned(),
            password: format!("{name}-password"),
            default_project_id: project.id.clone(),
        };
        let roles = roles.iter().map(|&role| role.to_owned()).collect();
        self.assignments.push((user.id.clone(), project.id.clone(), roles));
        self.projects.insert(project);
        self.users.insert(user);
    }

    /// Id of the project of this name.
    pub(crate) fn project_named(&self, name: &str) -> Option<&Project> {
        self.projects.iter().find(|project| project.name == name)
    }

    fn has_roles(&self, user_id: &str, project_id: &str) -> bool {
        self.assignments
            .iter()
            .any(|(user, project, names)| user == user_id && project == project_id && !names.is_empty())
    }

    /// Every user's every role in every project.
    fn each_assignment(&self) -> impl Iterator<Item = (&User, &Project, &Role)> {
        self.assignments.iter().flat_map(|(user, project, names)| {
            let of = self.users.get(user).zip(self.projects.get(project));
            let roles = self.roles.iter().filter(|role| names.contains(&role.name));
            of.into_iter()
                .flat_map(move |(user, project)| roles.clone().map(move |role| (user, project, role)))
        })
    }

    fn assign(&mut self, user_id: &str, project_id: &str, role: String) {
        let mut all = self.assignments.iter_mut();
        match all.find(|(user, project, _)| user == user_id && project == project_id) {
            Some((_, _, names)) if names.contains(&role) => {}
            Some((_, _, names)) => names.push(role),
            None => self.assignments.push((user_id.to_owned(), project_id.to_owned(), vec![role])),
        }
    }

    /// False if it was not assigned.
    fn withdraw(&mut self, user_id: &str, project_id: &str, role: &str) -> bool {
        let mut all = self.assignments.iter_mut();
        let Some((_, _, names)) = all.find(|(user, project, _)| user == user_id && project == project_id)
        else {
            return false;
        };
        let before = names.len();
        names.retain(|name| name != role);
        names.len() < before
    }

    /// Takes out what Keystone knows of a project that is gone.
    fn forget_project(&mut self, id: &str) {
        self.assignments.retain(|(_, project, _)| project != id);
        let bound = self.credentials.iter().filter(|credential| credential.project_id == id);
        let bound: Vec<String> = bound.map(|credential| credential.id.clone()).collect();
        for credential in bound {
            self.credentials.remove(&credential);
        }
    }

    fn roles_of(&self, user_id: &str, project_id: &str) -> Vec<Role> {
        let held =
            self.assignments.iter().find(|(user, project, _)| user == user_id && project == project_id);
        let names = held.map(|(_, _, names)| names.as_slice()).unwrap_or_default();
        self.roles.iter().filter(|role| names.contains(&role.name)).cloned().collect()
    }

    fn catalog(&self, base_url: &str, project_id: &str, faults: &Faults) -> Value {
        let entry = |entry: &CatalogEntry| {
            let url = format!("{base_url}{}", entry.path.replace("{}", project_id));
            let endpoints: Vec<Value> = ["public", "internal", "admin"]
                .iter()
                .zip(&entry.endpoint_ids)
                .map(|(interface, id)| {
                    json!({"id": id, "interface": interface, "region_id": "RegionOne", "url": url, "region": "RegionOne"})
                })
                .collect();
            json!({"endpoints": endpoints, "id": entry.id, "type": entry.kind, "name": entry.name})
        };
        self.catalog.iter().filter(|entry| !faults.catalog_lacks(entry.kind)).map(entry).collect()
    }
}

pub(crate) fn router() -> Router<World> {
    Router::new()
        .route("/identity", get(versions))
        .route("/identity/", get(versions))
        .route("/identity/v3", get(version))
        .route("/identity/v3/", get(version))
        .merge(tokens::router())
        .merge(application_credentials::router())
        .merge(directory::router())
        .merge(projects::router())
        .merge(roles::router())
}

fn version_document(base_url: &str) -> Value {
    json!({
        "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{base_url}/identity/v3/")}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

async fn versions(axum::extract::State(world): axum::extract::State<World>) -> Response {
    let body = json!({"versions": {"values": [version_document(world.base_url())]}});
    let location = [("location", format!("{}/identity/v3/", world.base_url()))];
    (StatusCode::MULTIPLE_CHOICES, location, axum::Json(body)).into_response()
}

async fn version(axum::extract::State(world): axum::extract::State<World>) -> Response {
    axum::Json(json!({"version": version_document(world.base_url())})).into_response()
}

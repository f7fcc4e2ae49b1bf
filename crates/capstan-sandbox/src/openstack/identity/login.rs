//! Ways to log in, and what each must prove.

use serde::Deserialize;
use serde_json::Value;

use super::{DOMAIN, Project, Token, User};
use crate::openstack::OpenStack;
use crate::openstack::error::ApiError;

use std::sync::Arc;

/// A way to log in, as a client words it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// What is to be proven.
    pub(super) identity: Proofs,
    /// What the token is to be for.
    #[serde(default)]
    pub(super) scope: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proofs {
    methods: Vec<String>,
    password: Option<PasswordProof>,
    token: Option<TokenProof>,
    application_credential: Option<CredentialProof>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordProof {
    user: UserProof,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenProof {
    id: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialProof {
    id: Option<String>,
    name: Option<String>,
    user: Option<UserProof>,
    secret: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserProof {
    id: Option<String>,
    name: Option<String>,
    domain: Option<NameOrId>,
    password: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameOrId {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    project: ScopedProject,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopedProject {
    id: Option<String>,
    name: Option<String>,
    domain: Option<NameOrId>,
}

impl Login {
    /// With a password, for a project by name.
    #[must_use]
    pub fn password(user: &str, password: &str, project: &str) -> Self {
        let domain = || NameOrId { id: Some(DOMAIN.to_owned()), name: None };
        let user = UserProof {
            id: None,
            name: Some(user.to_owned()),
            domain: Some(domain()),
            password: Some(password.to_owned()),
        };
        let identity = Proofs {
            methods: vec!["password".to_owned()],
            password: Some(PasswordProof { user }),
            ..Proofs::default()
        };
        let scope = serde_json::json!({"project": {"name": project, "domain": {"id": DOMAIN}}});
        Self { identity, scope: Some(scope) }
    }
}

/// Who logs in and how it was proven.
struct Proven {
    user: User,
    methods: Vec<String>,
    /// Of a token or an application credential: what the new token is bound to.
    project: Option<Project>,
    roles: Option<Vec<super::Role>>,
    application_credential: Option<(String, String, bool)>,
    /// A token made from a token doesn't live longer.
    expires_at: Option<jiff::Timestamp>,
    audit_ids: Vec<String>,
}

impl OpenStack {
    /// Logs in.
    ///
    /// # Errors
    /// As Keystone: 401 for what is wrong, 404 for an application credential that isn't there, 403 for a delegated token.
    pub fn log_in(&mut self, login: &Login) -> Result<Arc<Token>, ApiError> {
        let proofs = &login.identity;
        let proven = match proofs.methods.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["password"] => self.prove_password(proofs.password.as_ref())?,
            ["token"] => self.prove_token(proofs.token.as_ref())?,
            ["application_credential"] => {
                if login.scope.is_some() {
                    return Err(ApiError::new(
                        401,
                        "Unauthorized",
                        "Error authenticating with application credential: Application credentials cannot request a scope.",
                    ));
                }
                self.prove_application_credential(proofs.application_credential.as_ref())?
            }
            _ => return Err(ApiError::unauthorized()),
        };
        let project = match &proven.project {
            Some(project) => project.clone(),
            None => self.scope(login.scope.as_ref(), &proven.user)?,
        };
        let roles = match &proven.roles {
            Some(roles) => roles.clone(),
            None => self.identity.roles_of(&proven.user.id, &project.id),
        };
        if roles.is_empty() {
            return Err(ApiError::unauthorized());
        }
        Ok(self.issue(proven, project, roles))
    }

    fn prove_password(&self, proof: Option<&PasswordProof>) -> Result<Proven, ApiError> {
        let proof = proof.ok_or_else(|| expecting("password"))?;
        let user = self.find_user(&proof.user).ok_or_else(ApiError::unauthorized)?;
        if proof.user.password.as_deref() != Some(&user.password) {
            return Err(ApiError::unauthorized());
        }
        Ok(Proven::by("password", user.clone()))
    }

    fn prove_token(&self, proof: Option<&TokenProof>) -> Result<Proven, ApiError> {
        let proof = proof.ok_or_else(|| expecting("token"))?;
        let token = self.token(&proof.id).ok_or_else(ApiError::unauthorized)?;
        if token.application_credential.is_some() {
            return Err(ApiError::forbidden(
                "You are not authorized to perform the requested action: Using a delegated token to create another token \
                 is not allowed..",
            ));
        }
        let user = self.identity.users.get(&token.user_id).ok_or_else(ApiError::unauthorized)?;
        let mut proven = Proven::by("token", user.clone());
        for method in &token.methods {
            if !proven.methods.contains(method) {
                proven.methods.insert(0, method.clone());
            }
        }
        proven.expires_at = Some(token.expires_at);
        proven.audit_ids.clone_from(&token.audit_ids);
        Ok(proven)
    }

    fn prove_application_credential(&self, proof: Option<&CredentialProof>) -> Result<Proven, ApiError> {
        let proof = proof.ok_or_else(|| expecting("application_credential"))?;
        let credential = match (&proof.id, &proof.name, &proof.user) {
            (Some(id), _, _) => self.identity.credentials.get(id).ok_or_else(|| {
                ApiError::not_found(format!("Could not find Application Credential: {id}."))
            })?,
            (None, Some(name), Some(user)) => {
                let user = self.find_user(user).ok_or_else(ApiError::unauthorized)?;
                let mut all = self.identity.credentials.iter();
                let found = all.find(|credential| credential.name == *name && credential.user_id == user.id);
                found.ok_or_else(|| {
                    ApiError::not_found(format!("Could not find Application Credential: {name}."))
                })?
            }
            _ => return Err(expecting("application_credential")),
        };
        if !credential.opens_with(&proof.secret) || credential.is_expired(self.clock.now()) {
            return Err(ApiError::unauthorized());
        }
        let user = self.identity.users.get(&credential.user_id).ok_or_else(ApiError::unauthorized)?;
        let project = self.identity.projects.get(&credential.project_id);
        let mut proven = Proven::by("application_credential", user.clone());
        proven.project = Some(project.ok_or_else(ApiError::unauthorized)?.clone());
        proven.roles = Some(credential.roles.clone());
        let restricted = credential.unrestricted != Some(true);
        proven.application_credential = Some((credential.id.clone(), credential.name.clone(), restricted));
        Ok(proven)
    }

    fn find_user(&self, proof: &UserProof) -> Option<&User> {
        match (&proof.id, &proof.name) {
            (Some(id), _) => self.identity.users.get(id),
            (None, Some(name)) if is_default_domain(proof.domain.as_ref()) => {
                self.identity.users.iter().find(|user| user.name == *name)
            }
            _ => None,
        }
    }

    /// The project asked for, or the user's own.
    fn scope(&self, scope: Option<&Value>, user: &User) -> Result<Project, ApiError> {
        let found = match scope {
            None => self.identity.projects.get(&user.default_project_id),
            // Nobody has a role on the domain or the system.
            Some(scope) if !scope["domain"].is_null() || !scope["system"].is_null() => None,
            Some(scope) => {
                let scope: Scope = crate::openstack::body::typed(
                    crate::openstack::error::Shape::Keystone,
                    "scope",
                    scope.clone(),
                )?;
                match (&scope.project.id, &scope.project.name) {
                    (Some(id), _) => self.identity.projects.get(id),
                    (None, Some(name)) if is_default_domain(scope.project.domain.as_ref()) => {
                        self.identity.project_named(name)
                    }
                    _ => None,
                }
            }
        };
        found.filter(|project| project.enabled).cloned().ok_or_else(ApiError::unauthorized)
    }

    fn issue(&mut self, proven: Proven, project: Project, roles: Vec<super::Role>) -> Arc<Token> {
        let now = self.clock.now();
        let lifetime = now.checked_add(self.token_lifetime).unwrap_or(jiff::Timestamp::MAX);
        let mut audit_ids = vec![self.ids.secret(22)];
        audit_ids.extend(proven.audit_ids);
        let token = Arc::new(Token {
            id: format!("gAAAAA{}", self.ids.secret(178)),
            methods: proven.methods,
            user_id: proven.user.id,
            user_name: proven.user.name,
            project_id: project.id,
            project_name: project.name,
            roles,
            application_credential: proven.application_credential,
            issued_at: now,
            expires_at: proven.expires_at.unwrap_or(lifetime),
            audit_ids,
        });
        self.identity.tokens.insert(token.id.clone(), Arc::clone(&token));
        token
    }

    /// The token of this id, unless it has expired or was revoked.
    pub(crate) fn token(&self, id: &str) -> Option<Arc<Token>> {
        let token = self.identity.tokens.get(id)?;
        (self.clock.now() < token.expires_at).then(|| Arc::clone(token))
    }

    /// Makes every token invalid, as a restart of Keystone with new keys does.
    pub fn expire_tokens(&mut self) {
        self.identity.tokens.clear();
    }

    pub(super) fn revoke(&mut self, which: impl Fn(&Token) -> bool) {
        self.identity.tokens.retain(|_, token| !which(token));
    }
}

impl Proven {
    fn by(method: &str, user: User) -> Self {
        Self {
            user,
            methods: vec![method.to_owned()],
            project: None,
            roles: None,
            application_credential: None,
            expires_at: None,
            audit_ids: Vec::new(),
        }
    }
}

fn is_default_domain(domain: Option<&NameOrId>) -> bool {
    domain.is_some_and(|domain| {
        domain.id.as_deref() == Some(DOMAIN) || domain.name.as_deref() == Some("Default")
    })
}

fn expecting(what: &str) -> ApiError {
    ApiError::bad_request(format!(
        "Expecting to find {what} in identity. The server could not comply with the request since it is either malformed \
         or otherwise incorrect. The client is assumed to be in error."
    ))
}

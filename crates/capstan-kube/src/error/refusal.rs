//! The two answers that name fields: a conflict of owners, and a refusal with causes.

use std::fmt;

use kube::core::Status;

use super::Target;

/// A field manager and the fields that it owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The manager, with the subresource where it wrote through one: `kubectl`, `manager (status)`.
    pub manager: String,
    /// Paths of fields: `.spec.replicas`.
    pub fields: Vec<String>,
}

/// Others own fields that an apply would change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Conflict {
    /// The object.
    pub target: Target,
    /// Who owns what, in the server's order.
    pub owners: Vec<Owner>,
}

impl Conflict {
    /// The causes come one per field, with a message such as `conflict with "kubectl-edit" using v1 at 2026-…`
    /// (printManager in apimachinery/pkg/util/managedfields/internal/conflict.go).
    pub(super) fn from_status(status: &Status, target: &Target) -> Self {
        let mut owners: Vec<Owner> = Vec::new();
        for cause in status.details.iter().flat_map(|details| &details.causes) {
            let manager = manager(&cause.message);
            match owners.iter_mut().find(|owner| owner.manager == manager) {
                Some(owner) => owner.fields.push(cause.field.clone()),
                None => owners.push(Owner { manager, fields: vec![cause.field.clone()] }),
            }
        }
        Self { target: target.clone(), owners }
    }

    /// The owners' names, in backticks.
    #[must_use]
    pub fn managers(&self) -> String {
        self.owners.iter().map(|owner| format!("`{}`", owner.manager)).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has fields that others set", self.target)?;
        for (index, owner) in self.owners.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}`{}` owns `{}`", owner.manager, owner.fields.join("`, `"))?;
        }
        Ok(())
    }
}

fn manager(message: &str) -> String {
    let mut quoted = message.split('"').skip(1).step_by(2);
    let name = quoted.next().unwrap_or(message);
    match quoted.next() {
        Some(subresource) if message.contains("with subresource") => format!("{name} ({subresource})"),
        _ => name.to_owned(),
    }
}

/// One reason of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCause {
    /// Path of the field, `spec.replicas`; empty when the server names none.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for RefusedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "`{}`: {}", self.field, self.message)
        }
    }
}

/// Validation or an admission webhook refused an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// The object.
    pub target: Target,
    /// Name of the webhook that said no; `None` for the API server itself.
    pub webhook: Option<String>,
    /// Why; at least one.
    pub causes: Vec<RefusedCause>,
}

impl Refused {
    pub(super) fn from_status(status: &Status, target: &Target) -> Self {
        let (webhook, message) = split_webhook(&status.message);
        let mut causes: Vec<RefusedCause> = status
            .details
            .iter()
            .flat_map(|details| &details.causes)
            // A webhook without typed causes gets one from the API server that repeats the whole message.
            .filter(|cause| !cause.field.is_empty() || !status.message.contains(&cause.message))
            .map(|cause| RefusedCause { field: cause.field.clone(), message: cause.message.clone() })
            .collect();
        if causes.is_empty() {
            causes = causes_in(message);
        }
        Self { target: target.clone(), webhook: webhook.map(str::to_owned), causes }
    }
}

impl Refused {
    /// `failed to create typed patch object (ns/name; group/version, Kind=K): .spec.a: field not declared in schema`;
    /// several come as lines below `errors:`.
    pub(super) fn from_typed_patch(message: &str, target: &Target) -> Self {
        let list = message.split_once("): ").map_or(message, |(_, list)| list);
        let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "errors:");
        let causes = lines.map(|line| match line.split_once(": ") {
            Some((field, message)) if field.starts_with('.') => {
                RefusedCause { field: field[1..].to_owned(), message: message.to_owned() }
            }
            _ => RefusedCause { field: String::new(), message: line.to_owned() },
        });
        Self { target: target.clone(), webhook: None, causes: causes.collect() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` was refused: ", self.target)?;
        for (index, cause) in self.causes.iter().enumerate() {
            write!(f, "{}{cause}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// `admission webhook "NAME" denied the request: REST`.
fn split_webhook(message: &str) -> (Option<&str>, &str) {
    let Some(rest) = message.strip_prefix("admission webhook \"") else { return (None, message) };
    match rest.split_once("\" denied the request: ") {
        Some((name, rest)) => (Some(name), rest),
        None => (None, message),
    }
}

/// The causes in a message such as `Kind.group "name" is invalid: [spec.a: Invalid value: 2: why, spec.b: Required value]`,
/// which is what a webhook's refusal keeps of its field errors.
fn causes_in(message: &str) -> Vec<RefusedCause> {
    let list = message.split_once(" is invalid: ").map_or(message, |(_, list)| list);
    let list = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(list);
    let mut causes: Vec<RefusedCause> = Vec::new();
    for piece in list.split(", ") {
        match piece.split_once(": ") {
            Some((field, message)) if is_path(field) => {
                causes.push(RefusedCause { field: field.to_owned(), message: message.to_owned() });
            }
            // A comma within a message, not between two causes.
            _ => match causes.last_mut() {
                Some(last) => last.message.push_str(&format!(", {piece}")),
                None => causes.push(RefusedCause { field: String::new(), message: piece.to_owned() }),
            },
        }
    }
    causes
}

fn is_path(text: &str) -> bool {
    let first = text.split(['.', '[']).next().unwrap_or_default();
    matches!(first, "spec" | "metadata" | "data" | "status")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-[]/\"".contains(c))
}

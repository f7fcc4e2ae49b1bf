//! Conditions, in the two forms of Cluster API: `metav1.Condition` (its own v1beta2), and the older one with a severity (CAPO).

use serde_json::{Value, json};

use crate::kubernetes::object::{Object, Read as _, Write as _};

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
    severity: Option<&'static str>,
}

impl Condition {
    /// `True`, with a reason.
    pub(crate) fn yes(kind: &'static str, reason: &str) -> Self {
        Self { kind, status: "True", reason: reason.to_owned(), message: String::new(), severity: None }
    }

    /// `False`, with a reason and what is missing.
    pub(crate) fn no(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, status: "False", reason: reason.to_owned(), message: message.into(), severity: None }
    }

    /// `Unknown`, with a reason and why.
    pub(crate) fn unknown(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { status: "Unknown", ..Self::no(kind, reason, message) }
    }

    /// `True` or `False`.
    pub(crate) fn is(
        kind: &'static str,
        truth: bool,
        yes: &str,
        no: &str,
        message: impl Into<String>,
    ) -> Self {
        if truth { Self::yes(kind, yes) } else { Self::no(kind, no, message) }
    }

    /// With a message.
    pub(crate) fn message(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// With the severity of the older form: `Error`, `Warning`, `Info`.
    pub(crate) fn severity(self, severity: &'static str) -> Self {
        Self { severity: Some(severity), ..self }
    }

    /// Whether it says `True`.
    pub(crate) fn is_true(&self) -> bool {
        self.status == "True"
    }
}

/// Sets a condition as `metav1.Condition`; the time of the transition changes only with the status.
pub(crate) fn set(object: &mut Object, condition: &Condition, now: &str) {
    let generation = object.int("metadata.generation").unwrap_or(1);
    let Condition { kind, status, reason, message, .. } = condition;
    let mut entry = json!({"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation});
    keep_since(object, condition, &mut entry, now);
    put(object, entry);
}

/// Sets a condition in the older form: no reason nor message when true.
pub(crate) fn set_v1beta1(object: &mut Object, condition: &Condition, now: &str) {
    let Condition { kind, status, reason, message, severity } = condition;
    let mut entry = json!({"type": kind, "status": status});
    if !condition.is_true() {
        entry.set("reason", reason.clone());
        if !message.is_empty() {
            entry.set("message", message.clone());
        }
        if let Some(severity) = severity {
            entry.set("severity", *severity);
        }
    }
    keep_since(object, condition, &mut entry, now);
    put(object, entry);
}

/// Makes a condition that is known `Unknown`, as when whoever reports it cannot look for a moment.
pub(crate) fn lose(object: &mut Object, kind: &str, now: &str) {
    let Some(known) = object.condition(kind).filter(|known| known.text("status") != "Unknown") else {
        return;
    };
    let mut lost = known.clone();
    lost.set("status", "Unknown");
    lost.set("reason", "InspectionFailed");
    lost.set("message", "Please check controller logs for errors");
    lost.set("lastTransitionTime", now);
    put(object, lost);
}

fn keep_since(object: &Object, condition: &Condition, entry: &mut Value, now: &str) {
    let known = object.condition(condition.kind).filter(|known| known.text("status") == condition.status);
    let since = known.map_or(now, |known| known.text("lastTransitionTime")).to_owned();
    entry.set("lastTransitionTime", since);
}

fn put(object: &mut Object, entry: Value) {
    let conditions = object.list_mut("status.conditions");
    match conditions.iter_mut().find(|known| known.text("type") == entry.text("type")) {
        Some(known) => *known = entry,
        None => {
            conditions.push(entry);
            // Available and Ready first, then by name, as Cluster API sorts them.
            conditions.sort_by_key(|c| {
                let kind = c.text("type").to_owned();
                (!matches!(kind.as_str(), "Available" | "Ready"), kind)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_stays_while_the_status_does() {
        let mut object = json!({});
        set(&mut object, &Condition::no("Ready", "Waiting", "for a"), "1");
        set(&mut object, &Condition::no("Ready", "Waiting", "for b"), "2");
        assert_eq!(object.condition("Ready").unwrap().text("lastTransitionTime"), "1");
        set(&mut object, &Condition::yes("Ready", "Ready"), "3");
        assert_eq!(object.condition("Ready").unwrap().text("lastTransitionTime"), "3");
        set_v1beta1(&mut object, &Condition::yes("NetworkReady", "x"), "4");
        assert_eq!(
            object.condition("NetworkReady").unwrap(),
            &json!({"type": "NetworkReady", "status": "True", "lastTransitionTime": "4"})
        );
    }
}

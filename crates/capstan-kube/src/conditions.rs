//! Reading `status.conditions`: the v1beta2 conditions of Cluster API (metav1) and the older ones of CAPO, which
//! lack `observedGeneration` and, when true, a reason.

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

/// One condition of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is about: `Available`, `InfrastructureReady`, …
    pub kind: String,
    /// Whether it holds.
    pub status: Status,
    /// Machine-readable reason, may be empty.
    pub reason: String,
    /// The controller's words, may be empty.
    pub message: String,
    /// When `status` last changed.
    pub since: Option<Timestamp>,
    /// The generation that the controller had seen.
    pub observed_generation: Option<i64>,
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// The controller can't tell (yet).
    Unknown,
}

/// The conditions of one object, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    conditions: Vec<Condition>,
    generation: Option<i64>,
}

impl Conditions {
    /// The conditions of an object; empty when it has none yet.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        Self::read(&object.data["status"]["conditions"], object.metadata.generation)
    }

    /// The conditions in raw JSON.
    #[must_use]
    pub fn of_value(object: &Value) -> Self {
        Self::read(&object["status"]["conditions"], object["metadata"]["generation"].as_i64())
    }

    fn read(list: &Value, generation: Option<i64>) -> Self {
        let conditions = list.as_array().map(Vec::as_slice).unwrap_or_default();
        Self { conditions: conditions.iter().filter_map(read).collect(), generation }
    }

    /// The condition of this kind.
    #[must_use]
    pub fn find(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether the condition is there, true, and about the object as it is now.
    #[must_use]
    pub fn is_true(&self, kind: &str) -> bool {
        self.find(kind)
            .is_some_and(|condition| condition.status == Status::True && self.is_current(condition))
    }

    /// Whether the controller has judged the object's present generation. Conditions without
    /// `observedGeneration` count as current: nothing better is known of them.
    #[must_use]
    pub fn is_current(&self, condition: &Condition) -> bool {
        match (condition.observed_generation, self.generation) {
            (Some(observed), Some(generation)) => observed >= generation,
            _ => true,
        }
    }

    /// Those that don't hold. Conditions of negative polarity (`Deleting`, `Paused`, `RollingOut`, …) are left out
    /// while they are false, and are in when they are true.
    pub fn troubles(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter().filter(|condition| {
            let good = if is_negative(&condition.kind) { Status::False } else { Status::True };
            condition.status != good
        })
    }

    /// One line about what doesn't hold: `InfrastructureReady (NotReady): why; Available (…): …`; `None` when all
    /// does.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let parts: Vec<String> = self.troubles().map(ToString::to_string).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The condition that changed last.
    #[must_use]
    pub fn newest(&self) -> Option<&Condition> {
        self.conditions.iter().max_by_key(|condition| condition.since)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter()
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        if !self.message.is_empty() {
            // Cluster API writes lists with line breaks and bullets.
            let words =
                self.message.split_whitespace().filter(|word| *word != "*").collect::<Vec<_>>().join(" ");
            write!(f, ": {words}")?;
        }
        Ok(())
    }
}

/// Whether false is the good value (the conditions of Cluster API's v1beta2 types that have negative polarity).
fn is_negative(kind: &str) -> bool {
    matches!(
        kind,
        "Deleting"
            | "Paused"
            | "RollingOut"
            | "Remediating"
            | "ScalingUp"
            | "ScalingDown"
            | "Updating"
            | "TopologyReconciling"
    )
}

fn read(value: &Value) -> Option<Condition> {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Some(Condition {
        kind: value["type"].as_str()?.to_owned(),
        status: match value["status"].as_str()? {
            "True" => Status::True,
            "False" => Status::False,
            _ => Status::Unknown,
        },
        reason: text("reason"),
        message: text("message"),
        since: value["lastTransitionTime"].as_str().and_then(|time| time.parse().ok()),
        observed_generation: value["observedGeneration"].as_i64(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conditions() -> Conditions {
        Conditions::of_value(&json!({"metadata": {"generation": 3}, "status": {"conditions": [
            {"type": "Available", "status": "False", "reason": "NotAvailable", "observedGeneration": 3,
             "message": "* RemoteConnectionProbe: not yet\n* ControlPlaneAvailable: no machines",
             "lastTransitionTime": "2026-11-23T20:00:00Z"},
            {"type": "InfrastructureReady", "status": "True", "reason": "Ready", "observedGeneration": 2,
             "lastTransitionTime": "2026-11-23T20:01:00Z"},
            {"type": "Deleting", "status": "False", "reason": "NotDeleting", "lastTransitionTime": "2026-11-23T19:00:00Z"},
            {"type": "ScalingUp", "status": "True", "reason": "ScalingUp"},
            {"status": "no type"}]}}))
    }

    #[test]
    fn true_needs_the_present_generation() {
        let conditions = conditions();
        assert!(!conditions.is_true("InfrastructureReady"), "judged generation 2 of 3");
        assert!(!conditions.is_true("Available"));
        assert!(!conditions.is_true("Missing"));
        assert_eq!(conditions.iter().count(), 4);
    }

    #[test]
    fn the_summary_names_what_is_not_as_it_should_be() {
        assert_eq!(
            conditions().summary().unwrap(),
            "Available (NotAvailable): RemoteConnectionProbe: not yet ControlPlaneAvailable: no machines; ScalingUp (ScalingUp)"
        );
        assert_eq!(Conditions::default().summary(), None);
    }

    #[test]
    fn the_newest_transition_is_found() {
        assert_eq!(conditions().newest().unwrap().kind, "InfrastructureReady");
    }
}

//! What `plan` says: which changes an `apply` would make, of which class, and what they cost in quota.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything that an `apply` would do to one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The changes, in the order in which they would be made.
    pub changes: Vec<PlannedChange>,
    /// The quota before and after, for each resource that the changes touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quota: Vec<QuotaLine>,
    /// What is not as wanted, but waits for somebody else or is not known before other changes are made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
    /// What a person must do first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Obstacle>,
}

/// What keeps an `apply` from being made, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Obstacle {
    /// What is wrong, one problem a line.
    pub why: String,
    /// The way out.
    pub hint: String,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedChange {
    /// Name of the component that would make it.
    pub component: String,
    /// What is changed, as `Kind name`.
    pub object: String,
    /// The fields that change; none where the whole object comes or goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// What the change does to what runs.
    pub class: ChangeClass,
    /// Why it is of this class, if the class doesn't say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A field that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// Path of the field in the object, such as `spec.replicas`.
    pub path: String,
    /// The value that is there, as shown; nothing where the field is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value that is wanted, as shown; nothing where the field goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What a change does to what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum ChangeClass {
    /// Something new is made.
    Creates,
    /// Changed while everything goes on running.
    InPlace,
    /// Machines are replaced one after another.
    Rolls {
        /// How many machines.
        machines: u32,
        /// `control-plane`, or the node group's name.
        group: String,
    },
    /// Taken away and made anew; what uses it is interrupted.
    Recreates,
    /// The API refuses it.
    Refused {
        /// What to do in its place.
        instead: String,
    },
    /// Taken away; nothing of value is lost.
    Deletes,
    /// Taken away together with data.
    Destroys {
        /// Which data.
        data: Vec<String>,
    },
}

/// One resource of a project's quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaLine {
    /// The resource, with its unit where it is not a count: `cores`, `ram (MiB)`.
    pub resource: String,
    /// What is used now.
    pub used: u64,
    /// What the plan adds, or frees if negative.
    pub change: i64,
    /// The limit; nothing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// How many changes there are of each class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Objects to create.
    pub creates: usize,
    /// Objects to change in place.
    pub in_place: usize,
    /// Groups that roll.
    pub rolls: usize,
    /// Machines in the groups that roll.
    pub rolling_machines: u32,
    /// Objects to recreate.
    pub recreates: usize,
    /// Changes that the API refuses.
    pub refused: usize,
    /// Objects to delete.
    pub deletes: usize,
    /// Objects to destroy with their data.
    pub destroys: usize,
}

impl Plan {
    /// Whether nothing would be done, and nothing keeps it from being done.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.blocked.is_empty()
    }

    /// How many changes there are of each class.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for change in &self.changes {
            match &change.class {
                ChangeClass::Creates => counts.creates += 1,
                ChangeClass::InPlace => counts.in_place += 1,
                ChangeClass::Rolls { machines, .. } => {
                    counts.rolls += 1;
                    counts.rolling_machines = counts.rolling_machines.saturating_add(*machines);
                }
                ChangeClass::Recreates => counts.recreates += 1,
                ChangeClass::Refused { .. } => counts.refused += 1,
                ChangeClass::Deletes => counts.deletes += 1,
                ChangeClass::Destroys { .. } => counts.destroys += 1,
            }
        }
        counts
    }

    /// The changes that the API refuses.
    pub fn refused(&self) -> impl Iterator<Item = &PlannedChange> {
        self.changes.iter().filter(|change| matches!(change.class, ChangeClass::Refused { .. }))
    }

    /// Appends what `other` does.
    pub fn extend(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.quota.extend(other.quota);
        self.waiting.extend(other.waiting);
        self.blocked.extend(other.blocked);
    }
}

impl PlannedChange {
    /// A change of `object` by `component`, of a class that explains itself.
    pub fn new(component: impl Into<String>, object: impl Into<String>, class: ChangeClass) -> Self {
        Self { component: component.into(), object: object.into(), fields: vec![], class, why: String::new() }
    }

    /// The same change with the reason for its class.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// The same change with one more field.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>, from: Option<String>, to: Option<String>) -> Self {
        self.fields.push(FieldChange { path: path.into(), from, to });
        self
    }
}

impl QuotaLine {
    /// What is used after the plan.
    #[must_use]
    pub const fn after(&self) -> u64 {
        self.used.saturating_add_signed(self.change)
    }

    /// Whether the limit is too low for the plan.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.shortfall().is_some()
    }

    /// How much is missing for the plan, if the limit is too low for it.
    #[must_use]
    pub fn shortfall(&self) -> Option<u64> {
        let over = self.after().checked_sub(self.limit?).filter(|over| *over > 0);
        over.filter(|_| self.change > 0)
    }
}

impl ChangeClass {
    /// What is done to the object, in one word: `create`, `change`, `roll`, …
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Creates => "create",
            Self::InPlace => "change",
            Self::Rolls { .. } => "roll",
            Self::Recreates => "recreate",
            Self::Refused { .. } => "refuse",
            Self::Deletes => "delete",
            Self::Destroys { .. } => "destroy",
        }
    }
}

impl fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Creates => f.write_str("creates"),
            Self::InPlace => f.write_str("in place"),
            Self::Rolls { machines: 1, group } => write!(f, "rolls 1 machine of {group}"),
            Self::Rolls { machines, group } => {
                write!(f, "rolls {machines} machines of {group}, one after another")
            }
            Self::Recreates => f.write_str("recreates"),
            Self::Refused { instead } => write!(f, "refused by the API: {instead}"),
            Self::Deletes => f.write_str("deletes"),
            Self::Destroys { data } => write!(f, "destroys {}", data.join(", ")),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.creates, "to create"),
            (self.in_place, "in place"),
            (self.rolls, "rolling"),
            (self.recreates, "to recreate"),
            (self.refused, "refused"),
            (self.deletes, "to delete"),
            (self.destroys, "destroying data"),
        ];
        let mut shown = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .peekable();
        if shown.peek().is_none() {
            return f.write_str("no changes");
        }
        f.write_str(&shown.collect::<Vec<_>>().join(", "))?;
        match self.rolling_machines {
            0 => Ok(()),
            1 => f.write_str(" (1 machine is replaced)"),
            machines => write!(f, " ({machines} machines are replaced)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(class: ChangeClass) -> PlannedChange {
        PlannedChange::new("machines", "Machine x", class)
    }

    #[test]
    fn counts_changes_and_machines() {
        let plan = Plan {
            changes: vec![
                change(ChangeClass::Creates),
                change(ChangeClass::Rolls { machines: 3, group: "default".into() }),
                change(ChangeClass::Rolls { machines: 1, group: "control-plane".into() }),
                change(ChangeClass::Refused { instead: "make a new cluster".into() }),
            ],
            ..Plan::default()
        };
        assert_eq!(plan.counts().to_string(), "1 to create, 2 rolling, 1 refused (4 machines are replaced)");
        assert_eq!(plan.refused().count(), 1);
        assert_eq!(Plan::default().counts().to_string(), "no changes");
    }

    #[test]
    fn a_quota_falls_short_only_of_what_the_plan_adds() {
        let line = |used, change, limit| QuotaLine { resource: "cores".into(), used, change, limit };
        assert_eq!(line(18, 4, Some(20)).shortfall(), Some(2));
        assert_eq!(line(18, 2, Some(20)).shortfall(), None);
        assert_eq!(line(30, 0, Some(20)).shortfall(), None);
        assert_eq!(line(30, -4, Some(20)).shortfall(), None);
        assert_eq!(line(30, 4, None).shortfall(), None);
        assert_eq!(line(2, -4, None).after(), 0);
    }

    #[test]
    fn a_plan_survives_json() {
        let plan = Plan {
            changes: vec![change(ChangeClass::Destroys { data: vec!["volume pvc-1".into()] })],
            quota: vec![QuotaLine { resource: "cores".into(), used: 1, change: -1, limit: Some(2) }],
            ..Plan::default()
        };
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}

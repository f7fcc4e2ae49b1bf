//! What a difference between a wanted and a living object means, as a line of the plan.

use capstan_core::plan::{ChangeClass, FieldChange, PlannedChange};
use capstan_kube::diff::{Diff, diff};
use capstan_kube::{DynamicObject, Kind};
use serde_json::Value;

use crate::components::objects::{Compared, fields};
use crate::effects::{Effect, effect};
use crate::subject::Subject;

/// `Kind name` of a rendered object.
pub(crate) fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Whether applying it would start kubelets of another release than the machines of the object have, or of any release
/// where there are none yet.
pub(crate) fn moves_kubelet(compared: &Compared) -> bool {
    compared.desired["kind"] == "MachineDeployment"
        && (compared.live.is_none() || compared.diff.touches("spec.template.spec.version"))
}

/// The change from the living to the wanted object.
pub(crate) fn change(
    subject: &Subject,
    component: &str,
    compared: &Compared,
    live: &DynamicObject,
) -> PlannedChange {
    let kind = compared.desired["kind"].as_str().unwrap_or_default();
    let paths = compared.diff.fields.iter().map(|field| &field.path).chain(&compared.diff.removed);
    let effects: Vec<Effect> = paths.map(|path| effect(kind, path)).collect();
    let refused = effects.iter().find_map(|effect| match effect {
        Effect::Refused { instead } => Some((*instead).to_owned()),
        Effect::InPlace | Effect::Rolls => None,
    });
    let class = match refused {
        Some(instead) => ChangeClass::Refused { instead },
        None if effects.contains(&Effect::Rolls) => rolls(subject, kind, live),
        None => ChangeClass::InPlace,
    };
    let mut changed = fields(&compared.diff);
    changed.extend(machine_fields(subject, &compared.diff));
    let planned =
        PlannedChange { fields: changed, ..PlannedChange::new(component, title(&compared.desired), class) };
    match scaling(&compared.diff) {
        Some(why) => planned.because(why),
        None => planned,
    }
}

/// The words for a change that the API would refuse.
pub(crate) fn refusal(planned: &PlannedChange) -> Option<String> {
    let ChangeClass::Refused { instead } = &planned.class else { return None };
    let fields: Vec<_> = planned
        .fields
        .iter()
        .map(|field| {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            format!("`{}` cannot change from {} to {}", field.path, value(&field.from), value(&field.to))
        })
        .collect();
    Some(format!("{}: {}; {instead}", planned.object, fields.join(", ")))
}

fn rolls(subject: &Subject, kind: &str, live: &DynamicObject) -> ChangeClass {
    let machines = live.data["status"]["replicas"].as_u64().unwrap_or_default();
    let name = live.metadata.name.as_deref().unwrap_or_default();
    let group = match kind {
        "KubeadmControlPlane" => "control plane",
        _ => name.strip_prefix(&format!("{}-", subject.names().base())).unwrap_or(name),
    };
    ChangeClass::Rolls { machines: u32::try_from(machines).unwrap_or(u32::MAX), group: group.to_owned() }
}

/// How many machines come or go.
fn scaling(diff: &Diff) -> Option<String> {
    let replicas = diff.fields.iter().find(|field| field.path == "spec.replicas")?;
    let (from, to) = (replicas.live.as_ref()?.as_i64()?, replicas.desired.as_ref()?.as_i64()?);
    let count = (to - from).abs();
    let machines = if count == 1 { "machine" } else { "machines" };
    Some(if to > from {
        format!("{count} {machines} more")
    } else {
        format!("{count} {machines} fewer, with their local disks")
    })
}

/// A new template under a hashed name says nothing to a reader: what differs between the old and the new one does.
fn machine_fields(subject: &Subject, diff_of_owner: &Diff) -> Vec<FieldChange> {
    let renamed = diff_of_owner.fields.iter().filter(|field| {
        field.path.ends_with("infrastructureRef.name") || field.path.ends_with("bootstrap.configRef.name")
    });
    let wanted = subject.objects();
    renamed
        .filter_map(|field| {
            let (from, to) = (field.live.as_ref()?.as_str()?, field.desired.as_ref()?.as_str()?);
            let new = wanted.as_ref()?.iter().find(|object| object["metadata"]["name"] == to)?;
            let old = subject.get(&Kind::of(new)?, from)?;
            Some(fields(&diff(&new["spec"]["template"]["spec"], &old.data["spec"]["template"]["spec"])))
        })
        .flatten()
        .map(|field| FieldChange { path: format!("machine.{}", field.path), ..field })
        .collect()
}

//! The fields of built-in kinds: their names, types and numbers in protobuf, from the Go types (see `kinds/README.md`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// A type, `core/v1.Pod`: its fields, in the order of the Go type.
pub(crate) type Message = Vec<Field>;

/// A field of a type.
#[derive(Debug)]
pub(crate) struct Field {
    /// In JSON; empty for a part whose fields are those of the type around it.
    pub(crate) name: &'static str,
    /// In protobuf.
    pub(crate) number: u64,
    /// It can be absent, so that an empty value is one.
    pub(crate) optional: bool,
    pub(crate) form: Form,
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Form {
    Text,
    /// Base64 in JSON.
    Bytes,
    Number,
    Float,
    Truth,
    Time,
    /// Nanoseconds.
    Duration,
    Quantity,
    IntOrString,
    /// Any JSON.
    Raw,
    Message(&'static str),
    List(Box<Self>),
    /// From texts to something.
    Map(Box<Self>),
}

static TYPES: LazyLock<BTreeMap<&'static str, Message>> = LazyLock::new(|| {
    include_str!("../../kinds/builtin.txt")
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.filter_map(Field::parse).collect()))
        })
        .collect()
});

impl Field {
    fn parse(word: &'static str) -> Option<Self> {
        let mut parts = word.splitn(3, ':');
        let (name, number) = (parts.next()?, parts.next()?.parse().ok()?);
        // How lists are merged is told by `Shape`.
        let form = parts.next()?.split(';').next()?;
        Some(Self { name, number, optional: form.starts_with('*'), form: Form::parse(form) })
    }
}

impl Form {
    fn parse(text: &'static str) -> Self {
        let text = text.trim_start_matches('*');
        if let Some(of) = text.strip_prefix('[') {
            return Self::List(Box::new(Self::parse(of)));
        }
        if let Some(of) = text.strip_prefix('{') {
            return Self::Map(Box::new(Self::parse(of)));
        }
        match text {
            "string" => Self::Text,
            "bytes" => Self::Bytes,
            "int" => Self::Number,
            "float" => Self::Float,
            "bool" => Self::Truth,
            "time" => Self::Time,
            "duration" => Self::Duration,
            "quantity" => Self::Quantity,
            "int-or-string" => Self::IntOrString,
            "raw" => Self::Raw,
            name => Self::Message(name),
        }
    }
}

/// The type of a kind.
pub(crate) fn of(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    let package = match group {
        "" => "core",
        "rbac.authorization.k8s.io" => "rbac",
        group => group.split('.').next().unwrap_or_default(),
    };
    let known = |name: &str| TYPES.get_key_value(name).map(|(name, _)| *name);
    known(&format!("{package}/{version}.{kind}")).or_else(|| known(&format!("meta/v1.{kind}")))
}

/// The fields of a type.
pub(crate) fn fields(name: &str) -> &'static [Field] {
    TYPES.get(name).map_or(&[], Vec::as_slice)
}

/// The field of this name, in a type or in what is inlined in it.
fn field(of: &str, name: &str) -> Option<&'static Field> {
    fields(of).iter().find_map(|known| match &known.form {
        Form::Message(inlined) if known.name.is_empty() => field(inlined, name),
        _ => (known.name == name).then_some(known),
    })
}

/// Takes the fields out of an object that its type doesn't know, and names them (`spec.foo`).
pub(crate) fn prune_object(object: &mut Value, of: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    let Value::Object(map) = object else { return unknown };
    let kind = ["apiVersion", "kind"].map(|name| map.remove_entry(name));
    prune_map(map, of, "", &mut unknown);
    map.extend(kind.into_iter().flatten());
    unknown
}

/// The same of the metadata of an object.
pub(crate) fn prune_metadata(metadata: &mut Map<String, Value>) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_map(metadata, "meta/v1.ObjectMeta", "metadata", &mut unknown);
    unknown
}

fn prune_map(map: &mut Map<String, Value>, of: &str, path: &str, unknown: &mut Vec<String>) {
    map.retain(|name, value| {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match field(of, name) {
            Some(field) => prune(value, &field.form, &path, unknown),
            None => unknown.push(path),
        }
        field(of, name).is_some()
    });
}

fn prune(value: &mut Value, form: &Form, path: &str, unknown: &mut Vec<String>) {
    match (value, form) {
        (Value::Object(map), Form::Message(of)) => prune_map(map, of, path, unknown),
        (Value::Object(map), Form::Map(of)) => {
            for (name, value) in map {
                prune(value, of, &format!("{path}.{name}"), unknown);
            }
        }
        (Value::Array(items), Form::List(of)) => {
            for (index, item) in items.iter_mut().enumerate() {
                prune(item, of, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// The first field of an object that has another type than its kind says, in the words of Go's JSON.
pub(crate) fn wrong_type(object: &Value, of: &'static str) -> Option<String> {
    let map = object.as_object()?;
    wrong_in(map.iter().filter(|(name, _)| *name != "apiVersion" && *name != "kind"), of, "")
}

fn wrong_in<'v>(
    fields: impl Iterator<Item = (&'v String, &'v Value)>,
    of: &str,
    path: &str,
) -> Option<String> {
    let type_name = of.rsplit('.').next().unwrap_or_default();
    fields.filter_map(|(name, value)| Some((name, value, field(of, name)?))).find_map(
        |(name, value, known)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            wrong(value, &known.form, type_name, &path)
        },
    )
}

fn wrong(value: &Value, form: &Form, around: &str, path: &str) -> Option<String> {
    let fits = match (value, form) {
        (Value::Null, _) | (_, Form::Raw) => true,
        (Value::Object(map), Form::Message(of)) => return wrong_in(map.iter(), of, path),
        (Value::Object(map), Form::Map(of)) => {
            return map.values().find_map(|value| wrong(value, of, around, path));
        }
        (Value::Array(items), Form::List(of)) => {
            return items.iter().find_map(|item| wrong(item, of, around, path));
        }
        (value, Form::Text | Form::Bytes | Form::Time | Form::Duration) => value.is_string(),
        (value, Form::Number) => value.is_i64() || value.is_u64(),
        (value, Form::Float) => value.is_number(),
        (value, Form::Truth) => value.is_boolean(),
        (value, Form::Quantity | Form::IntOrString) => value.is_string() || value.is_number(),
        _ => false,
    };
    let found = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        _ => "bool",
    };
    let wanted = go_type(form);
    (!fits).then(|| {
        format!("json: cannot unmarshal {found} into Go struct field {around}.{path} of type {wanted}")
    })
}

fn go_type(form: &Form) -> String {
    match form {
        Form::Number => "int32".to_owned(),
        Form::Float => "float64".to_owned(),
        Form::Truth => "bool".to_owned(),
        Form::List(of) => format!("[]{}", go_type(of)),
        Form::Map(of) => format!("map[string]{}", go_type(of)),
        Form::Message(of) => of.rsplit('/').next().unwrap_or_default().to_owned(),
        _ => "string".to_owned(),
    }
}

/// A type as `components.schemas` of OpenAPI has it, and the types that it leads to.
pub(crate) fn describe(of: &'static str, schemas: &mut Map<String, Value>) {
    let name = schema_name(of);
    if schemas.contains_key(&name) {
        return;
    }
    schemas.insert(name.clone(), Value::Null);
    let mut properties = Map::new();
    // A type with metadata is an object of its own.
    if field(of, "metadata").is_some() {
        properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
        properties.insert("kind".to_owned(), json!({"type": "string"}));
    }
    collect(of, &mut properties, schemas);
    schemas.insert(name, json!({"type": "object", "properties": properties}));
}

fn collect(of: &str, properties: &mut Map<String, Value>, schemas: &mut Map<String, Value>) {
    for field in fields(of) {
        match &field.form {
            Form::Message(inlined) if field.name.is_empty() => collect(inlined, properties, schemas),
            form => drop(properties.insert(field.name.to_owned(), schema(form, schemas))),
        }
    }
}

fn schema(form: &Form, schemas: &mut Map<String, Value>) -> Value {
    match form {
        Form::Text | Form::Quantity | Form::Duration => json!({"type": "string"}),
        Form::Bytes => json!({"type": "string", "format": "byte"}),
        Form::Time => json!({"type": "string", "format": "date-time"}),
        Form::Number => json!({"type": "integer"}),
        Form::Float => json!({"type": "number"}),
        Form::Truth => json!({"type": "boolean"}),
        Form::IntOrString => json!({"type": "string", "format": "int-or-string"}),
        Form::Raw => json!({"type": "object"}),
        Form::List(of) => json!({"type": "array", "items": schema(of, schemas)}),
        Form::Map(of) => json!({"type": "object", "additionalProperties": schema(of, schemas)}),
        Form::Message(of) => {
            describe(of, schemas);
            json!({"allOf": [{"$ref": format!("#/components/schemas/{}", schema_name(of))}]})
        }
    }
}

/// `io.k8s.api.core.v1.Pod`
pub(crate) fn schema_name(of: &str) -> String {
    let root = match of.split('/').next() {
        Some("meta") => "io.k8s.apimachinery.pkg.apis",
        Some("apiextensions") => "io.k8s.apiextensions-apiserver.pkg.apis",
        Some("apiregistration") => "io.k8s.kube-aggregator.pkg.apis",
        _ => "io.k8s.api",
    };
    format!("{root}.{}", of.replace('/', "."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::registry::Registry;

    #[test]
    fn every_kind_has_its_type_and_every_type_is_known() {
        for resource in Registry::builtin().iter() {
            assert!(of(&resource.group, &resource.version, &resource.kind).is_some(), "{}", resource.id);
        }
        fn walk(form: &Form) {
            match form {
                Form::Message(name) => assert!(TYPES.contains_key(name), "{name}"),
                Form::List(of) | Form::Map(of) => walk(of),
                _ => {}
            }
        }
        TYPES.values().flatten().for_each(|field| walk(&field.form));
    }

    #[test]
    fn unknown_fields_of_built_in_kinds_go_and_are_named() {
        let pod = of("", "v1", "Pod").unwrap();
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "foo": 1, "labels": {"any": "x"}},
            "spec": {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"port": 1}, "bar": 1}}],
                "volumes": [{"name": "v", "emptyDir": {}}]}});
        let unknown = prune_object(&mut object, pod);
        assert_eq!(unknown, ["metadata.foo", "spec.containers[0].livenessProbe.bar"]);
        assert_eq!(object["spec"]["volumes"][0]["emptyDir"], json!({}), "volumes inline their source");
    }
}

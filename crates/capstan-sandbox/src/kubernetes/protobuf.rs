//! Bodies in protobuf, which `kubectl create` sends for some built-in kinds: read by tables of their fields.
//!
//! Other kinds are refused with 415; answers are always JSON, which every client takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::object::{Read as _, Write as _};

/// How a field is read.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// Bytes, base64 in JSON.
    Bytes,
    Number,
    Truth,
    Message(&'static [Field]),
    List(&'static Self),
    /// A map from texts to something.
    Map(&'static Self),
}

/// Number, name and kind.
type Field = (u64, &'static str, Kind);

const TEXTS: Kind = Kind::List(&Kind::Text);
const LABELS: Kind = Kind::Map(&Kind::Text);

const OWNER: &[Field] = &[
    (5, "apiVersion", Kind::Text),
    (1, "kind", Kind::Text),
    (3, "name", Kind::Text),
    (4, "uid", Kind::Text),
    (6, "controller", Kind::Truth),
    (7, "blockOwnerDeletion", Kind::Truth),
];

const METADATA: Kind = Kind::Message(&[
    (1, "name", Kind::Text),
    (2, "generateName", Kind::Text),
    (3, "namespace", Kind::Text),
    (5, "uid", Kind::Text),
    (6, "resourceVersion", Kind::Text),
    (11, "labels", LABELS),
    (12, "annotations", LABELS),
    (13, "ownerReferences", Kind::List(&Kind::Message(OWNER))),
    (14, "finalizers", TEXTS),
]);

const ACCESS: Kind = Kind::Message(&[
    (
        1,
        "resourceAttributes",
        Kind::Message(&[
            (1, "namespace", Kind::Text),
            (2, "verb", Kind::Text),
            (3, "group", Kind::Text),
            (4, "version", Kind::Text),
            (5, "resource", Kind::Text),
            (6, "subresource", Kind::Text),
            (7, "name", Kind::Text),
        ]),
    ),
    (2, "nonResourceAttributes", Kind::Message(&[(1, "path", Kind::Text), (2, "verb", Kind::Text)])),
]);

fn fields(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "Namespace" => &[(1, "metadata", METADATA), (2, "spec", Kind::Message(&[(1, "finalizers", TEXTS)]))],
        "ConfigMap" => &[
            (1, "metadata", METADATA),
            (2, "data", LABELS),
            (3, "binaryData", Kind::Map(&Kind::Bytes)),
            (4, "immutable", Kind::Truth),
        ],
        "Secret" => &[
            (1, "metadata", METADATA),
            (2, "data", Kind::Map(&Kind::Bytes)),
            (3, "type", Kind::Text),
            (4, "stringData", LABELS),
            (5, "immutable", Kind::Truth),
        ],
        "ServiceAccount" => &[(1, "metadata", METADATA)],
        "SelfSubjectReview" => &[(1, "metadata", METADATA)],
        "SelfSubjectAccessReview" => &[(1, "metadata", METADATA), (2, "spec", ACCESS)],
        "SelfSubjectRulesReview" => {
            &[(1, "metadata", METADATA), (2, "spec", Kind::Message(&[(1, "namespace", Kind::Text)]))]
        }
        "TokenReview" => {
            &[(1, "metadata", METADATA), (2, "spec", Kind::Message(&[(1, "token", Kind::Text)]))]
        }
        "DeleteOptions" => &[
            (1, "gracePeriodSeconds", Kind::Number),
            (4, "propagationPolicy", Kind::Text),
            (5, "dryRun", TEXTS),
        ],
        _ => return None,
    })
}

/// Reads a body (`application/vnd.kubernetes.protobuf`); nothing if it is of a kind without a table, or broken.
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    const ENVELOPE: &[Field] = &[
        (1, "type", Kind::Message(&[(1, "apiVersion", Kind::Text), (2, "kind", Kind::Text)])),
        (2, "raw", Kind::Bytes),
    ];
    let envelope = message(body.strip_prefix(b"k8s\0")?, ENVELOPE)?;
    let kind = envelope.text("type.kind");
    let raw = STANDARD.decode(envelope.text("raw")).ok()?;
    let mut object = message(&raw, fields(kind)?)?;
    object.set("kind", kind);
    object.set("apiVersion", envelope.text("type.apiVersion"));
    Some(object)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The next field: its number, and its value as a number or as bytes.
fn next<'b>(bytes: &mut &'b [u8]) -> Option<(u64, u64, &'b [u8])> {
    let tag = varint(bytes)?;
    match tag & 7 {
        0 => Some((tag >> 3, varint(bytes)?, &[])),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (value, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Some((tag >> 3, 0, value))
        }
        _ => None,
    }
}

fn message(mut bytes: &[u8], fields: &[Field]) -> Option<Value> {
    let mut object = Value::Object(Map::new());
    while !bytes.is_empty() {
        let (number, count, value) = next(&mut bytes)?;
        let Some((_, name, kind)) = fields.iter().find(|(known, ..)| *known == number) else { continue };
        match kind {
            Kind::List(of) => {
                let item = single(count, value, **of)?;
                object.list_mut(name).push(item);
            }
            Kind::Map(of) => {
                let entry: &[Field] = &[(1, "key", Kind::Text), (2, "value", **of)];
                let entry = message(value, entry)?;
                let empty = || json!("");
                object.set_entry(name, entry.text("key"), entry.get("value").cloned().unwrap_or_else(empty));
            }
            single_kind => {
                let read = single(count, value, *single_kind)?;
                // Go's protobuf writes empty texts; JSON leaves them out.
                if read != json!("") {
                    object.set(name, read);
                }
            }
        }
    }
    Some(object)
}

fn single(count: u64, value: &[u8], kind: Kind) -> Option<Value> {
    Some(match kind {
        Kind::Text => std::str::from_utf8(value).ok()?.into(),
        Kind::Bytes => STANDARD.encode(value).into(),
        Kind::Number => count.into(),
        Kind::Truth => (count != 0).into(),
        Kind::Message(fields) => message(value, fields)?,
        Kind::List(_) | Kind::Map(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(value.len()).unwrap()];
        bytes.extend_from_slice(value);
        bytes
    }

    #[test]
    fn a_secret_is_read() {
        let kind = [field(1, b"v1"), field(2, b"Secret")].concat();
        let entry = [field(1, b"k"), field(2, b"v")].concat();
        let raw = [field(1, &field(1, b"name")), field(2, &entry), field(3, b"Opaque")].concat();
        let body = [b"k8s\0".to_vec(), field(1, &kind), field(2, &raw)].concat();
        let expected = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "name"}, "data": {"k": "dg=="}, "type": "Opaque"});
        assert_eq!(read(&body), Some(expected));
        assert_eq!(read(&body[..body.len() - 1]), None);
        assert_eq!(read(b"{}"), None);
    }
}

//! Bodies in protobuf, which `kubectl create` sends for built-in kinds. Answers are always JSON, which every client takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::kinds::{self, Field, Form};
use super::object::{Write as _, timestamp};

/// One field of a message as it is on the wire.
#[derive(Debug, Clone, Copy)]
struct Raw<'b> {
    number: u64,
    /// The value of a field of a fixed size.
    count: u64,
    /// The value of one that tells its length.
    bytes: &'b [u8],
}

/// Reads a body (`application/vnd.kubernetes.protobuf`); nothing if it is of an unknown kind, or broken.
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    let envelope = all(body.strip_prefix(b"k8s\0")?)?;
    let part = |fields: &[Raw<'_>], number: u64| -> Option<Vec<u8>> {
        fields.iter().find(|field| field.number == number).map(|field| field.bytes.to_vec())
    };
    let kind = part(&envelope, 1)?;
    let named = all(&kind)?;
    let text = |number: u64| String::from_utf8(part(&named, number).unwrap_or_default()).ok();
    let (version, kind) = (text(1)?, text(2)?);
    let (group, plain) = version.split_once('/').unwrap_or(("", &version));
    let mut object = message(&part(&envelope, 2)?, kinds::of(group, plain, &kind)?)?;
    object.set("kind", kind);
    object.set("apiVersion", version);
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

/// The fields of a message, in the order in which they come.
fn all(mut bytes: &[u8]) -> Option<Vec<Raw<'_>>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let (number, mut count, mut value): (u64, u64, &[u8]) = (tag >> 3, 0, &[]);
        match tag & 7 {
            0 => count = varint(&mut bytes)?,
            1 => {
                let (fixed, rest) = bytes.split_first_chunk::<8>()?;
                (count, bytes) = (u64::from_le_bytes(*fixed), rest);
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                (value, bytes) = bytes.split_at_checked(length)?;
            }
            _ => return None,
        }
        fields.push(Raw { number, count, bytes: value });
    }
    Some(fields)
}

fn message(bytes: &[u8], of: &str) -> Option<Value> {
    let mut object = Map::new();
    for raw in all(bytes)? {
        let Some(field) = kinds::fields(of).iter().find(|field| field.number == raw.number) else { continue };
        put(&mut object, field, raw)?;
    }
    Some(Value::Object(object))
}

fn put(object: &mut Map<String, Value>, field: &Field, raw: Raw<'_>) -> Option<()> {
    match &field.form {
        Form::List(of) => {
            let list = object.entry(field.name).or_insert_with(|| json!([]));
            list.as_array_mut()?.push(single(raw, of)?);
        }
        Form::Map(of) => {
            let entry = all(raw.bytes)?;
            let part = |number: u64| entry.iter().find(|field| field.number == number).copied();
            let key = part(1).map_or(Some(""), |key| std::str::from_utf8(key.bytes).ok())?;
            let value = single(part(2).unwrap_or(Raw { number: 2, count: 0, bytes: &[] }), of)?;
            let map = object.entry(field.name).or_insert_with(|| json!({}));
            map.as_object_mut()?.insert(key.to_owned(), value);
        }
        form => {
            let value = single(raw, form)?;
            if field.name.is_empty() {
                object.extend(value.as_object()?.clone());
            } else if field.optional || !is_empty(&value) {
                // Go writes empty values of what cannot be absent; JSON leaves them out.
                object.insert(field.name.to_owned(), value);
            }
        }
    }
    Some(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn single(raw: Raw<'_>, form: &Form) -> Option<Value> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Value::from);
    let inside = |number: u64| -> Option<Raw<'_>> {
        Some(all(raw.bytes)?.into_iter().find(|field| field.number == number).unwrap_or(Raw {
            number,
            count: 0,
            bytes: &[],
        }))
    };
    Some(match form {
        Form::Text => text(raw.bytes)?,
        Form::Bytes => STANDARD.encode(raw.bytes).into(),
        Form::Number => signed(raw.count).into(),
        Form::Float => f64::from_bits(raw.count).into(),
        Form::Truth => (raw.count != 0).into(),
        Form::Time if raw.bytes.is_empty() => Value::Null,
        Form::Time => timestamp(Timestamp::from_second(signed(inside(1)?.count)).ok()?).into(),
        Form::Duration => format!("{}ns", signed(inside(1)?.count)).into(),
        Form::Quantity => text(inside(1)?.bytes)?,
        Form::IntOrString if inside(1)?.count == 1 => text(inside(3)?.bytes)?,
        Form::IntOrString => signed(inside(2)?.count).into(),
        Form::Raw => serde_json::from_slice(inside(1)?.bytes).ok()?,
        Form::Message(of) => message(raw.bytes, of)?,
        Form::List(_) | Form::Map(_) => return None,
    })
}

/// Negative numbers are written in two's complement.
fn signed(count: u64) -> i64 {
    i64::from_le_bytes(count.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(value.len()).unwrap()];
        bytes.extend_from_slice(value);
        bytes
    }

    fn body(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let kind = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &kind), field(2, raw)].concat()
    }

    #[test]
    fn a_secret_is_read() {
        let entry = [field(1, b"k"), field(2, b"v")].concat();
        let raw = [field(1, &field(1, b"name")), field(2, &entry), field(3, b"Opaque")].concat();
        let body = body("v1", "Secret", &raw);
        let expected = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "name"}, "data": {"k": "dg=="}, "type": "Opaque"});
        assert_eq!(read(&body), Some(expected));
        assert_eq!(read(&body[..body.len() - 1]), None);
        assert_eq!(read(b"{}"), None);
    }

    #[test]
    fn numbers_quantities_and_inlined_parts_are_read() {
        let container = [field(1, b"c"), field(2, b"image")].concat();
        let volume = [field(1, b"v"), field(2, &field(2, b""))].concat();
        let pod = [field(1, &volume), field(2, &container), vec![4 << 3, 30]].concat();
        let read =
            read(&body("v1", "Pod", &[field(1, &field(1, b"p")), field(2, &pod), field(3, b"")].concat()))
                .unwrap();
        assert_eq!(
            read["spec"],
            json!({"volumes": [{"name": "v", "emptyDir": {}}], "terminationGracePeriodSeconds": 30,
            "containers": [{"name": "c", "image": "image"}]})
        );
        assert!(read.get("status").is_none());
        assert_eq!(signed(u64::MAX), -1);
    }
}

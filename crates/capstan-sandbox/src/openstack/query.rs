//! Query strings: filters by attribute, fields, paging, as Neutron and Octavia have them in common.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::ApiError;

/// The keys and values of a query string, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Of the text behind the `?`.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let decode = |part: &str| percent_decode(&part.replace('+', " "));
        let pair = |part: &str| match part.split_once('=') {
            Some((key, value)) => (decode(key), decode(value)),
            None => (decode(part), String::new()),
        };
        let pairs = text.unwrap_or_default().split('&').filter(|part| !part.is_empty()).map(pair).collect();
        Self { pairs }
    }

    /// The first value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All values of a key.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All pairs.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether the key is there, with or without a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Refuses keys that are not among `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.pairs.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, _)) => Err(unknown_key(key)),
            None => Ok(()),
        }
    }

    /// Octavia filters by what a resource refers to: `loadbalancer_id=ID` is `loadbalancers` with `id=ID`.
    pub(crate) fn name_references(&mut self) {
        for (key, value) in &mut self.pairs {
            let attribute = match key.as_str() {
                "loadbalancer_id" | "load_balancer_id" => "loadbalancers",
                "listener_id" => "listeners",
                "pool_id" => "pools",
                _ => continue,
            };
            attribute.clone_into(key);
            value.insert_str(0, "id=");
        }
    }

    /// The query without `marker`, ready for one to be appended.
    pub(crate) fn without_marker(&self) -> String {
        let kept = self.pairs.iter().filter(|(key, _)| key != "marker" && key != "page_reverse");
        kept.map(|(key, value)| format!("{}={}&", percent_encode(key), percent_encode(value))).collect()
    }
}

fn unknown_key(key: &str) -> ApiError {
    ApiError::new(
        400,
        "HTTPBadRequest",
        format!("Invalid input for operation: '{key}' is not a known filter."),
    )
}

/// The length of a page: any number of digits is one.
pub(crate) fn page_length(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX))
}

/// What Glance and Cinder say of a page's length that is none.
pub(crate) fn limit_error(text: &str) -> &'static str {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if number && text.starts_with('-') {
        "limit param must be positive"
    } else {
        "limit param must be an integer"
    }
}

/// `%41` becomes `A`; what isn't valid stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Whether what a URL escapes is UTF-8.
pub(crate) fn is_utf8(text: &str) -> bool {
    !text.contains('%') || !percent_decode(text).contains(char::REPLACEMENT_CHARACTER)
}

/// What may stand in a query's key or value.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Keys that steer a list and don't filter.
const STEERING: [&str; 6] = ["fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"];
const TAG_FILTERS: [&str; 4] = ["tags", "tags-any", "not-tags", "not-tags-any"];

/// One page of a collection.
pub(crate) struct Page {
    /// The items, with only the fields asked for.
    pub(crate) items: Vec<Value>,
    /// Id of the last item if more may follow.
    pub(crate) marker: Option<String>,
    /// Id of the first item.
    pub(crate) first: Option<String>,
}

/// Filters, sorts, pages and trims a collection. A key that no item of the type has is refused.
pub(crate) fn page<T: Serialize + Default>(query: &Query, items: Vec<Value>) -> Result<Page, ApiError> {
    let known = attributes::<T>();
    for (key, _) in query.pairs() {
        if !STEERING.contains(&key) && !TAG_FILTERS.contains(&key) && !known.contains_key(key) {
            return Err(unknown_key(key));
        }
    }
    if let Some(key) = query.all("sort_key").find(|key| !known.contains_key(*key)) {
        let text = format!("Invalid input for operation: '{key}' is an invalid attribute for sort keys.");
        return Err(ApiError::new(400, "BadSortKey", text));
    }
    let mut items: Vec<Value> = items.into_iter().filter(|item| matches(query, item)).collect();
    sort(query, &mut items);
    let start = match query.get("marker") {
        None => 0,
        Some(marker) => {
            let found = items.iter().position(|item| item["id"] == marker);
            1 + found.ok_or_else(|| {
                ApiError::new(
                    400,
                    "BadMarker",
                    format!("Invalid input for marker: '{marker}' was not found."),
                )
            })?
        }
    };
    let limit = match query.get("limit") {
        None => usize::MAX,
        Some(text) => {
            let invalid = || {
                let text = "Bad limit request: Limit must be an integer 0 or greater and not '{}'.";
                ApiError::new(400, "BadLimit", text.replace("{}", query.get("limit").unwrap_or_default()))
            };
            match page_length(text).ok_or_else(invalid)? {
                0 => usize::MAX,
                limit => limit,
            }
        }
    };
    let full: Vec<Value> = items.into_iter().skip(start).take(limit).collect();
    let id = |item: &Value| item["id"].as_str().map(str::to_owned);
    let marker = if full.len() == limit { full.last().and_then(id) } else { None };
    let first = full.first().and_then(id);
    let fields: Vec<&str> = query.all("fields").filter(|field| !field.is_empty()).collect();
    let items = full.into_iter().map(|item| trim(item, &fields)).collect();
    Ok(Page { items, marker, first })
}

/// The attributes that a type serialises.
fn attributes<T: Serialize + Default>() -> Map<String, Value> {
    match serde_json::to_value(T::default()) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Only the fields asked for; all if none is.
pub(crate) fn trim(item: Value, fields: &[&str]) -> Value {
    match item {
        Value::Object(map) if !fields.is_empty() => {
            map.into_iter().filter(|(key, _)| fields.contains(&key.as_str())).collect()
        }
        item => item,
    }
}

fn sort(query: &Query, items: &mut [Value]) {
    let keys: Vec<&str> = query.all("sort_key").collect();
    let directions: Vec<&str> = query.all("sort_dir").collect();
    for (at, key) in keys.iter().enumerate().rev() {
        items.sort_by_key(|item| text_of(&item[*key]));
        if directions.get(at) == Some(&"desc") {
            items.reverse();
        }
    }
}

/// Whether an item has, for each key, one of the values asked for.
fn matches(query: &Query, item: &Value) -> bool {
    query.pairs().all(|(key, _)| {
        if STEERING.contains(&key) {
            return true;
        }
        if TAG_FILTERS.contains(&key) {
            return query.all(key).all(|value| tags_match(key, value, &item["tags"]));
        }
        query.all(key).any(|wanted| attribute_matches(&item[key], wanted))
    })
}

fn tags_match(filter: &str, value: &str, tags: &Value) -> bool {
    let has = |tag: &str| tags.as_array().is_some_and(|tags| tags.iter().any(|each| each == tag));
    match filter {
        "tags" => value.split(',').all(has),
        "tags-any" => value.split(',').any(has),
        "not-tags" => !value.split(',').all(has),
        _ => !value.split(',').any(has),
    }
}

fn attribute_matches(actual: &Value, wanted: &str) -> bool {
    match actual {
        Value::Array(elements) => elements.iter().any(|element| match element {
            // `fixed_ips=ip_address=10.0.0.1`, `fixed_ips=subnet_id=...`
            Value::Object(map) => wanted
                .split_once('=')
                .is_some_and(|(key, value)| map.get(key).is_some_and(|actual| text_of(actual) == value)),
            element => text_of(element) == wanted,
        }),
        Value::Bool(actual) => match wanted.to_ascii_lowercase().as_str() {
            "true" | "1" => *actual,
            "false" | "0" => !actual,
            _ => false,
        },
        Value::Null => wanted.is_empty(),
        actual => text_of(actual) == wanted,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// `{"networks": [...], "networks_links": [...]}`; `always` adds the links even where there is no next page.
pub(crate) fn collection(name: &str, url: &str, query: &Query, page: Page, always: bool) -> Value {
    let mut links = Vec::new();
    let base = format!("{url}?{}", query.without_marker());
    if let Some(marker) = &page.marker {
        links.push(json!({"rel": "next", "href": format!("{base}marker={marker}")}));
    }
    if let (Some(first), true) = (&page.first, query.has("limit")) {
        links.push(json!({"rel": "previous", "href": format!("{base}marker={first}&page_reverse=True")}));
    }
    let mut body = Map::new();
    body.insert(name.to_owned(), Value::Array(page.items));
    if always || !links.is_empty() {
        body.insert(format!("{name}_links"), Value::Array(links));
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Serialize)]
    struct Thing {
        id: String,
        name: String,
        tags: Vec<String>,
        shared: bool,
        fixed_ips: Vec<Value>,
    }

    fn things() -> Vec<Value> {
        let thing = |id: &str, name: &str, tags: &[&str]| {
            json!({"id": id, "name": name, "tags": tags, "shared": false,
                   "fixed_ips": [{"ip_address": format!("10.0.0.{id}")}]})
        };
        vec![thing("1", "b", &["x"]), thing("2", "a", &["x", "y"]), thing("3", "c", &[])]
    }

    fn ids(query: &str) -> Vec<String> {
        let page = page::<Thing>(&Query::parse(Some(query)), things()).unwrap();
        page.items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn filters_take_any_of_one_key_and_all_keys() {
        assert_eq!(ids("name=a&name=b"), ["1", "2"]);
        assert_eq!(ids("tags=x%2Cy"), ["2"]);
        assert_eq!(ids("tags-any=y,z"), ["2"]);
        assert_eq!(ids("not-tags=x"), ["3"]);
        assert_eq!(ids("shared=False"), ["1", "2", "3"]);
        assert_eq!(ids("fixed_ips=ip_address%3D10.0.0.3"), ["3"]);
        assert_eq!(ids("sort_key=name"), ["2", "1", "3"]);
    }

    #[test]
    fn pages_end_with_a_marker() {
        let query = Query::parse(Some("limit=2&fields=id"));
        let page = page::<Thing>(&query, things()).unwrap();
        assert_eq!(page.items, vec![json!({"id": "1"}), json!({"id": "2"})]);
        assert_eq!(page.marker.as_deref(), Some("2"));
        assert_eq!(ids("limit=2&marker=2"), ["3"]);
    }

    #[test]
    fn an_unknown_filter_is_refused() {
        assert_eq!(page::<Thing>(&Query::parse(Some("bogus=1")), things()).err().unwrap().status, 400);
    }
}

//! Paths of an API server.

use std::collections::BTreeMap;

use axum::extract::Query;
use http::Uri;

use super::error::{Answer, Status};

/// What a path is about. The names of groups, resources and objects in it are not checked yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/`
    Root,
    /// `/healthz`, `/readyz`, `/livez`
    Health,
    Version,
    /// `/api` or `/apis`
    Groups {
        core: bool,
    },
    /// `/apis/GROUP`
    Group(String),
    /// `/api/v1` or `/apis/GROUP/VERSION`
    Resources {
        group: String,
        version: String,
    },
    /// `/openapi/v2`
    OlderOpenApi,
    /// `/openapi/v3`
    OpenApi,
    /// `/openapi/v3/api/v1` or `/openapi/v3/apis/GROUP/VERSION`
    OpenApiDocument {
        group: String,
        version: String,
    },
    Resource(Place),
    Unknown,
}

/// A resource, one object of it, or a part of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    /// Empty: all namespaces, or an object of the cluster.
    pub(crate) namespace: String,
    /// Empty: the collection.
    pub(crate) name: String,
    /// `status`, `scale` ...
    pub(crate) subresource: String,
}

/// Reads a path, which begins where the API server is mounted. The second result is the template under which it is counted.
pub(crate) fn parse(path: &str) -> (Target, String) {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let target = match segments.as_slice() {
        [] => Target::Root,
        ["healthz" | "readyz" | "livez", ..] => Target::Health,
        ["version"] => Target::Version,
        ["api"] => Target::Groups { core: true },
        ["apis"] => Target::Groups { core: false },
        ["api", version] => Target::Resources { group: String::new(), version: (*version).to_owned() },
        ["apis", group] => Target::Group((*group).to_owned()),
        ["apis", group, version] => {
            Target::Resources { group: (*group).to_owned(), version: (*version).to_owned() }
        }
        ["openapi", "v2"] => Target::OlderOpenApi,
        ["openapi", "v3"] => Target::OpenApi,
        ["openapi", "v3", "api", version] => {
            Target::OpenApiDocument { group: String::new(), version: (*version).to_owned() }
        }
        ["openapi", "v3", "apis", group, version] => {
            Target::OpenApiDocument { group: (*group).to_owned(), version: (*version).to_owned() }
        }
        ["api", version, rest @ ..] => place("", version, rest),
        ["apis", group, version, rest @ ..] => place(group, version, rest),
        _ => Target::Unknown,
    };
    let template = match &target {
        Target::Resource(place) => place.template(),
        _ => format!("/{}", segments.join("/")),
    };
    (target, template)
}

fn place(group: &str, version: &str, rest: &[&str]) -> Target {
    let (namespace, rest) = match rest {
        // A namespace itself, and its status and finalizers.
        ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", rest),
        ["namespaces", namespace, rest @ ..] => (*namespace, rest),
        rest => ("", rest),
    };
    let text = |index: usize| rest.get(index).map(|segment| (*segment).to_owned()).unwrap_or_default();
    if rest.len() > 3 && rest.get(2) != Some(&"proxy") {
        return Target::Unknown;
    }
    Target::Resource(Place {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace: namespace.to_owned(),
        plural: text(0),
        name: text(1),
        subresource: text(2),
    })
}

impl Place {
    /// A subresource of what a kubelet runs or reaches.
    pub(crate) fn reaches_containers(&self) -> bool {
        let proxied = matches!(self.plural.as_str(), "services" | "nodes") && self.subresource == "proxy";
        self.group.is_empty() && (self.plural == "pods" || proxied)
    }

    fn template(&self) -> String {
        let Self { group, version, plural, .. } = self;
        let mut path =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        if !self.namespace.is_empty() {
            path += "/namespaces/{namespace}";
        }
        path += &format!("/{plural}");
        if !self.name.is_empty() {
            path += "/{name}";
        }
        if !self.subresource.is_empty() {
            path += &format!("/{}", self.subresource);
        }
        path
    }
}

/// The query of a request.
#[derive(Debug, Default)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(crate) fn of(uri: &Uri) -> Self {
        let pairs =
            Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        Self(pairs.into_iter().collect())
    }

    /// A parameter, `""` if it isn't given.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// True for everything but `false` and `0`, as for the API server.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|text| text != "0" && !text.eq_ignore_ascii_case("false"))
    }

    /// Refuses counts that are none.
    ///
    /// # Errors
    /// 400 as the API server says it.
    pub(crate) fn check_numbers(&self) -> Answer<()> {
        let texts = ["limit", "timeoutSeconds", "gracePeriodSeconds"].map(|name| self.text(name));
        match texts.iter().find(|text| !text.is_empty() && text.parse::<i64>().is_err()) {
            None => Ok(()),
            Some(text) => {
                Err(Status::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")))
            }
        }
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let (target, template) = parse("/apis/cluster.x-k8s.io/v1beta2/namespaces/a/clusters/b/status");
        let Target::Resource(place) = target else { panic!("not a resource") };
        assert_eq!(
            (place.group.as_str(), place.namespace.as_str(), place.subresource.as_str()),
            ("cluster.x-k8s.io", "a", "status")
        );
        assert_eq!(template, "/apis/cluster.x-k8s.io/v1beta2/namespaces/{namespace}/clusters/{name}/status");
        let (Target::Resource(place), _) = parse("/api/v1/namespaces/a") else { panic!("not a resource") };
        assert_eq!((place.plural.as_str(), place.name.as_str()), ("namespaces", "a"));
        let (Target::Resource(place), _) = parse("/api/v1/namespaces/a/pods") else {
            panic!("not a resource")
        };
        assert_eq!((place.plural.as_str(), place.namespace.as_str(), place.name.as_str()), ("pods", "a", ""));
        assert_eq!(parse("/logs").0, Target::Unknown);
        assert_eq!(parse("/apis").0, Target::Groups { core: false });
    }
}

//! Routes that are alike for all resources of Neutron and Octavia.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::handler::Handler;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::OpenStack;
use super::body;
use super::caller::Caller;
use super::error::{ApiError, Shape};
use super::query::{self, Query};
use super::resource::Resource;
use crate::World;

/// `GET` and `POST` on the collection, `GET`, `PUT` and `DELETE` on one.
pub(crate) fn collection<R: Resource>(routes: Router<World>, shape: Shape, path: &str) -> Router<World> {
    collection_with_delete::<R, _, _>(routes, shape, path, delete::<R>)
}

/// The same, with a delete of its own.
pub(crate) fn collection_with_delete<R: Resource, H: Handler<T, World>, T: 'static>(
    routes: Router<World>,
    shape: Shape,
    path: &str,
    delete: H,
) -> Router<World> {
    let create = move |world, caller, bytes| create::<R>(shape, world, caller, bytes);
    let update = move |world, caller, path, bytes| update::<R>(shape, world, caller, path, bytes);
    let list = move |world, caller, query, uri| list::<R>(shape, world, caller, query, uri);
    routes
        .route(path, get(list).post(create))
        .route(&format!("{path}/{{id}}"), get(show::<R>).put(update).delete(delete))
}

/// One under its name: `{"network": {...}}`.
pub(crate) fn one<R: Resource>(view: Value) -> axum::Json<Value> {
    axum::Json(json!({ R::ONE: view }))
}

async fn list<R: Resource>(
    shape: Shape,
    State(world): State<World>,
    caller: Caller,
    RawQuery(text): RawQuery,
    uri: Uri,
) -> Result<axum::Json<Value>, ApiError> {
    let mut query = Query::parse(text.as_deref());
    if shape == Shape::Octavia {
        query.name_references();
    }
    let views = {
        let cloud = world.openstack();
        // The usual filters first: they spare most of the views.
        let wanted = |key: &str| query.get(key).filter(|_| query.all(key).count() == 1).map(str::to_owned);
        let (id, name) = (wanted("id"), wanted("name"));
        let mut narrow: Vec<(String, String)> = Vec::new();
        for (key, value) in query.pairs().filter(|(key, _)| wanted(key).is_some()) {
            narrow.push((key.to_owned(), value.to_owned()));
        }
        let fits = move |each: &R| {
            id.as_deref().is_none_or(|id| each.id() == id)
                && name.as_deref().is_none_or(|name| each.name() == name)
                && narrow.iter().all(|(key, value)| each.at_hand(key).is_none_or(|known| known == value))
        };
        R::find(&cloud, &caller, fits).map(|each| each.view(&cloud)).collect()
    };
    let page = query::page::<R>(&query, views).map_err(|error| refusal(shape, &query, error))?;
    let url = format!("{}{}", world.base_url(), uri.path());
    Ok(axum::Json(query::collection(R::MANY, &url, &query, page, shape == Shape::Octavia)))
}

/// What a service says of a query that it doesn't understand.
fn refusal(shape: Shape, query: &Query, error: ApiError) -> ApiError {
    let of = |key: &str| query.get(key).unwrap_or_default().to_owned();
    match (shape, error.kind.as_str()) {
        (Shape::Octavia, "BadMarker") => {
            ApiError::bad_request(format!("Supplied pagination marker '{}' is not valid.", of("marker")))
        }
        (Shape::Octavia, "BadSortKey") => {
            ApiError::bad_request(format!("Supplied sort key '{}' is not valid.", of("sort_key")))
        }
        (Shape::Octavia, "BadLimit") => {
            ApiError::bad_request(format!("Supplied pagination limit '{}' is not valid.", of("limit")))
        }
        (Shape::Octavia, _) => ApiError::bad_request("One or more arguments are either duplicate or invalid"),
        (_, "BadMarker" | "BadSortKey" | "BadLimit") => ApiError { kind: "BadRequest".to_owned(), ..error },
        _ => error,
    }
}

async fn show<R: Resource>(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<Value>, ApiError> {
    let query = Query::parse(text.as_deref());
    let cloud = world.openstack();
    let view = R::get(&cloud, &caller, &id)?.view(&cloud);
    let fields: Vec<&str> = query.all("fields").collect();
    Ok(one::<R>(query::trim(view, &fields)))
}

async fn create<R: Resource>(
    shape: Shape,
    State(world): State<World>,
    caller: Caller,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    if let Some(requests) = body::bulk::<R::Create>(shape, R::ONE, R::MANY, &bytes)? {
        return create_all::<R>(&mut world.openstack(), &caller, requests);
    }
    let request = body::rooted::<R::Create>(shape, R::ONE, &bytes)?;
    let mut cloud = world.openstack();
    let made = R::create(&mut cloud, &caller, request.clone())?;
    cloud.twin(R::ONE, made.name(), |cloud| R::create(cloud, &caller, request));
    Ok((StatusCode::CREATED, one::<R>(made.view(&cloud))).into_response())
}

/// All, or none and why.
fn create_all<R: Resource>(
    cloud: &mut OpenStack,
    caller: &Caller,
    requests: Vec<R::Create>,
) -> Result<Response, ApiError> {
    let mut made: Vec<R> = Vec::new();
    for request in requests {
        match R::create(cloud, caller, request) {
            Ok(one) => made.push(one),
            Err(error) => {
                for one in made {
                    R::delete(cloud, caller, one.id())?;
                }
                return Err(error);
            }
        }
    }
    let views: Vec<Value> = made.iter().map(|one| one.view(cloud)).collect();
    Ok((StatusCode::CREATED, axum::Json(json!({ R::MANY: views }))).into_response())
}

async fn update<R: Resource>(
    shape: Shape,
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let change = body::rooted::<R::Update>(shape, R::ONE, &bytes)?;
    let mut cloud = world.openstack();
    let changed = R::update(&mut cloud, &caller, &id, change)?;
    Ok(one::<R>(changed.view(&cloud)))
}

async fn delete<R: Resource>(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    R::delete(&mut world.openstack(), &caller, &id)?;
    Ok(StatusCode::NO_CONTENT)
}

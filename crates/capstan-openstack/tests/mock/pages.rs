//! Lists that come in pages.

use crate::support::{ManualTime, Mock, Reply};
use capstan_openstack::network::Filter;
use capstan_openstack::{Error, image};
use serde_json::{Value, json};

const NETWORKS: &str = "GET /network/v2.0/networks";
const IMAGES: &str = "GET /image/v2/images";
const GROUPS: &str = "GET /compute/v2.1/os-server-groups";

fn page(ids: std::ops::Range<u32>, next: Option<&str>) -> Reply {
    let networks: Vec<Value> = ids.map(|id| json!({"id": id.to_string(), "name": "n"})).collect();
    let links: Vec<Value> = next.iter().map(|href| json!({"rel": "next", "href": href})).collect();
    Reply::json(200, json!({"networks": networks, "networks_links": links}))
}

#[tokio::test]
async fn links_are_followed_by_their_query_alone() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    // Behind a proxy, services often name themselves by an inner address.
    mock.once(NETWORKS, page(0..2, Some("http://10.0.0.1:9696/v2.0/networks?limit=2&marker=1&tags=a%2Cb")))
        .once(NETWORKS, page(2..4, Some("/v2.0/networks?limit=2&marker=3&tags=a%2Cb")))
        .once(NETWORKS, page(4..5, None));
    let cloud = mock.connect(&time).await;
    let filter = Filter { tags: vec!["a".into(), "b".into()], ..Filter::default() };
    let networks = cloud.network().unwrap().networks(&filter).await.unwrap();
    assert_eq!(networks.iter().map(|network| network.id.as_str()).collect::<String>(), "01234");
    let paths: Vec<_> = mock.seen(NETWORKS).into_iter().map(|seen| seen.path).collect();
    assert_eq!(
        paths,
        [
            "/network/v2.0/networks?tags=a%2Cb",
            "/network/v2.0/networks?limit=2&marker=1&tags=a%2Cb",
            "/network/v2.0/networks?limit=2&marker=3&tags=a%2Cb",
        ]
    );
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_end() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.always(NETWORKS, page(0..2, Some("/v2.0/networks?marker=1")));
    let cloud = mock.connect(&time).await;
    let error = cloud.network().unwrap().networks(&Filter::default()).await.unwrap_err();
    assert!(matches!(error, Error::PagesInCircle { .. }), "{error:?}");
    assert_eq!(mock.seen(NETWORKS).len(), 2);
}

#[tokio::test]
async fn glance_has_its_own_form_of_links() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    let image = |id: &str| json!({"id": id, "name": "i", "status": "active"});
    mock.once(
        IMAGES,
        Reply::json(200, json!({"images": [image("a")], "next": "/v2/images?limit=1&marker=a"})),
    )
    .once(IMAGES, Reply::json(200, json!({"images": [image("b")], "first": "/v2/images"})));
    let cloud = mock.connect(&time).await;
    let images = cloud.image().unwrap().images(&image::Filter::named("in:a,b")).await.unwrap();
    assert_eq!(images.iter().map(|image| image.id.as_str()).collect::<String>(), "ab");
    assert_eq!(mock.seen(IMAGES)[0].path, "/image/v2/images?limit=100&name=in%3A%22in%3Aa%2Cb%22");
}

#[tokio::test]
async fn a_broken_page_in_the_middle_is_fetched_again_and_not_the_first() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    mock.once(NETWORKS, page(0..2, Some("/v2.0/networks?marker=1")))
        .once(NETWORKS, Reply::Half)
        .once(NETWORKS, page(2..3, None));
    let cloud = mock.connect(&time).await;
    assert_eq!(cloud.network().unwrap().networks(&Filter::default()).await.unwrap().len(), 3);
    assert_eq!(mock.seen(NETWORKS).len(), 3);
}

#[tokio::test]
async fn server_groups_have_no_links_and_are_counted() {
    let (mock, time) = (Mock::start().await, ManualTime::new());
    let groups = |ids: std::ops::Range<u32>| {
        let groups: Vec<Value> =
            ids.map(|id| json!({"id": id.to_string(), "name": "g", "policy": "affinity"})).collect();
        Reply::json(200, json!({"server_groups": groups}))
    };
    mock.once(GROUPS, groups(0..100)).once(GROUPS, groups(100..130));
    let cloud = mock.connect(&time).await;
    assert_eq!(cloud.compute().unwrap().server_groups().await.unwrap().len(), 130);
    assert!(mock.seen(GROUPS)[1].path.ends_with("?limit=100&offset=100"));
}

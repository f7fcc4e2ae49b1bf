//! The documents of a fleet: nothing that is read panics, everything wrong has a place, and what is right says the
//! same after it was written and read again, differs from itself in nothing, and can be edited.
#![no_main]

use std::collections::BTreeMap;

use capstan_clusters::facts::{Facts, Flavor};
use capstan_clusters::render::{Input, objects};
use capstan_core::documents::PathPart::{Key, Named};
use capstan_core::documents::{LoadedFleet, ResolvedCluster, Source, load, set_number, set_text};
use capstan_fuzz::parts;
use capstan_kube::diff::diff;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let sources: Vec<Source> = parts(input, 4)
        .into_iter()
        .enumerate()
        .map(|(number, text)| Source::new(format!("{number}.yaml"), text))
        .collect();
    match load(&sources) {
        Ok(fleet) => {
            says_the_same_again(&fleet);
            for cluster in &fleet.clusters {
                is_rendered(cluster);
                is_edited(&sources, &fleet, cluster);
            }
        }
        Err(problems) => {
            assert!(!problems.list().is_empty(), "refused without a reason");
            assert!(!problems.to_string().is_empty());
            for problem in problems.list() {
                if let Some(position) = &problem.position {
                    assert!(position.line > 0 && position.column > 0, "{problem}");
                }
            }
        }
    }
});

fn says_the_same_again(fleet: &LoadedFleet) {
    let mut bare = fleet.fleet.clone();
    bare.spec.defaults.clear();
    let mut sources = vec![Source::new("fleet.yaml", serde_saphyr::to_string(&bare).expect("YAML"))];
    for cluster in &fleet.clusters {
        let text = serde_saphyr::to_string(&cluster.document()).expect("YAML");
        sources.push(Source::new(cluster.name(), text));
    }
    let again = load(&sources).unwrap_or_else(|problems| panic!("written and not read again: {problems}"));
    assert_eq!(again.fleet, bare);
    assert_eq!(again.clusters.len(), fleet.clusters.len());
    for (again, first) in again.clusters.iter().zip(&fleet.clusters) {
        assert!(same(again, first), "{again:?}\n{first:?}");
    }
}

/// The same but for the file that it came from.
fn same(one: &ResolvedCluster, other: &ResolvedCluster) -> bool {
    ResolvedCluster { file: String::new(), ..one.clone() }
        == ResolvedCluster { file: String::new(), ..other.clone() }
}

/// What is made of the document is valid and settled: rendered twice it differs in nothing.
fn is_rendered(cluster: &ResolvedCluster) {
    let known = |name: &String| (name.clone(), Flavor { vcpus: 2, ram_mib: 4096, disk_gib: 20 });
    let mut flavors = BTreeMap::from([known(&cluster.spec.control_plane.flavor)]);
    flavors.extend(cluster.spec.node_groups.iter().map(|group| known(&group.flavor)));
    let facts = Facts {
        version: cluster.spec.kubernetes.version,
        flavors,
        image_min_disk_gib: 8,
        external_network: Some("6a8a1a4e-3b1c-4b0e-8a57-6f3a5d1f2c11".into()),
        existing_network: None,
        volume_zones_match: false,
    };
    let render = || objects(Input { names: &cluster.names, spec: &cluster.spec, facts: &facts });
    let (first, second) = (render(), render());
    let mut seen = std::collections::BTreeSet::new();
    for (one, other) in first.iter().zip(second.iter()) {
        let found = diff(one, other);
        assert!(found.is_empty(), "an object differs from itself: {found:?}");
        let name = one["metadata"]["name"].as_str().expect("every object has a name");
        assert!(name.len() <= 63, "a name of {} characters", name.len());
        assert!(seen.insert((one["kind"].to_string(), name.to_owned())), "two objects of one name: {name}");
    }
}

/// An edit changes what it is for, and nothing else.
fn is_edited(sources: &[Source], fleet: &LoadedFleet, cluster: &ResolvedCluster) {
    let Some(number) = sources.iter().position(|source| source.path == cluster.file) else { return };
    let text = std::str::from_utf8(&sources[number].text).expect("it was read");
    let reload = |text: String| {
        let mut changed = sources.to_vec();
        changed[number].text = text.into();
        load(&changed).unwrap_or_else(|problems| panic!("an edit broke the document: {problems}"))
    };
    let insist = |edited: LoadedFleet, change: &dyn Fn(&mut ResolvedCluster)| {
        assert_eq!(edited.fleet, fleet.fleet);
        for (now, before) in edited.clusters.iter().zip(&fleet.clusters) {
            let mut wanted = before.clone();
            if before.name() == cluster.name() {
                change(&mut wanted);
            }
            assert!(same(now, &wanted), "edited: {now:?}\nwanted: {wanted:?}");
        }
    };
    let replicas = [Key("spec"), Key("controlPlane"), Key("replicas")];
    if let Ok(text) = set_number(text, cluster.name(), &replicas, 5) {
        insist(reload(text), &|cluster| cluster.spec.control_plane.replicas = 5);
    }
    for group in &cluster.spec.node_groups {
        let replicas = [Key("spec"), Key("nodeGroups"), Named(&group.name), Key("replicas")];
        if let Ok(text) = set_number(text, cluster.name(), &replicas, 7) {
            insist(reload(text), &|cluster| {
                let groups = &mut cluster.spec.node_groups;
                groups
                    .iter_mut()
                    .filter(|other| other.name == group.name)
                    .for_each(|group| group.replicas = 7);
            });
        }
    }
    let version = [Key("spec"), Key("kubernetes"), Key("version")];
    if let Ok(text) = set_text(text, cluster.name(), &version, "v1.36.1") {
        insist(reload(text), &|cluster| {
            cluster.spec.kubernetes.version = "v1.36.1".parse().expect("a version")
        });
    }
}

//! Values that are one text: what is read is written back as the same, and comparisons hold what they promise.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use capstan_core::documents::{Cidr, CountOrPercent, ImageSource, ImageSpec, MinimumVersion, Sha256Sum};
use capstan_core::names::{ClusterNames, check_dns_label};
use capstan_core::versions::{KubernetesVersion, UpgradeStep, check_skew, upgrade_step};
use capstan_openstack::{Microversion, near};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut lines = input.lines();
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    for text in [first, second] {
        says_the_same_again::<KubernetesVersion>(text);
        says_the_same_again::<MinimumVersion>(text);
        says_the_same_again::<Microversion>(text);
        says_the_same_again::<Cidr>(text);
        says_the_same_again::<Sha256Sum>(text);
        says_the_same_again::<ImageSource>(text);
        says_the_same_again::<CountOrPercent>(text);
    }
    if let (Ok(one), Ok(other)) = (first.parse(), second.parse()) {
        versions(one, other);
    }
    if let (Ok(one), Ok(other)) = (first.parse::<Cidr>(), second.parse::<Cidr>()) {
        assert!(one.overlaps(&one));
        assert_eq!(one.overlaps(&other), other.overlaps(&one));
    }
    if let Ok(minimum) = first.parse::<MinimumVersion>() {
        assert_eq!(minimum.is_met_by(&minimum.to_string()), Some(true), "{minimum} does not meet itself");
        let _ = minimum.is_met_by(second);
    }
    if let Ok(version) = second.parse::<KubernetesVersion>() {
        images(first, version);
    }
    if check_dns_label(first).is_ok() && check_dns_label(second).is_ok() {
        let names = ClusterNames::new(first, second);
        assert!(names.namespace().starts_with(first) && names.namespace().ends_with(second));
    }
    let known: Vec<&str> = lines.collect();
    if let Some(found) = near(first, known.iter().copied()) {
        assert!(known.contains(&found.as_str()), "`{found}` is not one of them");
    }
});

fn says_the_same_again<T>(text: &str)
where
    T: FromStr + Display + Debug + PartialEq,
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(value) => {
            let shown = value.to_string();
            match shown.parse::<T>() {
                Ok(again) => assert_eq!(again, value, "`{text}` was shown as `{shown}`"),
                Err(error) => panic!("`{text}` was shown as `{shown}`, which is not read: {error}"),
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn versions(one: KubernetesVersion, other: KubernetesVersion) {
    assert_eq!(upgrade_step(&one, &one), Ok(UpgradeStep::None));
    assert_eq!(check_skew(&one, &one), Ok(()));
    let step = upgrade_step(&one, &other);
    match &step {
        Ok(UpgradeStep::None) => assert!(one == other || other.matches(&one)),
        Ok(UpgradeStep::Patch) => assert!(one < other && one.minor() == other.minor()),
        Ok(UpgradeStep::Minor) => {
            assert_eq!(other.minor(), one.minor() + 1);
            assert_eq!(
                check_skew(&other, &one),
                Ok(()),
                "nodes of {one} under {other} in the middle of an upgrade"
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if step.is_ok_and(|step| step != UpgradeStep::None) {
        // A minor alone asks for any patch of it, so that it may follow its own patches.
        let back = upgrade_step(&other, &one);
        assert!(matches!(back, Err(_) | Ok(UpgradeStep::None)), "from {one} to {other} and back: {back:?}");
    }
    if other.is_release() && one.matches(&other) {
        assert_eq!(one.newest([&other]), Some(other));
    }
}

/// The name of an image tells the release that it was made for.
fn images(pattern: &str, version: KubernetesVersion) {
    let image = ImageSpec { name: pattern.into(), ..ImageSpec::default() };
    let name = image.name_for(&version);
    let found = image.version_of(&name);
    if version.is_release() && pattern.contains("{version}") {
        assert_eq!(found, Some(version), "`{pattern}` gives `{name}`");
    }
    if let Some(found) = found {
        assert_eq!(image.name_for(&found), name);
    }
}

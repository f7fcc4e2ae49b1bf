//! Kubernetes versions: reading, ordering, and which step from one to the next is allowed.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Minor releases of Kubernetes 1 that Cluster API 1.14 supports in workload clusters (its book, `reference/versions`).
pub const TESTED_MINORS: RangeInclusive<u64> = 31..=36;

/// How many minor releases a kubelet may be older than its API server (Kubernetes' version skew policy).
pub const MAX_KUBELET_SKEW: u64 = 3;

/// A Kubernetes release: `v1.36.1`, or a minor alone, `1.36`, that stands for its newest patch with a published image.
///
/// Ordered by minor, then patch; a minor alone sorts before its patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion {
    major: u64,
    minor: u64,
    patch: Option<u64>,
}

/// Why a text is not a Kubernetes version, or a step between two versions is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VersionError {
    /// The text has another shape.
    #[error("`{0}` is not a Kubernetes version: write a minor such as `1.36` or a release such as `v1.36.1`")]
    Malformed(String),
    /// A pre-release or a build suffix, for which there are no images.
    #[error("`{0}` is a pre-release: write a released version such as `v1.36.1`")]
    PreRelease(String),
    /// Lower than what runs; etcd and the API server cannot go back.
    #[error("Kubernetes cannot go back from {from} to {to}")]
    Downgrade {
        /// What runs.
        from: KubernetesVersion,
        /// What is wanted.
        to: KubernetesVersion,
    },
    /// More than one minor at a time.
    #[error(
        "Kubernetes upgrades one minor release at a time: from {from} go to v{major}.{next} first, then to {to}"
    )]
    SkipsMinor {
        /// What runs.
        from: KubernetesVersion,
        /// What is wanted.
        to: KubernetesVersion,
        /// Major of the next allowed release.
        major: u64,
        /// Minor of the next allowed release.
        next: u64,
    },
    /// Another major.
    #[error("there is no way from {from} to {to}")]
    OtherMajor {
        /// What runs.
        from: KubernetesVersion,
        /// What is wanted.
        to: KubernetesVersion,
    },
    /// Nodes newer than the API server, or more than [`MAX_KUBELET_SKEW`] minors older.
    #[error(
        "nodes of {kubelet} cannot work under a control plane of {control_plane}: they may be at most {MAX_KUBELET_SKEW} minor releases older, never newer"
    )]
    Skew {
        /// The control plane's version.
        control_plane: KubernetesVersion,
        /// The nodes' version.
        kubelet: KubernetesVersion,
    },
}

/// What a permitted change of version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UpgradeStep {
    /// Nothing changes.
    None,
    /// A newer patch of the same minor.
    Patch,
    /// The next minor.
    Minor,
}

impl KubernetesVersion {
    /// The release `vMAJOR.MINOR.PATCH`.
    #[must_use]
    pub const fn release(major: u64, minor: u64, patch: u64) -> Self {
        Self { major, minor, patch: Some(patch) }
    }

    /// A minor alone, `MAJOR.MINOR`.
    #[must_use]
    pub const fn minor_only(major: u64, minor: u64) -> Self {
        Self { major, minor, patch: None }
    }

    /// The major number; 1 for as long as anybody can see.
    #[must_use]
    pub const fn major(&self) -> u64 {
        self.major
    }

    /// The minor number.
    #[must_use]
    pub const fn minor(&self) -> u64 {
        self.minor
    }

    /// The patch number, if the version names one.
    #[must_use]
    pub const fn patch(&self) -> Option<u64> {
        self.patch
    }

    /// Whether the version names a patch, so that Cluster API can be given it.
    #[must_use]
    pub const fn is_release(&self) -> bool {
        self.patch.is_some()
    }

    /// Whether `self`, a minor or a release, is satisfied by `release`.
    #[must_use]
    pub fn matches(&self, release: &Self) -> bool {
        self.major == release.major
            && self.minor == release.minor
            && self.patch.is_none_or(|patch| release.patch == Some(patch))
    }

    /// The newest of `releases` that satisfies `self`.
    pub fn newest<'a>(&self, releases: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        releases.into_iter().filter(|release| release.is_release() && self.matches(release)).max().copied()
    }

    /// Whether the minor is in [`TESTED_MINORS`].
    #[must_use]
    pub fn is_tested(&self) -> bool {
        self.major == 1 && TESTED_MINORS.contains(&self.minor)
    }
}

/// The step from what runs to what is wanted.
///
/// A minor alone as `to` asks for any patch of it, so it never goes back within its minor.
///
/// # Errors
/// [`VersionError::Downgrade`], [`VersionError::SkipsMinor`] or [`VersionError::OtherMajor`].
pub fn upgrade_step(from: &KubernetesVersion, to: &KubernetesVersion) -> Result<UpgradeStep, VersionError> {
    if from.major != to.major {
        return Err(VersionError::OtherMajor { from: *from, to: *to });
    }
    if to.minor < from.minor {
        return Err(VersionError::Downgrade { from: *from, to: *to });
    }
    if to.minor > from.minor + 1 {
        return Err(VersionError::SkipsMinor {
            from: *from,
            to: *to,
            major: from.major,
            next: from.minor + 1,
        });
    }
    if to.minor == from.minor + 1 {
        return Ok(UpgradeStep::Minor);
    }
    match (from.patch, to.patch) {
        (Some(old), Some(new)) if new < old => Err(VersionError::Downgrade { from: *from, to: *to }),
        (Some(old), Some(new)) if new > old => Ok(UpgradeStep::Patch),
        (None, Some(_)) => Ok(UpgradeStep::Patch),
        _ => Ok(UpgradeStep::None),
    }
}

/// Whether kubelets of `kubelet` may run under an API server of `control_plane`.
///
/// # Errors
/// [`VersionError::Skew`].
pub fn check_skew(
    control_plane: &KubernetesVersion,
    kubelet: &KubernetesVersion,
) -> Result<(), VersionError> {
    let newer = (kubelet.major, kubelet.minor) > (control_plane.major, control_plane.minor);
    let too_old = kubelet.minor + MAX_KUBELET_SKEW < control_plane.minor;
    if newer || too_old || kubelet.major != control_plane.major {
        return Err(VersionError::Skew { control_plane: *control_plane, kubelet: *kubelet });
    }
    Ok(())
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            Some(patch) => write!(f, "v{}.{}.{patch}", self.major, self.minor),
            None => write!(f, "v{}.{}", self.major, self.minor),
        }
    }
}

impl FromStr for KubernetesVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || VersionError::Malformed(text.chars().take(40).collect());
        let number = |part: &str| -> Result<u64, VersionError> {
            let digits =
                !part.is_empty() && part.len() <= 6 && part.bytes().all(|byte| byte.is_ascii_digit());
            let canonical = part == "0" || !part.starts_with('0');
            if digits && canonical { part.parse().map_err(|_| malformed()) } else { Err(malformed()) }
        };
        let bare = text.strip_prefix('v').unwrap_or(text);
        let mut parts = bare.splitn(3, '.');
        let (Some(major), Some(minor)) = (parts.next(), parts.next()) else { return Err(malformed()) };
        let (major, minor) = (number(major)?, number(minor)?);
        let patch = match parts.next() {
            None => None,
            Some(patch) if patch.contains(['-', '+']) => {
                return Err(VersionError::PreRelease(text.chars().take(40).collect()));
            }
            Some(patch) => Some(number(patch)?),
        };
        Ok(Self { major, minor, patch })
    }
}

impl Serialize for KubernetesVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KubernetesVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for KubernetesVersion {
    fn schema_name() -> Cow<'static, str> {
        "KubernetesVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "kubernetes-version",
            "description": "A Kubernetes release (`v1.36.1`), or a minor alone (`1.36`): its newest patch with a published image.",
            "pattern": r"^v?[0-9]+\.[0-9]+(\.[0-9]+)?$",
            "examples": ["1.36", "v1.36.1"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> KubernetesVersion {
        text.parse().unwrap()
    }

    #[test]
    fn reads_minors_and_releases_with_or_without_v() {
        assert_eq!(version("1.36"), KubernetesVersion::minor_only(1, 36));
        assert_eq!(version("v1.36.1"), KubernetesVersion::release(1, 36, 1));
        assert_eq!(version("1.36.1").to_string(), "v1.36.1");
        assert_eq!(version("v1.30").to_string(), "v1.30");
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "1",
            "v1",
            "1.36.x",
            "1.x",
            "1.036",
            "1..1",
            "1.36.1.2",
            "latest",
            "-1.36",
            "1.36.",
            "1.99999999",
        ] {
            assert!(text.parse::<KubernetesVersion>().is_err(), "{text}");
        }
        assert_eq!(
            "v1.37.0-rc.0".parse::<KubernetesVersion>(),
            Err(VersionError::PreRelease("v1.37.0-rc.0".into()))
        );
    }

    #[test]
    fn upgrades_one_minor_at_a_time_and_never_back() {
        assert_eq!(upgrade_step(&version("v1.35.5"), &version("v1.36.0")), Ok(UpgradeStep::Minor));
        assert_eq!(upgrade_step(&version("v1.35.5"), &version("1.36")), Ok(UpgradeStep::Minor));
        assert_eq!(upgrade_step(&version("v1.35.5"), &version("v1.35.6")), Ok(UpgradeStep::Patch));
        assert_eq!(upgrade_step(&version("v1.35.5"), &version("1.35")), Ok(UpgradeStep::None));
        assert!(matches!(
            upgrade_step(&version("v1.35.5"), &version("v1.35.4")),
            Err(VersionError::Downgrade { .. })
        ));
        assert!(matches!(
            upgrade_step(&version("v1.35.5"), &version("1.34")),
            Err(VersionError::Downgrade { .. })
        ));
        let skipped = upgrade_step(&version("v1.34.8"), &version("v1.36.1")).unwrap_err();
        assert_eq!(
            skipped.to_string(),
            "Kubernetes upgrades one minor release at a time: from v1.34.8 go to v1.35 first, then to v1.36.1"
        );
    }

    #[test]
    fn nodes_may_lag_three_minors_but_never_lead() {
        assert!(check_skew(&version("v1.36.1"), &version("v1.33.0")).is_ok());
        assert!(check_skew(&version("v1.36.1"), &version("v1.36.3")).is_ok());
        assert!(check_skew(&version("v1.36.1"), &version("v1.32.9")).is_err());
        assert!(check_skew(&version("v1.35.1"), &version("v1.36.0")).is_err());
    }

    #[test]
    fn a_minor_alone_finds_its_newest_patch() {
        let published = ["v1.35.5", "v1.36.1", "v1.36.3", "v1.36.2"].map(version);
        assert_eq!(version("1.36").newest(&published), Some(version("v1.36.3")));
        assert_eq!(version("v1.36.2").newest(&published), Some(version("v1.36.2")));
        assert_eq!(version("1.34").newest(&published), None);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}") {
            let _ = text.parse::<KubernetesVersion>();
        }

        #[test]
        fn what_is_shown_reads_back(major in 1u64..9, minor in 0u64..200, patch in proptest::option::of(0u64..200)) {
            let shown = KubernetesVersion { major, minor, patch };
            prop_assert_eq!(shown.to_string().parse::<KubernetesVersion>().unwrap(), shown);
        }

        #[test]
        fn a_permitted_step_is_never_backwards(from in 0u64..50, to in 0u64..50, a in 0u64..9, b in 0u64..9) {
            let (from, to) = (KubernetesVersion::release(1, from, a), KubernetesVersion::release(1, to, b));
            if upgrade_step(&from, &to).is_ok() {
                prop_assert!(to >= from);
                prop_assert!(to.minor() - from.minor() <= 1);
            }
        }
    }
}

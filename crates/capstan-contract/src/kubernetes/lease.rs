//! One writer per subject.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use capstan_kube::Kind;
use capstan_kube::lease::{Attempt, Lease, SKEW};
use k8s_openapi::jiff::Timestamp;

use super::Site;
use super::site::refused;

const DURATION: Duration = Duration::from_secs(15);

/// The second is told who holds it, and the holder renews.
///
/// # Errors
/// It is not so.
pub async fn second_learns_who_holds_it(site: &Site) -> Result<()> {
    let (mut one, mut two) = (lease(site, "one"), lease(site, "two"));
    let now = now()?;
    ensure!(held(&one.acquire(now).await?));
    match two.acquire(now).await? {
        Attempt::Taken { holder, since: Some(since), .. } => {
            ensure!(holder == "one" && since.duration_since(now).unsigned_abs() < Duration::from_millis(1));
        }
        other => anyhow::bail!("{other:?}"),
    }
    ensure!(held(&one.acquire(now).await?));
    Ok(())
}

/// Who is done gives it up for the next.
///
/// # Errors
/// It is not so.
pub async fn released_lease_is_free(site: &Site) -> Result<()> {
    let (mut one, mut two) = (lease(site, "one"), lease(site, "two"));
    let now = now()?;
    ensure!(held(&one.acquire(now).await?));
    one.release(now).await?;
    ensure!(held(&two.acquire(now).await?));
    ensure!(!held(&one.acquire(now).await?));
    Ok(())
}

/// Whose holder has died is taken over, and the change counted.
///
/// # Errors
/// It is not so.
pub async fn expired_lease_is_taken_over(site: &Site) -> Result<()> {
    let (mut one, mut two) = (lease(site, "one"), lease(site, "two"));
    let now = now()?;
    ensure!(held(&one.acquire(now).await?));
    ensure!(!held(&two.acquire(now + DURATION).await?));
    ensure!(held(&two.acquire(now + DURATION + SKEW + Duration::from_secs(1)).await?));
    let record = site.get(&Kind::LEASE, "subject").await?.context("it is there")?;
    ensure!(record.data["spec"]["holderIdentity"] == "two" && record.data["spec"]["leaseTransitions"] == 1);
    Ok(())
}

/// Without its namespace there can be no Lease, and that is told.
///
/// # Errors
/// It is not so.
pub async fn missing_namespace_is_told(site: &Site) -> Result<()> {
    let missing = format!("{}-missing", site.namespace);
    let mut lease = Lease::new(site.client.clone(), &missing, "subject", "one", DURATION);
    let error = refused("not-found", lease.acquire(now()?).await)?;
    ensure!(error.to_string().contains(&missing), "{error}");
    Ok(())
}

fn lease(site: &Site, holder: &str) -> Lease {
    Lease::new(site.client.clone(), &site.namespace, "subject", holder, DURATION)
}

fn held(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Held { .. })
}

fn now() -> Result<Timestamp> {
    Ok(Timestamp::try_from(SystemTime::now())?)
}

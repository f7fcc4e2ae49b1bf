//! Keystone.

use anyhow::{Context, Result, ensure};
use capstan_openstack::identity::{ApplicationCredential, NewApplicationCredential};
use capstan_openstack::{Auth, Cloud, Options, SystemTime, Time};
use secrecy::SecretString;

use super::Site;
use super::site::{refused, refused_with};

async fn credential(site: &Site) -> Result<ApplicationCredential> {
    let new = NewApplicationCredential {
        name: site.name("credential"),
        description: "of a test".into(),
        roles: vec!["member".into()],
        expires_at: Some(SystemTime.now() + std::time::Duration::from_secs(3600)),
    };
    Ok(site.cloud.identity().create_application_credential(&new).await?)
}

/// As the holder of a credential that was just made.
async fn connected_with(site: &Site, made: &ApplicationCredential) -> Result<Cloud> {
    let secret = made.secret.clone().context("the secret is in the answer that made it")?;
    let config = site.cloud.config().with_application_credential(&made.id, secret);
    Ok(Cloud::connect(&config, Options::default()).await?)
}

/// A token says whose it is, for which project, with which roles, and when it ends.
///
/// # Errors
/// It is not so.
pub async fn token_tells_user_project_roles_and_expiry(site: &Site) -> Result<()> {
    let token = site.cloud.token().await?;
    ensure!(!token.user.id.is_empty() && !token.user.name.is_empty());
    ensure!(token.project.is_some_and(|project| !project.id.is_empty()));
    ensure!(token.roles.iter().any(|role| role.name == "member"), "{:?}", token.roles);
    ensure!(token.expires_at > SystemTime.now());
    ensure!(token.application_credential.is_none(), "logged in with a password");
    Ok(())
}

/// The secret is in the answer that made the credential and in no later one: it must be stored at once.
///
/// # Errors
/// It is not so.
pub async fn credential_secret_is_shown_only_once(site: &Site) -> Result<()> {
    let made = credential(site).await?;
    ensure!(made.secret.is_some());
    let all = site.cloud.identity().application_credentials().await?;
    let listed = all.into_iter().find(|listed| listed.id == made.id).context("it is listed")?;
    ensure!(listed.secret.is_none(), "the list shows the secret");
    ensure!(listed.name == made.name && listed.description == "of a test");
    ensure!(!listed.unrestricted, "credentials are restricted unless asked otherwise");
    ensure!(listed.roles.iter().map(|role| role.name.as_str()).eq(["member"]), "{:?}", listed.roles);
    ensure!(listed.expires_at.is_some() && listed.expires_at == made.expires_at);
    Ok(())
}

/// A name that exists is a conflict, so a lost answer makes no twins; but the secret of the lost one is lost, too.
///
/// # Errors
/// It is not so.
pub async fn credential_names_are_unique(site: &Site) -> Result<()> {
    credential(site).await?;
    let again = NewApplicationCredential { name: site.name("credential"), ..Default::default() };
    let error = refused(site.cloud.identity().create_application_credential(&again).await, "the second")?;
    ensure!(error.is_conflict(), "{error}");
    Ok(())
}

/// Whoever steals a cluster's credential cannot make one that outlives it.
///
/// # Errors
/// It is not so.
pub async fn restricted_credential_makes_no_other(site: &Site) -> Result<()> {
    let made = credential(site).await?;
    let holder = connected_with(site, &made).await?;
    let other = NewApplicationCredential { name: site.name("other"), ..Default::default() };
    let error = refused(holder.identity().create_application_credential(&other).await, "another")?;
    ensure!(error.is_forbidden(), "{error}");
    let error = refused(holder.identity().delete_application_credential(&made.id).await, "its own removal")?;
    ensure!(error.is_forbidden(), "{error}");
    Ok(())
}

/// A credential needs no project beside it; once removed, nobody logs in with it (Keystone answers 404, not 401).
///
/// # Errors
/// It is not so.
pub async fn credential_brings_its_project_and_ends_with_its_removal(site: &Site) -> Result<()> {
    let made = credential(site).await?;
    let holder = connected_with(site, &made).await?;
    let token = holder.token().await?;
    ensure!(token.project.map(|project| project.id) == Some(site.cloud.project_id().await?));
    ensure!(token.application_credential.is_some_and(|used| used.restricted && used.id == made.id));
    holder.network()?.networks(&Default::default()).await?;

    site.cloud.identity().delete_application_credential(&made.id).await?;
    site.cloud
        .identity()
        .delete_application_credential(&made.id)
        .await
        .context("a second removal is harmless")?;
    let secret = made.secret.context("the secret is in the answer that made it")?;
    let config = site.cloud.config().with_application_credential(&made.id, secret);
    let error = refused(Cloud::connect(&config, Options::default()).await, "its login")?;
    ensure!(error.api().is_some_and(|api| api.status == 404), "{error:?}");
    ensure!(error.is_unauthorized() && error.hint().is_some(), "{error:?}");
    Ok(())
}

/// A wrong password is 401, whoever the user is.
///
/// # Errors
/// It is not so.
pub async fn wrong_password_is_unauthorized(site: &Site) -> Result<()> {
    let mut config = site.cloud.config().clone();
    if let Auth::Password { password, .. } = &mut config.auth {
        *password = SecretString::from("not the password");
    }
    refused_with(401, Cloud::connect(&config, Options::default()).await, "a login with a wrong password")?;
    Ok(())
}

/// A credential gives the roles that it was made with and no more: Octavia wants one of its own.
///
/// # Errors
/// It is not so.
pub async fn credential_has_only_its_roles(site: &Site) -> Result<()> {
    let made = credential(site).await?;
    let holder = connected_with(site, &made).await?;
    holder.network()?.networks(&Default::default()).await?;
    let error = refused(holder.load_balancer()?.load_balancers(&Default::default()).await, "load balancers")?;
    ensure!(error.is_forbidden(), "{error}");
    Ok(())
}

//! What all resources of Neutron and Octavia have in common; the in-process way to use them.
//!
//! ```text
//! let token = cloud.log_in(&Login::password("demo", "demo-password", "demo"))?;
//! let network = Network::create(&mut cloud, &token, NetworkCreate { name: "n".into(), ..Default::default() })?;
//! let same = Network::find(&cloud, &token, |network| network.name == "n").next();
//! Network::delete(&mut cloud, &token, &network.id)?;
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::OpenStack;
use super::error::ApiError;
use super::identity::Token;
use super::table::{Identified, Table};

/// A kind of resource. In process these functions do what the HTTP routes do, errors included.
pub trait Resource: Identified + Serialize + Default + Clone + Send + Sync + 'static {
    /// `network`
    const ONE: &'static str;
    /// `networks`
    const MANY: &'static str;
    /// Body of a create.
    type Create: DeserializeOwned + Clone + Send;
    /// Body of an update.
    type Update: DeserializeOwned + Send;

    /// Where they are kept.
    fn table(cloud: &OpenStack) -> &Table<Self>;
    /// Where they are kept.
    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self>;
    /// The project that owns it.
    fn project_id(&self) -> &str;
    /// Its name.
    fn name(&self) -> &str;
    /// The refusal if there is none of this id.
    fn not_found(id: &str) -> ApiError;
    /// The refusal to change what another project owns.
    fn not_owned(verb: &str) -> ApiError;

    /// Makes one.
    ///
    /// # Errors
    /// As the API's.
    fn create(cloud: &mut OpenStack, caller: &Token, request: Self::Create) -> Result<Self, ApiError>;

    /// Changes one.
    ///
    /// # Errors
    /// As the API's.
    fn update(
        cloud: &mut OpenStack,
        caller: &Token,
        id: &str,
        change: Self::Update,
    ) -> Result<Self, ApiError>;

    /// Deletes one, or starts to.
    ///
    /// # Errors
    /// As the API's.
    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError>;

    /// Whether the caller may see it.
    fn is_visible(&self, caller: &Token) -> bool {
        caller.sees(self.project_id())
    }

    /// The value of a filter that narrows long lists, if it is at hand without making the view.
    fn at_hand(&self, _key: &str) -> Option<&str> {
        None
    }

    /// What the API shows of it.
    fn view(&self, _cloud: &OpenStack) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// One that the caller may see.
    ///
    /// # Errors
    /// 404.
    fn get<'cloud>(cloud: &'cloud OpenStack, caller: &Token, id: &str) -> Result<&'cloud Self, ApiError> {
        Self::table(cloud).get(id).filter(|each| each.is_visible(caller)).ok_or_else(|| Self::not_found(id))
    }

    /// Those that the caller may see and that fit, oldest first.
    fn find<'cloud>(
        cloud: &'cloud OpenStack,
        caller: &'cloud Token,
        fits: impl Fn(&Self) -> bool + 'cloud,
    ) -> impl Iterator<Item = &'cloud Self> {
        Self::table(cloud).iter().filter(move |each| each.is_visible(caller) && fits(each))
    }

    /// One that the caller may change.
    ///
    /// # Errors
    /// 404 if it can't be seen, 403 if another project owns it.
    fn owned<'cloud>(
        cloud: &'cloud OpenStack,
        caller: &Token,
        id: &str,
        verb: &str,
    ) -> Result<&'cloud Self, ApiError> {
        let found = Self::get(cloud, caller, id)?;
        if caller.sees(found.project_id()) { Ok(found) } else { Err(Self::not_owned(verb)) }
    }
}

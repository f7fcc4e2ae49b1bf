//! Members of a pool.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Change, Part, Pool, Standard};
use crate::openstack::OpenStack;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::resource::Resource as _;
use crate::openstack::table::identified;

/// A member.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Member {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Address.
    pub address: String,
    /// Port.
    pub protocol_port: u16,
    /// Share of the load, 0 to 256.
    pub weight: u16,
    /// Used when no other is left.
    pub backup: bool,
    /// The subnet by which it is reached.
    pub subnet_id: Option<String>,
    monitor_address: Option<String>,
    monitor_port: Option<u16>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
    #[serde(skip)]
    pub(super) pool_id: String,
}

identified!(Member);

/// Body of a create.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberCreate {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub protocol_port: u16,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// 1 if not given.
    #[serde(default)]
    pub weight: Option<u16>,
    /// Used when no other is left.
    #[serde(default)]
    pub backup: bool,
    /// The subnet by which it is reached.
    #[serde(default)]
    pub subnet_id: Option<String>,
    /// Another address for the monitor.
    #[serde(default)]
    pub monitor_address: Option<String>,
    /// Another port for the monitor.
    #[serde(default)]
    pub monitor_port: Option<u16>,
    /// Up if not given.
    #[serde(default)]
    pub admin_state_up: Option<bool>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Owner.
    #[serde(default)]
    pub project_id: Option<String>,
}

/// Body of an update.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemberUpdate {
    /// Name.
    pub name: Option<String>,
    /// Share of the load.
    pub weight: Option<u16>,
    /// Used when no other is left.
    pub backup: Option<bool>,
    /// Up or down.
    pub admin_state_up: Option<bool>,
    /// All tags.
    pub tags: Option<Vec<String>>,
}

impl OpenStack {
    /// A member of a pool that the caller may see.
    ///
    /// # Errors
    /// 404.
    pub fn member(&self, caller: &Token, pool: &str, id: &str) -> Result<&Member, ApiError> {
        Pool::get(self, caller, pool)?;
        let found = self.load_balancer.members.get(id).filter(|member| member.pool_id == pool);
        found.ok_or_else(|| ApiError::not_found(format!("Member {id} not found.")))
    }

    /// The members of a pool, oldest first.
    pub(super) fn members_of<'cloud>(
        &'cloud self,
        pool: &'cloud str,
    ) -> impl Iterator<Item = &'cloud Member> {
        self.load_balancer.members.iter().filter(move |member| member.pool_id == pool)
    }

    /// Adds a member to a pool.
    ///
    /// # Errors
    /// As Octavia's.
    pub fn create_member(
        &mut self,
        caller: &Token,
        pool: &str,
        request: MemberCreate,
    ) -> Result<Member, ApiError> {
        let balancer = Pool::owned(self, caller, pool, "update")?.balancer();
        let address = request.address.to_string();
        let same =
            |member: &Member| member.address == address && member.protocol_port == request.protocol_port;
        if self.members_of(pool).any(same) {
            return Err(ApiError::conflict(format!(
                "Another member on this pool is already using ip {address} on protocol_port {}",
                request.protocol_port
            )));
        }
        self.check_mutable(&balancer)?;
        self.octavia_quota(&caller.project_id, "member", "Member", 1)?;
        let member = self.insert_member(caller, pool, request);
        self.start_change(&balancer, Part::Member(member.id.clone()), Change::Create);
        Ok(member)
    }

    fn insert_member(&mut self, caller: &Token, pool: &str, request: MemberCreate) -> Member {
        let mut standard = self.octavia_standard(&caller.project_id, request.admin_state_up, request.tags);
        "NO_MONITOR".clone_into(&mut standard.operating_status);
        let member = Member {
            id: self.ids.uuid(),
            name: request.name,
            address: request.address.to_string(),
            protocol_port: request.protocol_port,
            weight: request.weight.unwrap_or(1),
            backup: request.backup,
            subnet_id: request.subnet_id,
            monitor_address: request.monitor_address,
            monitor_port: request.monitor_port,
            standard,
            pool_id: pool.to_owned(),
        };
        self.load_balancer.members.insert(member.clone());
        member
    }

    /// Changes a member.
    ///
    /// # Errors
    /// As Octavia's.
    pub fn update_member(
        &mut self,
        caller: &Token,
        pool: &str,
        id: &str,
        change: MemberUpdate,
    ) -> Result<Member, ApiError> {
        let mut member = self.member(caller, pool, id)?.clone();
        let balancer = Pool::owned(self, caller, pool, "update")?.balancer();
        self.check_mutable(&balancer)?;
        member.name = change.name.unwrap_or(member.name);
        member.weight = change.weight.unwrap_or(member.weight);
        member.backup = change.backup.unwrap_or(member.backup);
        member.standard.admin_state_up = change.admin_state_up.unwrap_or(member.standard.admin_state_up);
        member.standard.tags = change.tags.unwrap_or(member.standard.tags);
        self.load_balancer.members.insert(member);
        self.start_change(&balancer, Part::Member(id.to_owned()), Change::Update);
        self.member(caller, pool, id).cloned()
    }

    /// Gives a pool exactly these members.
    ///
    /// # Errors
    /// As Octavia's.
    pub fn replace_members(
        &mut self,
        caller: &Token,
        pool: &str,
        wanted: Vec<MemberCreate>,
    ) -> Result<(), ApiError> {
        let balancer = Pool::owned(self, caller, pool, "update")?.balancer();
        self.check_mutable(&balancer)?;
        let key = |address: &str, port: u16| format!("{address} {port}");
        let keep: Vec<String> =
            wanted.iter().map(|member| key(&member.address.to_string(), member.protocol_port)).collect();
        let there: Vec<(String, String)> = self
            .members_of(pool)
            .map(|each| (each.id.clone(), key(&each.address, each.protocol_port)))
            .collect();
        let more = keep.iter().filter(|key| !there.iter().any(|(_, other)| other == *key)).count();
        let fewer = there.iter().filter(|(_, key)| !keep.contains(key)).count();
        if more > fewer {
            self.octavia_quota(&caller.project_id, "member", "Member", more - fewer)?;
        }
        for (id, _) in there.iter().filter(|(_, key)| !keep.contains(key)) {
            self.start_change(&balancer, Part::Member(id.clone()), Change::Delete);
        }
        for (member, key) in wanted.into_iter().zip(&keep) {
            if !there.iter().any(|(_, other)| other == key) {
                let member = self.insert_member(caller, pool, member);
                self.start_change(&balancer, Part::Member(member.id), Change::Create);
            }
        }
        Ok(())
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// As Octavia's.
    pub fn delete_member(&mut self, caller: &Token, pool: &str, id: &str) -> Result<(), ApiError> {
        self.member(caller, pool, id)?;
        let balancer = Pool::owned(self, caller, pool, "update")?.balancer();
        self.check_mutable(&balancer)?;
        self.start_change(&balancer, Part::Member(id.to_owned()), Change::Delete);
        Ok(())
    }
}

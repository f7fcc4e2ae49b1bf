//! Security groups and their rules.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Standard, has_standard, policy};
use crate::openstack::OpenStack;
use crate::openstack::body::number_or_text;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};

/// A security group.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SecurityGroup {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Whether answers are let back in.
    pub stateful: bool,
    /// Seen by all projects.
    pub shared: bool,
    security_group_rules: Vec<Value>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
}

/// A rule of a security group.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SecurityGroupRule {
    /// Id.
    pub id: String,
    /// The group it is of.
    pub security_group_id: String,
    /// `IPv4` or `IPv6`.
    pub ethertype: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `tcp`, `udp`, `icmp`, `ipip`, a number, or any.
    pub protocol: Option<String>,
    /// First port.
    pub port_range_min: Option<u16>,
    /// Last port.
    pub port_range_max: Option<u16>,
    /// Whom it lets through, by range.
    pub remote_ip_prefix: Option<String>,
    remote_address_group_id: Option<String>,
    normalized_cidr: Option<String>,
    /// Whom it lets through, by group.
    pub remote_group_id: Option<String>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
}

identified!(SecurityGroup, SecurityGroupRule);
has_standard!(SecurityGroup);
has_standard!(SecurityGroupRule);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityGroupCreate {
    /// Name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// True if not given.
    pub stateful: Option<bool>,
    /// Owner; only an admin may name another.
    pub project_id: Option<String>,
    /// The same.
    pub tenant_id: Option<String>,
}

/// Body of an update.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityGroupUpdate {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
}

/// Rules cannot be changed: any field is refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleUpdate {}

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroupRuleCreate {
    /// The group it is of.
    pub security_group_id: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `IPv4` if not given.
    #[serde(default)]
    pub ethertype: Option<String>,
    /// Any if not given.
    #[serde(default)]
    pub protocol: Option<String>,
    /// First port.
    #[serde(default, deserialize_with = "number_or_text")]
    pub port_range_min: Option<u16>,
    /// Last port.
    #[serde(default, deserialize_with = "number_or_text")]
    pub port_range_max: Option<u16>,
    /// Whom it lets through, by range.
    #[serde(default)]
    pub remote_ip_prefix: Option<String>,
    /// Whom it lets through, by group.
    #[serde(default)]
    pub remote_group_id: Option<String>,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// Owner.
    #[serde(default)]
    pub project_id: Option<String>,
    /// The same.
    #[serde(default)]
    pub tenant_id: Option<String>,
}

impl OpenStack {
    /// Id of the project's default group, made when first needed.
    pub(crate) fn default_group(&mut self, project_id: &str) -> String {
        let is_it =
            |group: &&SecurityGroup| group.name == "default" && group.standard.project_id == project_id;
        if let Some(group) = self.network.groups.iter().find(is_it) {
            return group.id.clone();
        }
        let group = self.insert_group(project_id, "default", Some("Default security group".to_owned()), true);
        for ethertype in ["IPv4", "IPv6"] {
            self.insert_rule(SecurityGroupRule {
                security_group_id: group.clone(),
                ethertype: ethertype.to_owned(),
                direction: "ingress".to_owned(),
                remote_group_id: Some(group.clone()),
                standard: self.standard(project_id, None),
                ..SecurityGroupRule::default()
            });
        }
        group
    }

    /// A group with the two rules that let everything out.
    fn insert_group(&mut self, project_id: &str, name: &str, text: Option<String>, stateful: bool) -> String {
        let group = SecurityGroup {
            id: self.ids.uuid(),
            name: name.to_owned(),
            stateful,
            standard: self.standard(project_id, text),
            ..SecurityGroup::default()
        };
        let id = group.id.clone();
        self.network.groups.insert(group);
        for ethertype in ["IPv4", "IPv6"] {
            self.insert_rule(SecurityGroupRule {
                security_group_id: id.clone(),
                ethertype: ethertype.to_owned(),
                direction: "egress".to_owned(),
                standard: self.standard(project_id, None),
                ..SecurityGroupRule::default()
            });
        }
        id
    }

    fn insert_rule(&mut self, rule: SecurityGroupRule) -> SecurityGroupRule {
        let rule = SecurityGroupRule { id: self.ids.uuid(), ..rule };
        self.network.rules.insert(rule.clone());
        rule
    }
}

impl Resource for SecurityGroup {
    const ONE: &'static str = "security_group";
    const MANY: &'static str = "security_groups";
    type Create = SecurityGroupCreate;
    type Update = SecurityGroupUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.network.groups
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.network.groups
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::new(404, "SecurityGroupNotFound", format!("Security group {id} does not exist"))
    }

    fn not_owned(verb: &str) -> ApiError {
        policy(verb, Self::ONE)
    }

    fn view(&self, cloud: &OpenStack) -> Value {
        let mut view = serde_json::to_value(self).unwrap_or_default();
        let rules = cloud.network.rules.iter().filter(|rule| rule.security_group_id == self.id);
        view["security_group_rules"] = rules.map(|rule| rule.view(cloud)).collect();
        view
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: SecurityGroupCreate) -> Result<Self, ApiError> {
        let project =
            OpenStack::target_project(caller, request.project_id.as_ref().or(request.tenant_id.as_ref()))?;
        cloud.default_group(&project);
        if request.name == "default" {
            let text = "Default security group already exists.";
            return Err(ApiError::new(409, "SecurityGroupDefaultAlreadyExists", text));
        }
        cloud.network_quota(&project, "security_group", 1)?;
        cloud.network_quota(&project, "security_group_rule", 2)?;
        let stateful = request.stateful.unwrap_or(true);
        let id = cloud.insert_group(&project, &request.name, request.description, stateful);
        Self::get(cloud, caller, &id).cloned()
    }

    fn update(
        cloud: &mut OpenStack,
        caller: &Token,
        id: &str,
        change: SecurityGroupUpdate,
    ) -> Result<Self, ApiError> {
        let mut group = Self::owned(cloud, caller, id, "update")?.clone();
        if group.name == "default" && change.name.is_some() {
            let text = "Updating default security group not allowed.";
            return Err(ApiError::new(409, "SecurityGroupCannotUpdateDefault", text));
        }
        group.name = change.name.unwrap_or(group.name);
        group.standard.description = change.description.unwrap_or(group.standard.description);
        cloud.network.groups.insert(group);
        cloud.revise::<Self>(id);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        let group = Self::owned(cloud, caller, id, "delete")?;
        if cloud.network.ports.iter().any(|port| port.security_groups.iter().any(|each| each == id)) {
            return Err(ApiError::new(409, "SecurityGroupInUse", format!("Security Group {id} in use.")));
        }
        if group.name == "default" && !caller.is_admin() {
            let text = "Insufficient rights for removing default security group.";
            return Err(ApiError::new(409, "SecurityGroupCannotRemoveDefault", text));
        }
        // Rules go with their group, and so do other groups' rules that let it through.
        let tied = |rule: &&SecurityGroupRule| {
            rule.security_group_id == id || rule.remote_group_id.as_deref() == Some(id)
        };
        let rules: Vec<String> =
            cloud.network.rules.iter().filter(tied).map(|rule| rule.id.clone()).collect();
        for rule in rules {
            cloud.network.rules.remove(&rule);
        }
        cloud.network.groups.remove(id);
        Ok(())
    }
}

fn not_a_choice(field: &str, value: &str) -> ApiError {
    ApiError::new(
        400,
        "HTTPBadRequest",
        format!("Invalid input for {field}. Reason: {value} is not in valid_values."),
    )
}

fn check_rule(request: &SecurityGroupRuleCreate, ethertype: &str) -> Result<Option<IpNet>, ApiError> {
    let refuse = |kind: &str, text: String| Err(ApiError::new(400, kind, text));
    if !["ingress", "egress"].contains(&request.direction.as_str()) {
        return Err(not_a_choice("direction", &request.direction));
    }
    if !["IPv4", "IPv6"].contains(&ethertype) {
        return Err(not_a_choice("ethertype", ethertype));
    }
    if request.remote_ip_prefix.is_some() && request.remote_group_id.is_some() {
        let text = "Only remote_ip_prefix or remote_group_id may be provided.";
        return refuse("SecurityGroupRemoteGroupAndRemoteIpPrefix", text.to_owned());
    }
    let ports = (request.port_range_min, request.port_range_max);
    match (&request.protocol, ports) {
        (None, (Some(_), _) | (_, Some(_))) => {
            return refuse(
                "SecurityGroupProtocolRequiredWithPorts",
                "Must also specify protocol if port range is given.".to_owned(),
            );
        }
        (Some(protocol), (Some(first), Some(last)))
            if first > last && ["tcp", "udp", "6", "17"].contains(&protocol.as_str()) =>
        {
            return refuse(
                "SecurityGroupInvalidPortRange",
                "For TCP/UDP protocols, port_range_min must be <= port_range_max".to_owned(),
            );
        }
        _ => {}
    }
    let Some(prefix) = &request.remote_ip_prefix else { return Ok(None) };
    let parsed = prefix.parse::<IpNet>().or_else(|_| prefix.parse::<std::net::IpAddr>().map(IpNet::from));
    let Ok(range) = parsed else {
        let text =
            format!("Invalid input for remote_ip_prefix. Reason: '{prefix}' is not a valid IP subnet.");
        return refuse("HTTPBadRequest", text);
    };
    if (ethertype == "IPv4") != range.addr().is_ipv4() {
        let text = format!("Conflicting value ethertype {ethertype} for CIDR {prefix}");
        return refuse("SecurityGroupRuleParameterConflict", text);
    }
    Ok(Some(range.trunc()))
}

impl Resource for SecurityGroupRule {
    const ONE: &'static str = "security_group_rule";
    const MANY: &'static str = "security_group_rules";
    type Create = SecurityGroupRuleCreate;
    type Update = RuleUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.network.rules
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.network.rules
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn at_hand(&self, key: &str) -> Option<&str> {
        match key {
            "security_group_id" => Some(&self.security_group_id),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        &self.id
    }

    fn not_found(id: &str) -> ApiError {
        let text = format!("Security group rule {id} does not exist");
        ApiError::new(404, "SecurityGroupRuleNotFound", text)
    }

    fn not_owned(verb: &str) -> ApiError {
        policy(verb, Self::ONE)
    }

    fn create(
        cloud: &mut OpenStack,
        caller: &Token,
        request: SecurityGroupRuleCreate,
    ) -> Result<Self, ApiError> {
        let ethertype = request.ethertype.clone().unwrap_or_else(|| "IPv4".to_owned());
        let range = check_rule(&request, &ethertype)?;
        let group = SecurityGroup::owned(cloud, caller, &request.security_group_id, "create_rule")?;
        let project = group.standard.project_id.clone();
        if let Some(remote) = &request.remote_group_id {
            SecurityGroup::get(cloud, caller, remote)?;
        }
        let rule = Self {
            security_group_id: request.security_group_id,
            ethertype,
            direction: request.direction,
            protocol: request.protocol,
            port_range_min: request.port_range_min,
            port_range_max: request.port_range_max,
            remote_ip_prefix: request.remote_ip_prefix,
            normalized_cidr: range.map(|range| range.to_string()),
            remote_group_id: request.remote_group_id,
            standard: cloud.standard(&project, request.description),
            ..Self::default()
        };
        if let Some(same) = cloud.network.rules.iter().find(|other| rule.lets_through_what(other)) {
            return Err(ApiError::new(
                409,
                "SecurityGroupRuleExists",
                format!("Security group rule already exists. Rule id is {}.", same.id),
            ));
        }
        cloud.network_quota(&project, "security_group_rule", 1)?;
        Ok(cloud.insert_rule(rule))
    }

    fn update(_: &mut OpenStack, _: &Token, id: &str, _: RuleUpdate) -> Result<Self, ApiError> {
        Err(ApiError::new(400, "HTTPBadRequest", format!("Security group rule {id} cannot be updated")))
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        Self::owned(cloud, caller, id, "delete")?;
        cloud.network.rules.remove(id);
        Ok(())
    }
}

impl SecurityGroupRule {
    fn lets_through_what(&self, other: &Self) -> bool {
        let key = |rule: &Self| {
            (
                rule.security_group_id.clone(),
                rule.ethertype.clone(),
                rule.direction.clone(),
                rule.protocol.clone(),
                (rule.port_range_min, rule.port_range_max),
                rule.normalized_cidr.clone(),
                rule.remote_group_id.clone(),
            )
        };
        key(self) == key(other)
    }
}

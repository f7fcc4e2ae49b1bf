//! `capstan cluster kubeconfig`

use std::path::{Path, PathBuf};

use capstan_core::names::ClusterNames;
use capstan_kube::Kind;
use serde_json::{Value, json};

use crate::error::{CommandError, CommandResult, Done};
use crate::fleet_folder::{FleetFolder, write_file};
use crate::printer::Printer;
use crate::settings::Settings;
use crate::world::World;

/// Where to put it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  capstan cluster kubeconfig web --file web.kubeconfig
  capstan cluster kubeconfig web --merge ~/.kube/config     then: kubectl --context web-admin@web get nodes")]
pub(crate) struct Args {
    /// Name of the cluster
    #[arg(value_name = "CLUSTER")]
    name: String,
    /// Write it into this file, readable by its owner only
    #[arg(long, value_name = "FILE", conflicts_with = "merge")]
    file: Option<PathBuf>,
    /// Merge it into this file as the context NAME-admin@NAME, which becomes the current one
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, settings: &Settings, printer: &Printer) -> CommandResult {
    let folder = FleetFolder::open(settings, printer)?;
    let world = World::connect(folder, settings.clock(), settings).await?;
    let cluster = world.cluster(&args.name)?;
    let kubeconfig = fetch(&world, &cluster.names)?;
    if let Some(file) = &args.file {
        let path = settings.environment.cwd.join(file);
        write_file(&path, &kubeconfig, true)?;
        printer.message(&format!("wrote {}", file.display()));
    } else if let Some(file) = &args.merge {
        let path = settings.environment.cwd.join(file);
        let merged = merge(&read(&path)?, &kubeconfig, &cluster.names)?;
        write_file(&path, &merged, true)?;
        printer.message(&format!("merged into {} as {}", file.display(), cluster.names.kubeconfig_context()));
    } else {
        printer.text(&kubeconfig)?;
    }
    Ok(Done::Done)
}

/// The kubeconfig that Cluster API keeps in a Secret.
fn fetch(world: &World, names: &ClusterNames) -> CommandResult<String> {
    let secret = world.plane().get(&Kind::SECRET, names.namespace(), &names.kubeconfig_secret());
    let encoded = secret.as_ref().and_then(|secret| secret.data["data"]["value"].as_str());
    let Some(encoded) = encoded else {
        let error = CommandError::blocked(format!("the cluster `{}` has no kubeconfig yet", names.cluster()));
        return Err(error.hint(format!(
            "it comes with the first control plane: capstan cluster apply {}",
            names.cluster()
        )));
    };
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)
        .map_err(CommandError::failed)?;
    String::from_utf8(bytes).map_err(CommandError::failed)
}

fn read(path: &Path) -> CommandResult<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| CommandError::file(path, error)),
    }
}

/// `into` with the cluster's entries put in or replaced, under names that carry the cluster's.
fn merge(into: &str, kubeconfig: &str, names: &ClusterNames) -> CommandResult<String> {
    let parse = |text: &str| serde_saphyr::from_str::<Value>(text).map_err(CommandError::failed);
    let new = parse(kubeconfig)?;
    let mut merged =
        if into.trim().is_empty() { json!({"apiVersion": "v1", "kind": "Config"}) } else { parse(into)? };
    if !merged.is_object() {
        return Err(CommandError::usage("the file is not a kubeconfig"));
    }
    let (cluster, context) = (names.cluster().to_owned(), names.kubeconfig_context());
    let user = format!("{cluster}-admin");
    let first = |key: &str, inner: &str| new[key][0][inner].clone();
    put(&mut merged, "clusters", json!({"name": cluster, "cluster": first("clusters", "cluster")}));
    put(&mut merged, "users", json!({"name": user, "user": first("users", "user")}));
    put(&mut merged, "contexts", json!({"name": context, "context": {"cluster": cluster, "user": user}}));
    merged["current-context"] = context.into();
    serde_saphyr::to_string(&merged).map_err(CommandError::failed)
}

/// Puts an entry into a list of a kubeconfig, in the place of the one of its name.
fn put(config: &mut Value, list: &str, entry: Value) {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    if let Some(entries) = config[list].as_array_mut() {
        match entries.iter_mut().find(|known| known["name"] == entry["name"]) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: prod-web, cluster: {server: 'https://10.0.0.1:6443'}}]
users: [{name: prod-web-admin, user: {client-key-data: c2VjcmV0}}]
contexts: [{name: prod-web-admin@prod-web, context: {cluster: prod-web, user: prod-web-admin}}]
current-context: prod-web-admin@prod-web
";

    #[test]
    fn a_cluster_is_put_beside_the_others_and_replaced_when_it_is_new() {
        let names = ClusterNames::new("prod", "web");
        let other = "apiVersion: v1\nkind: Config\nclusters:\n- {name: old, cluster: {server: x}}\npreferences: {colors: true}\n";
        let merged = merge(other, NEW, &names).unwrap();
        let again = merge(&merged, &NEW.replace("10.0.0.1", "10.0.0.2"), &names).unwrap();
        let value: Value = serde_saphyr::from_str(&again).unwrap();
        assert_eq!(value["current-context"], "web-admin@web");
        assert_eq!(value["preferences"]["colors"], true);
        let servers: Vec<_> =
            value["clusters"].as_array().unwrap().iter().map(|c| &c["cluster"]["server"]).collect();
        assert_eq!(servers, ["x", "https://10.0.0.2:6443"]);
        assert_eq!(value["contexts"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_alone() {
        assert!(merge("- a\n", NEW, &ClusterNames::new("prod", "web")).is_err());
        assert!(merge("", NEW, &ClusterNames::new("prod", "web")).is_ok());
    }
}

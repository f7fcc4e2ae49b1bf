//! The unmodified `openstack` client (python-openstackclient with python-octaviaclient): of `CAPSTAN_OPENSTACK_CLIENT`, else
//! of the PATH. Where there is none, the tests say that they were skipped.
//!
//! With `CAPSTAN_CLIENT_CLOUD=NAME` and `CAPSTAN_CLIENT_ADMIN=NAME` (entries of the `clouds.yaml` that the client finds) the
//! same commands run on a real cloud, too, and the answers are compared: the columns, and the kinds of their values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use capstan_sandbox::{Sandbox, Speed};
use common::start;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MDEyMzQ1 people@home";

/// What the project's user does, in order. `EXT`, `IMAGE`, `KEYFILE` and `IMAGEFILE` stand for what the cloud has.
const MAKE: &str = "
application credential create cc-credential --role member --description d
application credential list
application credential show cc-credential
keypair create cc-key --public-key KEYFILE
keypair list
keypair show cc-key
server group create cc-group --policy anti-affinity
server group list
server group show cc-group
network create cc-net --mtu 1400 --description d --tag t
network set cc-net --description e
network show cc-net
network list --internal
network list --external --long
subnet create cc-sub --network cc-net --subnet-range 10.8.0.0/24 --dns-nameserver 9.9.9.9
subnet set cc-sub --dns-nameserver 1.1.1.1 --description e
subnet show cc-sub
subnet list --network cc-net --long
router create cc-router
router set cc-router --external-gateway EXT --description e
router add subnet cc-router cc-sub
router show cc-router
router list --long
security group create cc-sg --description d
security group set cc-sg --description e
security group rule create cc-sg --protocol tcp --dst-port 80:90 --remote-ip 10.0.0.0/8
security group rule create cc-sg --protocol icmp
security group show cc-sg
security group list
security group rule list cc-sg --long
port create cc-port --network cc-net --security-group cc-sg
port set cc-port --description e --name cc-port
port show cc-port
port list --network cc-net
volume create cc-volume --size 1 --description d --property a=b
image create cc-image --disk-format raw --container-format bare --file IMAGEFILE --property os_distro=x --tag t
image set cc-image --property k=v --min-disk 1
image show cc-image
image list --shared
flavor list --long
flavor show SCS-2V-4-20s
server create cc-server --flavor SCS-2V-4-20s --image IMAGE --port cc-port --key-name cc-key --property a=b --wait
server set cc-server --property c=d
server show cc-server
server list --long
volume set cc-volume --property c=d --description e
server add volume cc-server cc-volume
loadbalancer create --name cc-lb --vip-subnet-id cc-sub --wait
loadbalancer set cc-lb --description e --wait
loadbalancer listener create --name cc-listener --protocol TCP --protocol-port 80 --wait cc-lb
loadbalancer listener set cc-listener --connection-limit 10 --wait
loadbalancer pool create --name cc-pool --listener cc-listener --protocol TCP --lb-algorithm ROUND_ROBIN --wait
loadbalancer pool set cc-pool --description e --wait
loadbalancer member create --name cc-member --address 10.8.0.9 --protocol-port 80 --wait cc-pool
loadbalancer member set cc-pool cc-member --weight 5 --wait
loadbalancer healthmonitor create --name cc-monitor --delay 5 --timeout 3 --max-retries 3 --type TCP --wait cc-pool
loadbalancer show cc-lb
loadbalancer list
loadbalancer listener show cc-listener
loadbalancer listener list
loadbalancer pool show cc-pool
loadbalancer pool list
loadbalancer member show cc-pool cc-member
loadbalancer member list cc-pool
loadbalancer healthmonitor show cc-monitor
loadbalancer healthmonitor list
loadbalancer provider list
volume show cc-volume
volume list --long
volume type list
server remove volume cc-server cc-volume
server stop cc-server
floating ip create EXT --description cc --port cc-port
floating ip list
quota show
availability zone list
limits show --absolute
limits show --rate
token issue
catalog list
server start cc-server
volume snapshot create cc-snapshot --volume cc-volume --description d
volume snapshot set cc-snapshot --description e --property a=b
volume snapshot show cc-snapshot
volume snapshot list --long
";

/// `FIP` and `RULE` are ids that the first half told.
const REMOVE: &str = "
floating ip show FIP
floating ip set FIP --description cc
floating ip unset --port FIP
floating ip delete FIP
security group rule show RULE
security group rule delete RULE
loadbalancer member delete cc-pool cc-member --wait
loadbalancer healthmonitor delete cc-monitor --wait
loadbalancer pool delete cc-pool --wait
loadbalancer listener delete cc-listener --wait
loadbalancer delete cc-lb --cascade --wait
server delete cc-server --wait
volume snapshot delete cc-snapshot
router unset cc-router --external-gateway
router remove subnet cc-router cc-sub
router delete cc-router
port delete cc-port
subnet delete cc-sub
network delete cc-net
security group delete cc-sg
server group delete cc-group
keypair delete cc-key
image delete cc-image
application credential delete cc-credential
volume delete cc-volume
";

/// What an administrator does.
const ADMINISTER: &str = "
project create cc-project --description d
project set cc-project --description e
project show cc-project
project list
role list
role add --project cc-project --user USER member
role assignment list --project cc-project --names
role remove --project cc-project --user USER member
role assignment list --project cc-project
flavor create cc-flavor --vcpus 2 --ram 512 --disk 1
flavor set cc-flavor --property a=b
flavor show cc-flavor
flavor delete cc-flavor
quota set cc-project --cores 5 --networks 6 --volumes 7
quota show cc-project
project delete cc-project
";

/// Commands whose answers come as a table, which can be had as JSON.
fn shows(command: &str) -> bool {
    let verbs = ["list", "show", "create", "issue"];
    command.starts_with("server add volume") || command.split(' ').any(|word| verbs.contains(&word))
}

struct Openstack {
    program: PathBuf,
    clouds: Option<PathBuf>,
    folder: PathBuf,
    /// What the script's capital words stand for.
    words: BTreeMap<&'static str, String>,
}

fn program() -> Option<PathBuf> {
    let given = std::env::var_os("CAPSTAN_OPENSTACK_CLIENT").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = given.or_else(|| {
        std::env::split_paths(&path).map(|folder| folder.join("openstack")).find(|file| file.is_file())
    });
    if found.is_none() {
        eprintln!("SKIPPED: the program `openstack` (python-openstackclient) is not installed");
    }
    found
}

impl Openstack {
    fn new(program: &Path, clouds: Option<String>, words: &[(&'static str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "capstan-openstack-client-{}-{}",
            std::process::id(),
            if clouds.is_some() { "sandbox" } else { "real" }
        ));
        std::fs::create_dir_all(&folder).unwrap();
        let clouds = clouds.map(|text| {
            let file = folder.join("clouds.yaml");
            std::fs::write(&file, text).unwrap();
            file
        });
        let mut words: BTreeMap<_, _> =
            words.iter().map(|(word, text)| (*word, (*text).to_owned())).collect();
        for (word, name, content) in [("KEYFILE", "key.pub", KEY), ("IMAGEFILE", "image.raw", "not bootable")]
        {
            std::fs::write(folder.join(name), content).unwrap();
            words.insert(word, folder.join(name).display().to_string());
        }
        Self { program: program.to_owned(), clouds, folder, words }
    }

    /// Runs commands in one process; each of those that show something answers with one JSON document.
    async fn run(&self, cloud: &str, script: &str) -> Vec<(String, Value)> {
        let mut commands = Vec::new();
        let mut input = String::new();
        for line in script.lines().filter(|line| !line.is_empty()) {
            let replace = |word: &str| self.words.get(word).cloned().unwrap_or_else(|| word.to_owned());
            let command: Vec<String> = line.split(' ').map(replace).collect();
            input += &command.join(" ");
            if shows(line) {
                input += " -f json";
                commands.push(line.to_owned());
            }
            input += "\n";
        }
        let mut process = tokio::process::Command::new(&self.program);
        if let Some(file) = &self.clouds {
            process.env("OS_CLIENT_CONFIG_FILE", file);
        }
        let folder = &self.folder;
        process.env("OS_CLOUD", cloud).env("HOME", folder).env("NO_PROXY", "*").current_dir(folder);
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = process.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        let complaints: Vec<&str> = complaints.lines().filter(|line| !harmless(line)).collect();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
        let text = String::from_utf8_lossy(&output.stdout);
        let answers = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        let answers: Vec<Value> = answers.collect::<Result<_, _>>().unwrap_or_else(|error| {
            let from = text.lines().skip(error.line().saturating_sub(3)).take(5).collect::<Vec<_>>();
            panic!("{error}: {}", from.join("\n"));
        });
        assert_eq!(answers.len(), commands.len(), "of {commands:#?}");
        commands.into_iter().zip(answers).collect()
    }

    /// Everything, in the order in which it can be done and undone.
    async fn everything(&mut self, user: &str, admin: &str) -> Vec<(String, Value)> {
        let mut answers = self.run(user, MAKE).await;
        let find = |command: &str, wanted: &dyn Fn(&&Value) -> bool| {
            let (_, listed) = answers.iter().find(|(each, _)| each.starts_with(command)).unwrap();
            let found = listed.as_array().unwrap().iter().find(wanted).unwrap_or_else(|| panic!("{listed}"));
            found["ID"].as_str().unwrap().to_owned()
        };
        let fip = find("floating ip list", &|each| !each["Port"].is_null());
        let rule = find("security group rule list", &|each| each["IP Protocol"] == "tcp");
        self.words.insert("FIP", fip);
        self.words.insert("RULE", rule);
        answers.extend(self.run(user, REMOVE).await);
        answers.extend(self.run(admin, ADMINISTER).await);
        answers
    }
}

impl Drop for Openstack {
    fn drop(&mut self) {
        // Left-overs in the temporary folder are no reason to fail.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What the client says on standard error although all is well.
fn harmless(line: &str) -> bool {
    line.trim().is_empty()
        || line.contains("Warning")
        || line.contains("deprecated")
        || line.trim_start().starts_with("warnings.warn")
}

fn clouds(sandbox: &Sandbox) -> String {
    let user = sandbox.clouds_yaml();
    let admin = user.split_once('\n').unwrap().1.replace("  sandbox:", "  admin:").replace("demo", "admin");
    user + &admin
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_does_what_people_do_with_it() {
    let Some(program) = program() else { return };
    let sandbox = start(Speed::Max).await;
    let before = sandbox.inventory();
    let words = [("EXT", "public"), ("IMAGE", "ubuntu-capi-image-v1.36.3"), ("USER", "demo")];
    let mut client = Openstack::new(&program, Some(clouds(&sandbox)), &words);
    let answers = client.everything("sandbox", "admin").await;
    assert_eq!(sandbox.requests().unknown, [], "routes that the sandbox doesn't know");
    assert_eq!(sandbox.inventory(), before, "what was made was removed");
    let of = |command: &str| &answers.iter().find(|(each, _)| each.starts_with(command)).unwrap().1;
    assert_eq!(of("server show")["status"], "ACTIVE");
    assert_eq!(of("loadbalancer show")["provisioning_status"], "ACTIVE");
    assert_eq!(of("subnet show")["description"], "e");
    assert_eq!(of("project show")["description"], "e");
    assert_eq!(of("role assignment list --project cc-project --names")[0]["Role"], "member");
    compare(&program, &answers).await;
}

/// Where a real cloud is named: the same there, and what differs.
async fn compare(program: &Path, ours: &[(String, Value)]) {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(user), Some(admin)) = (variable("CAPSTAN_CLIENT_CLOUD"), variable("CAPSTAN_CLIENT_ADMIN"))
    else {
        eprintln!(
            "SKIPPED: without CAPSTAN_CLIENT_CLOUD and CAPSTAN_CLIENT_ADMIN nothing is compared with real services"
        );
        return;
    };
    let mut client = Openstack::new(program, None, &[("EXT", "ext"), ("USER", user.as_str())]);
    // The client's interactive mode knows no quotes, and the image's name has a blank.
    let listed = client.run(&user, "image list --public").await;
    client.words.insert("IMAGE", listed[0].1[0]["ID"].as_str().unwrap().to_owned());
    let theirs = client.everything(&user, &admin).await;
    let mut differences = Vec::new();
    for ((command, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        let (ours, theirs) = (kinds(ours), kinds(theirs));
        for (column, kind) in &theirs {
            match ours.get(column) {
                None => differences.push(format!("{command}: no column `{column}` ({kind})")),
                Some(other) if other != kind && kind != "null" && other != "null" => {
                    differences.push(format!("{command}: `{column}` is {other}, really {kind}"));
                }
                Some(_) => {}
            }
        }
        let more = ours.keys().filter(|column| !theirs.contains_key(*column));
        differences.extend(more.map(|column| format!("{command}: `{column}` is not there really")));
    }
    // Quotas have a column for each type of volumes, and the sandbox has one type more.
    differences.retain(|difference| !difference.contains("_ssd`"));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The columns of an answer and the kinds of their values; of a list those of all rows.
fn kinds(answer: &Value) -> BTreeMap<String, String> {
    let mut columns = BTreeMap::new();
    let rows = match answer {
        Value::Array(rows) => rows.iter().collect(),
        one => vec![one],
    };
    for (column, value) in rows.iter().filter_map(|row| row.as_object()).flatten() {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "text",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        let known: &mut String = columns.entry(column.clone()).or_default();
        if known.is_empty() || known == "null" {
            kind.clone_into(known);
        }
    }
    columns
}

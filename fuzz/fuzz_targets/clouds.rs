//! `clouds.yaml`, `secure.yaml`, `clouds-public.yaml` and `OS_*` variables: what can be logged in with survives being
//! written for others and read again, in one file or with its secrets in another; errors name no secret.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use capstan_fuzz::parts;
use capstan_openstack::{Auth, CloudConfig, ConfigError, Environment};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;

/// What seeds have for a password: no error may show it as a part of a file that cannot be read.
const CANARY: &str = "correct-horse";

/// One folder per process, in memory where the system has such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = base.join(format!("capstan-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the files");
    folder
});

fuzz_target!(|input: &[u8]| {
    let given = parts(input, 4);
    let environment = write(&given);
    let Ok(names) = CloudConfig::names(&environment).inspect_err(shows_no_secret) else { return };
    for name in names.iter().map(|name| Some(name.as_str())).chain([None, Some("no such cloud")]) {
        match CloudConfig::load(&environment, name) {
            Ok(config) => {
                assert_ne!(config.name, "no such cloud");
                is_read_again(&config);
            }
            Err(error) => shows_no_secret(&error),
        }
    }
});

/// The first three parts become files, the fourth has a variable a line.
fn write(parts: &[&[u8]]) -> Environment {
    for (number, name) in ["clouds.yaml", "secure.yaml", "clouds-public.yaml"].iter().enumerate() {
        let file = FOLDER.join(name);
        match parts.get(number) {
            Some(text) => std::fs::write(&file, text).expect("the file is written"),
            None => drop(std::fs::remove_file(&file)),
        }
    }
    let variables = parts.get(3).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    // A file that a variable names could be anywhere on this machine.
    let variables = variables.filter(|(name, _)| name.starts_with("OS_") && !name.ends_with("_FILE"));
    Environment {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        cwd: FOLDER.clone(),
        home: None,
    }
}

fn shows_no_secret(error: &ConfigError) {
    let shown = error.to_string();
    assert!(!shown.is_empty());
    let unreadable = matches!(error, ConfigError::Parse { .. });
    assert!(!(unreadable && shown.contains(CANARY)), "{shown}");
}

fn is_read_again(config: &CloudConfig) {
    let text = config.to_clouds_yaml("again").expect("what came out of YAML goes into it");
    let text = text.expose_secret();
    let again = CloudConfig::from_yaml(text, "again").unwrap_or_else(|error| panic!("{error}: {text}"));
    is_same(config, &again);
    // The same as secrets over an entry that says nothing.
    std::fs::write(FOLDER.join("clouds.yaml"), "clouds: {again: }\n").expect("the file is written");
    std::fs::write(FOLDER.join("secure.yaml"), text).expect("the file is written");
    let environment = Environment { cwd: FOLDER.clone(), ..Environment::default() };
    let merged = CloudConfig::load(&environment, None).unwrap_or_else(|error| panic!("{error}: {text}"));
    is_same(config, &merged);
}

fn is_same(one: &CloudConfig, other: &CloudConfig) {
    let bare = |config: &CloudConfig| (config.auth_url.clone(), config.region.clone(), config.interface);
    assert_eq!(bare(one), bare(other));
    assert_eq!(one.tls.insecure, other.tls.insecure);
    assert_eq!(format!("{:?}", one.auth), format!("{:?}", other.auth));
    assert_eq!(secret(&one.auth), secret(&other.auth));
}

fn secret(auth: &Auth) -> &str {
    match auth {
        Auth::Password { password, .. } => password.expose_secret(),
        Auth::Token { token, .. } => token.expose_secret(),
        Auth::ApplicationCredential { secret, .. } => secret.expose_secret(),
    }
}

use std::path::Path;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

/// A home, a current directory, and files in them.
struct Place {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("home/.config/openstack")).unwrap();
        std::fs::create_dir_all(folder.path().join("cwd")).unwrap();
        Self { folder, variables: Vec::new() }
    }

    fn file(self, path: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(path), text).unwrap();
        self
    }

    fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn environment(&self) -> Environment {
        Environment {
            variables: self
                .variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            cwd: self.path("cwd"),
            home: Some(self.path("home")),
        }
    }

    fn load(&self, name: Option<&str>) -> Result<CloudConfig, ConfigError> {
        CloudConfig::load(&self.environment(), name)
    }

    fn error(&self, name: Option<&str>) -> String {
        self.load(name).unwrap_err().to_string().replace(&self.path("").display().to_string(), "")
    }
}

const CLOUDS: &str = "
clouds:
  production:
    profile: provider
    auth: {username: me, project_name: shop, user_domain_name: Users}
    region_name: north
  staging:
    auth: {auth_url: https://staging.example/identity, application_credential_id: abc}
    interface: internal
    verify: false
    cacert: ~/ca.pem
";
const PUBLIC: &str = "
public-clouds:
  provider:
    auth: {auth_url: 'https://provider.example:5000', project_domain_id: pd}
    region_name: south
";
const SECURE: &str = "
clouds:
  production: {auth: {password: 12345}}
  staging: {auth: {application_credential_secret: 'yes'}}
";

fn full() -> Place {
    Place::new()
        .file("home/.config/openstack/clouds.yaml", CLOUDS)
        .file("home/.config/openstack/clouds-public.yaml", PUBLIC)
        .file("home/.config/openstack/secure.yaml", SECURE)
}

#[test]
fn profile_entry_and_secrets_lie_over_one_another() {
    let config = full().load(Some("production")).unwrap();
    assert_eq!(config.auth_url.as_str(), "https://provider.example:5000/v3");
    assert_eq!(config.region.as_deref(), Some("north"), "the entry goes before its profile");
    assert_eq!(config.interface, Interface::Public);
    let Auth::Password { user, password, scope } = &config.auth else { panic!("{config:?}") };
    assert_eq!(*user, User::Name { name: "me".into(), domain: Domain::Name("Users".into()) });
    assert_eq!(*scope, Scope::ProjectName { name: "shop".into(), domain: Domain::Id("pd".into()) });
    assert_eq!(password.expose_secret(), "12345", "a number is a password, too");
    assert!(!format!("{config:?}").contains("12345"));
}

#[test]
fn application_credentials_and_tls() {
    let place = full();
    let config = place.load(Some("staging")).unwrap();
    let Auth::ApplicationCredential { which, secret } = &config.auth else { panic!("{config:?}") };
    assert_eq!(*which, ApplicationCredentialRef::Id("abc".into()));
    assert_eq!(secret.expose_secret(), "yes");
    assert_eq!(config.interface, Interface::Internal);
    assert!(config.tls.insecure);
    assert_eq!(config.tls.ca_file, Some(place.path("home/ca.pem")));
    let by_name = "clouds: {x: {auth_type: v3applicationcredential, auth: {auth_url: 'http://x/v3', \
                   application_credential_name: n, application_credential_secret: s, user_id: u}}}";
    let config = CloudConfig::from_yaml(by_name, "x").unwrap();
    let Auth::ApplicationCredential { which, .. } = config.auth else { panic!() };
    assert_eq!(which, ApplicationCredentialRef::Name { name: "n".into(), user: User::Id("u".into()) });
}

#[test]
fn the_current_directory_goes_first_and_a_named_file_before_all() {
    let other = |host: &str| {
        format!("clouds: {{staging: {{auth: {{auth_url: 'https://{host}', token: t, project_id: p}}}}}}")
    };
    let place = full().file("cwd/clouds.yml", &other("cwd.example"));
    assert_eq!(place.load(Some("staging")).unwrap().auth_url.host_str(), Some("cwd.example"));
    let place = place.file("elsewhere.yaml", &other("elsewhere.example")).file("none.yaml", "");
    let place = place
        .variable("OS_CLIENT_CONFIG_FILE", "../elsewhere.yaml")
        .variable("OS_CLIENT_SECURE_FILE", "../none.yaml");
    let config = place.load(Some("staging")).unwrap();
    assert_eq!(config.auth_url.host_str(), Some("elsewhere.example"));
    assert!(matches!(config.auth, Auth::Token { scope: Scope::ProjectId(ref id), .. } if id == "p"));
    let missing = full().variable("OS_CLIENT_CONFIG_FILE", "nowhere.yaml");
    assert_eq!(missing.error(Some("staging")), "cannot read `cwd/nowhere.yaml`");
}

#[test]
fn which_cloud_is_meant() {
    assert_eq!(full().variable("OS_CLOUD", "staging").load(None).unwrap().name, "staging");
    assert_eq!(full().variable("OS_CLOUD", "staging").load(Some("production")).unwrap().name, "production");
    assert_eq!(full().error(None), "which cloud is meant? known clouds: `production`, `staging`");
    assert_eq!(
        full().error(Some("prodcution")),
        "there is no cloud `prodcution` (did you mean `production`?); known clouds: `production`, `staging`"
    );
    let empty = Place::new();
    assert!(
        empty
            .error(Some("x"))
            .starts_with("no cloud is configured: there is no `clouds.yaml` in `cwd`, `home/")
    );
    let only =
        Place::new().file("cwd/clouds.yaml", "clouds: {one: {auth: {auth_url: 'http://x', token: t}}}");
    assert_eq!(only.load(None).unwrap().name, "one");
}

#[test]
fn variables_alone_make_a_cloud() {
    let place = Place::new()
        .variable("OS_AUTH_URL", "http://keystone.example/identity/v2.0/")
        .variable("OS_USERNAME", "me")
        .variable("OS_PASSWORD", "pw")
        .variable("OS_TENANT_NAME", "old")
        .variable("OS_DOMAIN_ID", "dom")
        .variable("OS_ENDPOINT_TYPE", "internalURL")
        .variable("OS_INSECURE", "1")
        .variable("OS_REGION_NAME", "")
        .variable("OS_NETWORK_ENDPOINT_OVERRIDE", "http://net.example");
    let config = place.load(None).unwrap();
    assert_eq!(config.name, "envvars");
    assert_eq!(config.auth_url.as_str(), "http://keystone.example/identity/v3");
    assert_eq!((config.interface, config.tls.insecure, config.region), (Interface::Internal, true, None));
    assert_eq!(config.endpoint_overrides[&ServiceType::Network].as_str(), "http://net.example/");
    let Auth::Password { user, scope, .. } = config.auth else { panic!() };
    let domain = Domain::Id("dom".into());
    assert_eq!(user, User::Name { name: "me".into(), domain: domain.clone() });
    assert_eq!(scope, Scope::ProjectName { name: "old".into(), domain });
}

#[test]
fn variables_fill_in_but_do_not_change_a_named_cloud() {
    let place = Place::new()
        .file(
            "cwd/clouds.yaml",
            "clouds: {one: {auth: {auth_url: 'https://one', username: u, project_id: p}}}",
        )
        .variable("OS_AUTH_URL", "https://other")
        .variable("OS_USERNAME", "other")
        .variable("OS_PASSWORD", "from the shell")
        .variable("OS_REGION_NAME", "north");
    let config = place.load(Some("one")).unwrap();
    assert_eq!(config.auth_url.host_str(), Some("one"));
    assert_eq!(config.region.as_deref(), Some("north"));
    let Auth::Password { user: User::Name { name, .. }, password, .. } = config.auth else { panic!() };
    assert_eq!((name.as_str(), password.expose_secret()), ("u", "from the shell"));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let entry = |entry: &str| {
        CloudConfig::from_yaml(&format!("clouds: {{c: {entry}}}"), "c").unwrap_err().to_string()
    };
    assert_eq!(entry("{}"), "cloud `c` lacks `auth_url`");
    assert_eq!(entry("{auth: {auth_url: 'http://x'}}"), "cloud `c` lacks `auth.username` or `auth.user_id`");
    assert_eq!(
        entry("{auth: {auth_url: 'http://x', username: u, password: p}}"),
        "cloud `c` lacks `auth.project_name` or `auth.project_id`"
    );
    assert_eq!(
        entry("{auth: {auth_url: 'http://x', username: u, project_id: p}}"),
        "cloud `c` lacks `auth.password`"
    );
    assert_eq!(
        entry("{auth: {auth_url: keystone.example}}"),
        "cloud `c`: `auth_url` is `keystone.example`, but an address that starts with `https://` or `http://` is needed"
    );
    assert_eq!(
        entry("{auth_type: v3oidcpassword, auth: {auth_url: 'http://x'}}"),
        "cloud `c`: `auth_type` is `v3oidcpassword`, but `password`, `token` and `v3applicationcredential` are known"
    );
    assert_eq!(
        entry("{interface: outside, auth: {auth_url: 'http://x', token: t}}"),
        "cloud `c`: `interface` is `outside`, but `public`, `internal` and `admin` exist"
    );
    assert_eq!(
        entry("{regions: [a, {name: b}], auth: {auth_url: 'http://x', token: t}}"),
        "cloud `c`: `regions` is `a, b`, but with several of them `region_name` is needed"
    );
    assert!(entry("{profile: nobody}").contains("uses the profile `nobody`; known profiles: none"));
}

#[test]
fn mistakes_are_told_with_their_place_and_without_secrets() {
    let place = |text: &str| Place::new().file("cwd/clouds.yaml", text);
    let error = place("clouds:\n  one:\n    auth: hunter2\n").error(Some("one"));
    assert!(error.starts_with("`cwd/clouds.yaml`, line 3, column 11: "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let error = place("clouds:\n  one:\n    auth: {password: \"hunter2\n").error(Some("one"));
    assert!(error.starts_with("`cwd/clouds.yaml`, line ") && !error.contains("hunter2"), "{error}");
    let error = place("clouds:\n  one: {verify: hunter2}\n").error(Some("one"));
    assert!(error.contains("line 2") && error.contains("expected `true` or `false`"), "{error}");
    let error = place("clouds: {a: {}, a: {}}").error(Some("a"));
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn strange_files_are_refused() {
    assert!(Place::new().file("cwd/clouds.yaml", "").error(Some("x")).contains("there is no cloud `x`"));
    let binary = Place::new();
    std::fs::write(binary.path("cwd/clouds.yaml"), [0xff, 0xfe, 0, 1]).unwrap();
    assert_eq!(binary.error(Some("x")), "cannot read `cwd/clouds.yaml`");
    let large = Place::new().file("cwd/clouds.yaml", &"# \n".repeat(400_000));
    assert_eq!(large.error(Some("x")), "cannot read `cwd/clouds.yaml`");
    let deep = Place::new().file("cwd/clouds.yaml", &"[".repeat(100_000));
    assert!(deep.error(Some("x")).starts_with("`cwd/clouds.yaml`, line "));
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        bomb += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "));
    }
    assert!(Place::new().file("cwd/clouds.yaml", &bomb).load(Some("x")).is_err());
}

#[test]
fn what_is_written_for_others_is_read_back() {
    let config = full().load(Some("production")).unwrap();
    let config = config.with_application_credential("id: 1", "no: 'secret'\n".into());
    let yaml = config.to_clouds_yaml("openstack").unwrap();
    let back = CloudConfig::from_yaml(yaml.expose_secret(), "openstack").unwrap();
    assert_eq!(back.auth_url, config.auth_url);
    assert_eq!((back.region, back.interface), (config.region, config.interface));
    let Auth::ApplicationCredential { which, secret } = back.auth else { panic!() };
    assert_eq!(which, ApplicationCredentialRef::Id("id: 1".into()));
    assert_eq!(secret.expose_secret(), "no: 'secret'\n");
}

#[test]
fn the_identity_service_is_found_whatever_form_its_address_has() {
    let auth_url = |given: &str| {
        let yaml = format!("clouds: {{c: {{auth: {{auth_url: '{given}', token: t}}}}}}");
        CloudConfig::from_yaml(&yaml, "c").unwrap().auth_url.to_string()
    };
    for (given, found) in [
        ("https://c.example:5000", "https://c.example:5000/v3"),
        ("https://c.example:5000/", "https://c.example:5000/v3"),
        ("https://c.example/identity", "https://c.example/identity/v3"),
        ("https://c.example/identity/v3/", "https://c.example/identity/v3"),
        ("https://c.example/v2.0", "https://c.example/v3"),
    ] {
        assert_eq!(auth_url(given), found);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\n\t]{0,300}") {
        let _ = files::parse(Path::new("clouds.yaml"), &text);
    }

    #[test]
    fn secrets_survive_being_written(secret in "\\PC{1,40}", id in "[a-f0-9]{8}", name in "[a-z0-9-]{1,20}") {
        let config = full().load(Some("production")).unwrap();
        let config = config.with_application_credential(&id, secret.clone().into());
        let yaml = config.to_clouds_yaml(&name).unwrap();
        let back = CloudConfig::from_yaml(yaml.expose_secret(), &name).unwrap();
        let Auth::ApplicationCredential { which, secret: read } = back.auth else { panic!() };
        prop_assert_eq!(which, ApplicationCredentialRef::Id(id));
        prop_assert_eq!(read.expose_secret(), secret);
    }
}

//! Kubeconfigs: none makes a panic, the context is one that is there, and the server is shown without a password.
#![no_main]

use capstan_kube::connect::{Options, Source, connect};
use kube::config::{AuthInfo, Cluster, Kubeconfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let options = Options::new(Source::Text(text.into()));
    let Ok(kubeconfig) = Kubeconfig::from_yaml(text) else {
        let refused = capstan_fuzz::run(connect(&options)).expect_err("no kubeconfig, and yet connected");
        assert!(!refused.to_string().is_empty());
        return;
    };
    if leaves_the_text(&kubeconfig) {
        return;
    }
    let known: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    for context in known.iter().map(|name| Some((*name).to_owned())).chain([None]).take(4) {
        let options = Options { context: context.clone(), ..options.clone() };
        capstan_fuzz::run(async {
            match connect(&options).await {
                Ok(connection) => {
                    assert!(known.contains(&connection.context.as_str()));
                    assert!(context.is_none_or(|wanted| wanted == connection.context));
                    let (_, address) = connection.server.split_once("://").expect("an address");
                    let host = address.split('/').next().unwrap_or_default();
                    assert!(!host.contains('@'), "a password is shown: {}", connection.server);
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        });
    }
});

/// Whether using it would start a program or read files: it must not be used here.
fn leaves_the_text(kubeconfig: &Kubeconfig) -> bool {
    let user = |user: &AuthInfo| {
        let files = [&user.token_file, &user.client_certificate, &user.client_key];
        user.exec.is_some() || user.auth_provider.is_some() || files.iter().any(|file| file.is_some())
    };
    let cluster = |cluster: &Cluster| cluster.certificate_authority.is_some();
    let users = kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    let clusters = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
    users.map(user).chain(clusters.map(cluster)).any(|leaves| leaves)
}

//! Certificates: the cloud's and the client's.

use std::path::PathBuf;
use std::sync::Arc;

use capstan_openstack::{Cloud, CloudConfig, Error};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::support::{ManualTime, Mock, options};

/// A CA of its own, with a server's and a client's certificate, as files.
struct Pki {
    folder: tempfile::TempDir,
    roots: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let server_key = KeyPair::generate().unwrap();
        let server =
            CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&server_key, &ca).unwrap();
        let client_key = KeyPair::generate().unwrap();
        let client =
            CertificateParams::new(vec!["client".into()]).unwrap().signed_by(&client_key, &ca).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", ca.pem());
        write("client.pem", client.pem());
        write("client.key", client_key.serialize_pem());
        write("empty.pem", String::new());
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        Self { folder, roots, chain: vec![server.der().clone()], key: server_key.serialize_der() }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.path().join(name))
    }

    /// Starts a cloud that shows the server's certificate, and may ask for the client's.
    async fn cloud(&self, asks_for_client: bool) -> Mock {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.unwrap();
        let builder = if asks_for_client {
            let roots = Arc::new(self.roots.clone());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        let config = builder.with_single_cert(self.chain.clone(), key).unwrap();
        Mock::start_tls(TlsAcceptor::from(Arc::new(config))).await
    }
}

async fn connect(config: &CloudConfig) -> Result<Cloud, Error> {
    Cloud::connect(config, options(&ManualTime::new())).await
}

#[tokio::test]
async fn a_private_ca_has_to_be_named() {
    let pki = Pki::new();
    let mut config = pki.cloud(false).await.config();
    let error = connect(&config).await.unwrap_err();
    assert!(error.hint().unwrap().contains("`cacert`"), "{error:?}");
    config.tls.ca_file = pki.file("ca.pem");
    connect(&config).await.unwrap();
}

#[tokio::test]
async fn another_ca_is_not_trusted() {
    let (pki, other) = (Pki::new(), Pki::new());
    let mut config = pki.cloud(false).await.config();
    config.tls.ca_file = other.file("ca.pem");
    assert!(connect(&config).await.unwrap_err().hint().unwrap().contains("`cacert`"));
    config.tls.insecure = true;
    connect(&config).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks_for_it() {
    let pki = Pki::new();
    let mut config = pki.cloud(true).await.config();
    config.tls.ca_file = pki.file("ca.pem");
    assert!(connect(&config).await.is_err());
    config.tls.cert_file = pki.file("client.pem");
    config.tls.key_file = pki.file("client.key");
    connect(&config).await.unwrap();
}

#[tokio::test]
async fn a_file_that_holds_no_certificate_is_named() {
    let pki = Pki::new();
    let mut config = pki.cloud(false).await.config();
    for name in ["empty.pem", "missing.pem"] {
        config.tls.ca_file = pki.file(name);
        let error = connect(&config).await.unwrap_err();
        assert!(matches!(&error, Error::Tls { file, .. } if file.ends_with(name)), "{error:?}");
    }
}

#[tokio::test]
async fn https_where_there_is_http_is_told() {
    let mut config = Mock::start().await.config();
    config.auth_url = config.auth_url.as_str().replace("http://", "https://").parse().unwrap();
    let error = connect(&config).await.unwrap_err();
    assert!(error.hint().unwrap().contains("`https`"), "{:?}", error.hint());
}

//! Images from an `https` address: verified while they pass through, again where a server has a bad moment, and with the
//! cause where it cannot be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::Ran;
use support::bed::Bed;

/// Larger than what is held back until the checksum is known, and than what a socket takes at once.
const LENGTH: usize = 3 << 20;

/// A web server with a certificate of its own authority.
struct Server {
    port: u16,
    /// How often each path was asked for.
    asked: Arc<Mutex<HashMap<String, u32>>>,
}

impl Server {
    /// Starts one and writes its authority's certificate to `ca.pem` in the folder.
    fn start(folder: &Path) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &ca).unwrap();
        std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap());
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let asked = Arc::clone(&server.asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, asked) = (Arc::clone(&config), Arc::clone(&asked));
                // A client that doesn't trust the certificate hangs up in the middle; that ends its thread only.
                std::thread::spawn(move || answer(stream, config, &asked));
            }
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    fn asked(&self, path: &str) -> u32 {
        self.asked.lock().unwrap().get(path).copied().unwrap_or_default()
    }
}

/// Answers one request and closes.
fn answer(stream: TcpStream, config: Arc<ServerConfig>, asked: &Mutex<HashMap<String, u32>>) -> Option<()> {
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).ok()?, stream));
    let mut first = String::new();
    stream.read_line(&mut first).ok()?;
    let mut line = String::new();
    while stream.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1)?.to_owned();
    let times = *asked.lock().unwrap().entry(path.clone()).and_modify(|count| *count += 1).or_insert(1);
    let data = vec![7; LENGTH];
    let whole = format!("200 OK\r\nContent-Length: {LENGTH}");
    let (head, body): (String, &[u8]) = match (path.as_str(), times) {
        ("/moved", _) => ("302 Found\r\nLocation: /node.raw\r\nContent-Length: 0".into(), &[]),
        ("/busy", 1) => ("503 Service Unavailable\r\nContent-Length: 0".into(), &[]),
        ("/broken", 1) => (whole, &data[..LENGTH / 2]),
        ("/untold", _) => ("200 OK".into(), &data),
        ("/node.raw" | "/busy" | "/broken", _) => (whole, &data),
        _ => ("404 Not Found\r\nContent-Length: 0".into(), &[]),
    };
    let stream = stream.get_mut();
    write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").ok()?;
    stream.write_all(body).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

fn register(bed: &Bed, address: &str, sum: &str) -> Ran {
    bed.home.run(&[
        "image", "register", "v1.36.2", "--name", "mine", "--format", "raw", "--source", address, "--sha256",
        sum,
    ])
}

/// The checksum of what the server sends.
const SUM: &str = "fadc8b76fb9e2447c118e8b612cb1280904241214f6b9b5b7010f445bcc3d10b";

fn bed() -> (Bed, Server) {
    let mut bed = Bed::new();
    let server = Server::start(bed.home.path());
    bed.home.set("SSL_CERT_FILE", bed.home.path().join("ca.pem").to_string_lossy());
    (bed, server)
}

#[test]
fn a_download_is_verified_and_survives_a_server_with_a_bad_moment() {
    let (bed, server) = bed();
    let before = bed.sandbox.inventory();
    for path in ["/node.raw", "/moved", "/busy", "/broken"] {
        let _ = register(&bed, &server.url(path), SUM).expect(0);
        let listed = bed.home.run(&["image", "list", "-o", "json"]).expect(0);
        let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
        let image = listed.as_array().unwrap().iter().find(|image| image["name"] == "mine").unwrap();
        assert_eq!((&image["status"], &image["size"]), (&"active".into(), &LENGTH.into()), "{path}");
        let _ = bed.home.run(&["image", "prune", "--yes"]).expect(0);
        assert_eq!(bed.sandbox.inventory(), before, "{path}");
    }
    assert_eq!((server.asked("/busy"), server.asked("/broken")), (2, 2));
    bed.end();
}

#[test]
fn what_cannot_be_downloaded_is_told_with_its_cause_and_leaves_no_image() {
    let (mut bed, server) = bed();
    let before = bed.sandbox.inventory();
    let wrong = "0".repeat(64);
    for (path, sum, parts) in [
        ("/node.raw", wrong.as_str(), vec![SUM, "`image.sha256` says 0000"]),
        ("/nothing", SUM, vec!["404 Not Found", "hint: check `image.source`", "/nothing"]),
        ("/untold", SUM, vec!["doesn't tell the length", "name the file"]),
    ] {
        let ran = register(&bed, &server.url(path), sum).expect(1);
        for part in parts {
            assert!(ran.stderr.contains(part), "{path}: `{part}` is missing in:\n{}", ran.stderr);
        }
        assert_eq!(bed.sandbox.inventory(), before, "{path}");
    }
    let ran = register(&bed, "https://127.0.0.1:1/node.raw", SUM).expect(1);
    assert!(ran.stderr.contains("hint: check `image.source`"), "{}", ran.stderr);
    // Another authority than the one that is trusted.
    let other = Server::start(bed.home.path());
    bed.home.set("SSL_CERT_FILE", bed.home.path().join("ca.pem").to_string_lossy());
    let ran = register(&bed, &server.url("/node.raw"), SUM).expect(1);
    assert!(ran.stderr.contains("invalid peer certificate"), "{}", ran.stderr);
    assert_eq!(other.asked("/node.raw"), 0);
    bed.home.set("SSL_CERT_FILE", "/dev/null");
    let ran = register(&bed, &server.url("/node.raw"), SUM).expect(1);
    assert!(ran.stderr.contains("hint: install the system's certificates"), "{}", ran.stderr);
    assert_eq!(bed.sandbox.inventory(), before);
    bed.end();
}

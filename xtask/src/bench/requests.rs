//! Small requests that the sandbox answers in one second of a processor's time, over connections that are kept.
//!
//! Processor time is what the kernel counts for the process, so that whoever else is at work on the machine, the asking
//! side of this benchmark included, doesn't show.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Figure;
use super::sandboxed::Sandboxed;

const CONNECTIONS: usize = 4;
/// By each connection.
const REQUESTS: usize = 5_000;
/// What issue and README promise.
const PROMISED: f64 = 5_000.0;
/// The kernel's clock ticks in a second, as Linux tells them to programs on every architecture.
const TICKS: f64 = 100.0;

pub(super) fn run(binary: &Path) -> Result<Vec<Figure>> {
    let sandbox = Sandboxed::start(binary, "requests")?;
    let cloud = Cloud::of(&sandbox)?;
    let server = cloud.server()?;
    let kubernetes = std::fs::read_to_string(sandbox.kubeconfig())?;
    let bearer = word_after(&kubernetes, "token:").context("no token in the kubeconfig")?;
    let token = ("X-Auth-Token", cloud.token.as_str());
    let bearer = ("Authorization", format!("Bearer {bearer}"));
    let asked = [
        ("GET of a server", format!("/compute/v2.1/servers/{server}"), token),
        ("GET of the flavors", "/compute/v2.1/flavors/detail".to_owned(), token),
        ("GET of a network list", "/network/v2.0/networks".to_owned(), token),
        (
            "GET of a namespace",
            "/kubernetes/api/v1/namespaces/default".to_owned(),
            (bearer.0, bearer.1.as_str()),
        ),
    ];
    let mut figures = Vec::new();
    for (what, path, (header, value)) in asked {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{header}: {value}\r\n\r\n", cloud.address);
        // Once without counting: memory is warm, the connection is known to work.
        ask(&cloud.address, &request, 100)?;
        let before = processor_time(sandbox.pid())?;
        std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..CONNECTIONS).map(|_| scope.spawn(|| ask(&cloud.address, &request, REQUESTS))).collect();
            all.into_iter()
                .try_for_each(|one| one.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
        })?;
        let spent = processor_time(sandbox.pid())? - before;
        let rate = (CONNECTIONS * REQUESTS) as f64 / spent.as_secs_f64();
        figures.push(
            Figure::new(format!("sandbox: {what}"), rate, "requests per second of one core")
                .at_least(PROMISED),
        );
    }
    Ok(figures)
}

/// Asks so many times over one connection; every answer has to be good.
fn ask(address: &str, request: &str, times: usize) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    for _ in 0..times {
        stream.write_all(request.as_bytes())?;
        let mut length = 0;
        let mut first = true;
        loop {
            line.clear();
            ensure!(answers.read_line(&mut line)? > 0, "the connection was closed");
            ensure!(!first || line.starts_with("HTTP/1.1 200"), "{}", line.trim());
            first = false;
            if line == "\r\n" {
                break;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body)?;
    }
    Ok(())
}

/// What a process has spent of processors, itself and in the kernel.
fn processor_time(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name, in brackets; the times are the 14th and 15th.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<f64> =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    ensure!(ticks.len() == 2, "unknown format of /proc/{pid}/stat");
    Ok(Duration::from_secs_f64((ticks[0] + ticks[1]) / TICKS))
}

fn word_after<'text>(text: &'text str, key: &str) -> Option<&'text str> {
    text.split_whitespace().skip_while(|word| *word != key).nth(1)
}

/// The sandbox's OpenStack, as its user.
struct Cloud {
    address: String,
    token: String,
}

impl Cloud {
    fn of(sandbox: &Sandboxed) -> Result<Self> {
        let clouds = std::fs::read_to_string(sandbox.clouds())?;
        let url = word_after(&clouds, "auth_url:").context("no auth_url in clouds.yaml")?;
        let address = url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
        let password = word_after(&clouds, "password:").context("no password in clouds.yaml")?;
        let domain = json!({"id": "default"});
        let login = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user":
                {"name": "demo", "domain": domain, "password": password}}},
            "scope": {"project": {"name": "demo", "domain": domain}}}});
        let answer = ureq::post(format!("{url}/auth/tokens")).send_json(login)?;
        let token = answer.headers().get("x-subject-token").context("the answer has no token")?;
        Ok(Self { token: token.to_str()?.to_owned(), address })
    }

    fn get(&self, path: &str) -> Result<Value> {
        let url = format!("http://{}{path}", self.address);
        Ok(ureq::get(url).header("X-Auth-Token", &self.token).call()?.body_mut().read_json()?)
    }

    fn post(&self, path: &str, body: Value) -> Result<Value> {
        let url = format!("http://{}{path}", self.address);
        let mut answer = ureq::post(url).header("X-Auth-Token", &self.token).send_json(body)?;
        Ok(answer.body_mut().read_json()?)
    }

    /// A server, to be looked at.
    fn server(&self) -> Result<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no id");
        let network = text(
            &self.post("/network/v2.0/networks", json!({"network": {"name": "bench"}}))?["network"]["id"],
        )?;
        let subnet = json!({"network_id": network, "cidr": "10.0.0.0/24", "ip_version": 4});
        self.post("/network/v2.0/subnets", json!({ "subnet": subnet }))?;
        let flavors = self.get("/compute/v2.1/flavors/detail?minDisk=10")?;
        let images = self.get("/image/v2/images")?;
        let server = json!({"name": "bench", "flavorRef": flavors["flavors"][0]["id"], "imageRef": images["images"][0]["id"],
                            "networks": [{"uuid": network}]});
        text(&self.post("/compute/v2.1/servers", json!({ "server": server }))?["server"]["id"])
    }
}

//! Uploading an image of 4 GiB into the sandbox's Glance: `capstan image register` beside `curl`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Figure;
use super::sandboxed::Sandboxed;
use crate::run::{output, pause};

const GIBIBYTES: u64 = 4;

pub(super) fn run(binary: &Path) -> Result<Vec<Figure>> {
    let sandbox = Sandboxed::start(binary, "upload")?;
    sandbox.write_fleet(0)?;
    let file = sandbox.folder().join("image.raw");
    std::fs::File::create(&file)?.set_len(GIBIBYTES << 30)?; // a hole: the disk is not what is measured

    let (ours, memory) = by_capstan(&sandbox, &file)?;
    let theirs = by_curl(&sandbox, &file)?;
    std::fs::remove_file(&file)?;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = |time: Duration| (GIBIBYTES << 10) as f64 / time.as_secs_f64();
    let mut figure = Figure::new(format!("upload of {GIBIBYTES} GiB: rate"), rate(ours), "MiB/s");
    figure.ratio = Some((rate(ours) / rate(theirs), format!("`curl` ({:.0} MiB/s)", rate(theirs))));
    let share =
        Figure::new("upload: time as a share of `curl`'s", ours.as_secs_f64() / theirs.as_secs_f64(), "")
            .at_most(1.25);
    Ok(vec![figure, share, Figure::new("upload: memory at most", memory, "MiB").at_most(64.0)])
}

/// How long it takes, and the most memory that it held (MiB).
fn by_capstan(sandbox: &Sandboxed, file: &Path) -> Result<(Duration, f64)> {
    let source = file.to_string_lossy();
    let arguments = [
        "image",
        "register",
        "v1.36.2",
        "--name",
        "by-capstan",
        "--format",
        "raw",
        "--source",
        &source,
        "--yes",
    ];
    let begin = Instant::now();
    let mut child = sandbox.capstan(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut most = 0;
    let status = loop {
        // The kernel keeps the peak itself; it is gone with the process.
        most = most.max(peak(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        pause(Duration::from_millis(5));
    };
    let time = begin.elapsed();
    ensure!(status.success(), "`capstan image register` ended with {status}");
    #[expect(clippy::cast_precision_loss, reason = "kibibytes of a process")]
    let mebibytes = most as f64 / 1024.0;
    Ok((time, mebibytes))
}

/// The peak of a process's resident memory in KiB.
pub(super) fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

fn by_curl(sandbox: &Sandboxed, file: &Path) -> Result<Duration> {
    let text = std::fs::read_to_string(sandbox.clouds())?;
    let clouds: serde_json::Value = serde_saphyr::from_str(&text)?;
    let auth = &clouds["clouds"]["sandbox"]["auth"];
    let user_domain = auth["user_domain_name"].as_str().unwrap_or("Default");
    let body = serde_json::json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": auth["username"], "password": auth["password"], "domain": {"name": user_domain}}}},
        "scope": {"project": {"name": auth["project_name"], "domain": {"name": user_domain}}}}});
    let identity = auth["auth_url"].as_str().context("auth_url")?;
    let login = ureq::post(format!("{identity}/auth/tokens")).send_json(&body)?;
    let token =
        login.headers().get("x-subject-token").context("the answer has no token")?.to_str()?.to_owned();
    let image = identity.replace("/identity/v3", "/image/v2/images");
    let made = ureq::post(&image)
        .header("x-auth-token", &token)
        .send_json(serde_json::json!({"name": "by-curl", "disk_format": "raw", "container_format": "bare"}))?
        .body_mut()
        .read_json::<serde_json::Value>()?;
    let id = made["id"].as_str().context("the answer has no id")?;
    let begin = Instant::now();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--header", &format!("x-auth-token: {token}")])
        .args(["--header", "content-type: application/octet-stream", "--upload-file"])
        .arg(file)
        .arg(format!("{image}/{id}/file"));
    output(&mut curl)?;
    Ok(begin.elapsed())
}

//! A proxy before the real OpenStack that drops requests, loses, cuts and delays answers, and answers in the place of
//! services. Capstan is sent through it by `HTTP_PROXY`, so that logins pass it, too; the providers go past it. It runs
//! as a process of its own, because it has to be in the bed's network.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Chance, Life};
use crate::real::Scene;
use crate::run::pause;

pub(in crate::real) fn run(scene: &Scene) -> Result<()> {
    let begin = Instant::now();
    let mut proxy = Proxy::start(scene)?;
    let veiled = || scene.capstan().with_variable("HTTP_PROXY", format!("http://{}", proxy.address));
    let life = Life::new(scene, "veiled", "10.22.0.0/20")?;
    // What comes of it is looked at without the veil.
    let created = life.until_done(&veiled(), &life.create())?;
    life.insist_on_cluster()?;
    let deleted = life.until_done(&veiled(), &life.delete())?;
    life.insist_on_end()?;
    life.end()?;
    let account = proxy.end()?;
    println!(
        "behind the proxy: created in {created} runs, deleted in {deleted}, {:.0} s; {account}",
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The process with the proxy.
struct Proxy {
    child: Child,
    address: String,
    said: BufReader<std::process::ChildStdout>,
}

impl Proxy {
    fn start(scene: &Scene) -> Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let mut command = scene.bed.inside(program);
        command.args(["real", "--serve-proxy", "--seed", &scene.seed.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut address = String::new();
        said.read_line(&mut address)?;
        ensure!(!address.trim().is_empty(), "the proxy did not start");
        Ok(Self { child, address: address.trim().to_owned(), said })
    }

    /// Ends it by its closed input, and tells what it has done.
    fn end(&mut self) -> Result<String> {
        drop(self.child.stdin.take());
        let mut account = String::new();
        self.said.read_to_string(&mut account)?;
        self.child.wait()?;
        ensure!(!account.trim().is_empty(), "the proxy has kept no account");
        Ok(account.trim().to_owned())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its input closes with this process at the latest; a proxy that has ended already is none to kill.
        let _ = self.child.kill();
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Passed,
    /// Closed before anything happened.
    Dropped,
    /// Done, and the answer lost.
    AnswerLost,
    /// Done, and the answer ends in its middle.
    AnswerCut,
    /// Answered late.
    Delayed(Duration),
    /// A page of a proxy in the place of the service.
    Unavailable,
    /// Too many requests.
    Throttled,
}

impl Fate {
    /// Roughly one request in four meets something; of those that change something, of which there are few, two in three.
    fn draw(chance: &mut Chance, method: &str) -> Self {
        let share = if method == "GET" { 1.0 } else { 2.5 };
        match chance.fraction() / share {
            x if x < 0.04 => Self::Dropped,
            x if x < 0.08 => Self::AnswerLost,
            x if x < 0.12 => Self::AnswerCut,
            x if x < 0.16 => Self::Unavailable,
            x if x < 0.19 => Self::Throttled,
            x if x < 0.27 => Self::Delayed(Duration::from_secs_f64(chance.between(0.3, 3.0))),
            _ => Self::Passed,
        }
    }
}

/// How many requests met what.
#[derive(Debug, Default)]
struct Account {
    requests: usize,
    dropped: usize,
    lost: usize,
    cut: usize,
    delayed: usize,
    replaced: usize,
}

impl Account {
    fn note(&mut self, fate: Fate) {
        self.requests += 1;
        match fate {
            Fate::Passed => {}
            Fate::Dropped => self.dropped += 1,
            Fate::AnswerLost => self.lost += 1,
            Fate::AnswerCut => self.cut += 1,
            Fate::Delayed(_) => self.delayed += 1,
            Fate::Unavailable | Fate::Throttled => self.replaced += 1,
        }
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { requests, dropped, lost, cut, delayed, replaced } = self;
        write!(
            f,
            "{requests} requests, of which {dropped} were dropped, {lost} lost their answer, {cut} had it cut, \
             {delayed} were delayed, {replaced} got 429 or 503 from the proxy"
        )
    }
}

/// Serves until the standard input closes; then says what it has done.
pub(in crate::real) fn serve(seed: u64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let state = Arc::new(Mutex::new((Chance::new(seed), Account::default())));
    let shared = Arc::clone(&state);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let state = Arc::clone(&shared);
            std::thread::spawn(move || {
                let draw = |method: &str| {
                    let (chance, account) = &mut *state.lock().unwrap_or_else(PoisonError::into_inner);
                    let fate = Fate::draw(chance, method);
                    account.note(fate);
                    fate
                };
                if let Err(error) = handle(client, draw) {
                    eprintln!("proxy: {error:#}");
                }
            });
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    println!("{}", state.lock().unwrap_or_else(PoisonError::into_inner).1);
    Ok(())
}

/// One request of a client, and the end of the connection.
fn handle(mut client: TcpStream, draw: impl FnOnce(&str) -> Fate) -> Result<()> {
    let Some(request) = Request::read(&mut BufReader::new(client.try_clone()?))? else { return Ok(()) };
    let fate = draw(&request.method);
    if fate != Fate::Passed {
        eprintln!("proxy: {} {}: {fate:?}", request.method, request.target);
    }
    match fate {
        Fate::Dropped => return Ok(client.shutdown(Shutdown::Both)?),
        Fate::Unavailable => return Ok(client.write_all(UNAVAILABLE.as_bytes())?),
        Fate::Throttled => return Ok(client.write_all(THROTTLED.as_bytes())?),
        _ => {}
    }
    let answer = request.forward()?;
    let shown = match fate {
        Fate::AnswerLost => &[][..],
        Fate::AnswerCut => &answer[..answer.len() / 2],
        _ => &answer[..],
    };
    if let Fate::Delayed(time) = fate {
        pause(time);
    }
    client.write_all(shown)?;
    Ok(client.shutdown(Shutdown::Both)?)
}

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: 49\r\n\
                           Connection: close\r\n\r\n<html><body><h1>503 Overloaded</h1></body></html>";
const THROTTLED: &str = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
                         Connection: close\r\n\r\n";

/// A request as a proxy gets it: with the whole address in its first line.
struct Request {
    method: String,
    target: String,
    host: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    /// `None` where the client has closed the connection without asking for anything.
    fn read(from: &mut impl BufRead) -> Result<Option<Self>> {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(address)) = (words.next(), words.next()) else { bail!("no request: {line}") };
        let rest = address.strip_prefix("http://").with_context(|| format!("not for a proxy: {line}"))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let target = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        let (mut headers, mut length) = (Vec::new(), 0);
        loop {
            let mut header = String::new();
            ensure!(from.read_line(&mut header)? > 0, "the request ends in its head");
            let header = header.trim_end();
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').context("a header without a colon")?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "transfer-encoding" => bail!("a body in pieces, which this proxy does not read"),
                _ => {}
            }
            if !name.eq_ignore_ascii_case("connection") && !name.eq_ignore_ascii_case("proxy-connection") {
                headers.push(header.to_owned());
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(Some(Self { method: method.to_owned(), target, host: host.to_owned(), headers, body }))
    }

    /// Asks the service, and returns everything that it answers.
    fn forward(&self) -> Result<Vec<u8>> {
        let mut service =
            TcpStream::connect(&self.host).with_context(|| format!("connect to {}", self.host))?;
        let Self { method, target, headers, body, .. } = self;
        let head =
            format!("{method} {target} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n", headers.join("\r\n"));
        service.write_all(head.as_bytes())?;
        service.write_all(body)?;
        let mut answer = Vec::new();
        service.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_a_proxy_gets_it() {
        let text = "POST http://127.0.0.1:5000/v3/auth/tokens?x=1 HTTP/1.1\r\nHost: 127.0.0.1:5000\r\n\
                    Connection: keep-alive\r\nContent-Length: 2\r\n\r\n{}";
        let request = Request::read(&mut text.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (request.host.as_str(), request.target.as_str()),
            ("127.0.0.1:5000", "/v3/auth/tokens?x=1")
        );
        assert_eq!(request.headers, ["Host: 127.0.0.1:5000", "Content-Length: 2"]);
        assert_eq!(request.body, b"{}");
        assert!(Request::read(&mut "".as_bytes()).unwrap().is_none());
        assert!(Request::read(&mut "GET /v3 HTTP/1.1\r\n\r\n".as_bytes()).is_err());
    }

    #[test]
    fn every_fate_is_met_and_most_pass() {
        let mut chance = Chance::new(1);
        let mut account = Account::default();
        for _ in 0..1000 {
            account.note(Fate::draw(&mut chance, "GET"));
        }
        let Account { requests, dropped, lost, cut, delayed, replaced } = account;
        assert_eq!(requests, 1000);
        assert!([dropped, lost, cut, delayed, replaced].iter().all(|count| *count > 20), "{account}");
        assert!(dropped + lost + cut + delayed + replaced < 350, "{account}");
        let writes = (0..1000).filter(|_| Fate::draw(&mut chance, "POST") != Fate::Passed).count();
        assert!((600..750).contains(&writes), "{writes}");
    }

    #[test]
    fn answers_of_the_proxy_itself_are_as_long_as_they_say() {
        let (head, body) = UNAVAILABLE.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    }
}

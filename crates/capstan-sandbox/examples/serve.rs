//! Serves a sandbox until it is stopped: `cargo run -p capstan-sandbox --example serve -- [SPEED]`.
//!
//! SPEED is a factor (60: a minute passes in a second); without one, time jumps to the next event.
#![allow(clippy::print_stdout, reason = "the example says where it listens")]

use capstan_sandbox::{Config, Error, Sandbox, Speed};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let factor = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let speed = factor.map_or(Speed::Max, Speed::Times);
    let sandbox = Sandbox::start(Config { speed, ..Config::default() }).await?;
    println!("{}", sandbox.clouds_yaml());
    tokio::signal::ctrl_c().await?;
    sandbox.shutdown().await;
    Ok(())
}

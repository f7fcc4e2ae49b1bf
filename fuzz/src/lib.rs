//! What the fuzz targets share. Inputs are text, so that seeds can be read and written by hand: a line `%%` parts one
//! file, answer or request from the next.

use std::future::Future;

/// The parts of an input, at most `most`: what is beyond is cut off.
pub fn parts(input: &[u8], most: usize) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while parts.len() + 1 < most {
        let Some(at) = rest.windows(4).position(|window| window == b"\n%%\n") else { break };
        // The last line of a part keeps its end.
        parts.push(&rest[..=at]);
        rest = &rest[at + 4..];
    }
    if parts.len() < most {
        let end = rest.windows(4).position(|window| window == b"\n%%\n").map_or(rest.len(), |at| at + 1);
        parts.push(&rest[..end]);
    }
    parts
}

/// The first line of a part, and what follows it.
pub fn first_line(part: &[u8]) -> (&str, &[u8]) {
    let end = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
    let line = std::str::from_utf8(&part[..end]).unwrap_or_default();
    (line.trim_end_matches('\r'), part.get(end + 1..).unwrap_or_default())
}

/// Runs a future on a runtime of its own whose clock jumps over every wait.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime on this thread");
    runtime.block_on(future)
}

//! The size of the release binary.

use std::path::Path;

use anyhow::Result;

use super::Figure;

pub(super) fn run(binary: &Path) -> Result<Vec<Figure>> {
    #[expect(clippy::cast_precision_loss, reason = "a file's size is far below 2^52")]
    let mebibytes = std::fs::metadata(binary)?.len() as f64 / f64::from(1 << 20);
    Ok(vec![Figure::new("release binary", mebibytes, "MiB").at_most(40.0)])
}

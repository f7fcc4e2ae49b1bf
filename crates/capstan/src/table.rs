//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

/// A table without lines, columns two blanks apart.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let shown = table(
            ["NAME", "PHASE"],
            [["web".into(), "Available".into()], ["a-longer-name".into(), "-".into()]],
        );
        assert_eq!(shown, "NAME           PHASE\nweb            Available\na-longer-name  -");
    }
}

//! The table in `docs/RELIABILITY.md`.

use std::{fs, io, path::Path};

/// The lines between which the table stands.
const BEGIN: &str = "<!-- table: written by make chaos -->\n";
const END: &str = "<!-- end of table -->\n";

/// Puts the table in place of the one that is there.
///
/// # Errors
///
/// When the file can't be read or written, or has no place for a table.
pub fn write(page: &Path, table: &str) -> io::Result<()> {
    let text = fs::read_to_string(page)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} has no lines {BEGIN}{END}", page.display())));
    };
    fs::write(page, format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_replaced_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), format!("before\n{BEGIN}old\n{END}after\n")).expect("a page");
        write(file.path(), "| new |\n").expect("it is written");
        write(file.path(), "| newer |\n").expect("it is written");
        let text = fs::read_to_string(file.path()).expect("a page");
        assert_eq!(text, format!("before\n{BEGIN}\n| newer |\n\n{END}after\n"));
        fs::write(file.path(), "no place").expect("a page");
        assert!(write(file.path(), "").is_err());
    }
}

//! Finding the programs, and refusing to test old ones.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// How to build them.
const BUILD: &str =
    "cargo build --workspace --bins --tests --features command-service/failpoints,notifier/failpoints,projector/failpoints";

/// The path of a program of this workspace: in `ORDERFLOW_BIN_DIR`, or where cargo put it.
///
/// # Panics
///
/// When it is missing, or older than what it is made of (unless `ORDERFLOW_STALE=allow`).
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = directory().join(name);
    assert!(path.is_file(), "there is no {}; build it first: {BUILD}", path.display());
    if std::env::var_os("ORDERFLOW_STALE").is_none_or(|value| value != "allow") {
        let newer = newer_source(&path);
        assert!(
            newer.is_none(),
            "{} is older than {}; build it again: {BUILD} (or set ORDERFLOW_STALE=allow)",
            path.display(),
            newer.as_deref().unwrap_or_else(|| Path::new("its source")).display()
        );
    }
    path
}

fn directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("ORDERFLOW_BIN_DIR") {
        return directory.into();
    }
    // target/debug/deps/it-0123: the programs are two folders up.
    let test = std::env::current_exe().expect("the path of this test");
    test.ancestors().nth(2).expect("cargo's target directory").to_owned()
}

/// A source file that changed after the program was linked, by the list that cargo leaves beside it.
fn newer_source(program: &Path) -> Option<PathBuf> {
    let list = fs::read_to_string(program.with_extension("d")).ok()?;
    let linked = modified(program)?;
    let sources = list.lines().next()?.split_once(": ")?.1.split(' ');
    sources.map(PathBuf::from).find(|source| modified(source).is_some_and(|changed| changed > linked))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

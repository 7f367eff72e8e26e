//! The README's commands are run as they stand.
//!
//! A block of the language `sh` right behind the comment `<!-- run -->` is run by bash, all of them in order in one shell,
//! with `COMMAND_URL`, `QUERY_URL`, `PROJECTOR_URL`, `FULFILMENT_URL`, `TOKEN` and `JWT_SECRET` exported. A `curl` that is answered with an error fails.

use std::{fs, process::Command};

use system_tests::{Plan, Stack, client, stack::JWT_SECRET};

/// What every shell begins with: a failed line ends it, and so does an error as an answer.
const PRELUDE: &str = r#"set -euo pipefail
curl() { command curl --fail-with-body --silent --show-error --max-time 30 "$@"; }
"#;

#[tokio::test]
async fn the_readme_s_commands_work() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let text = fs::read_to_string(readme).expect("there is a README.md");
    let blocks = blocks(&text);
    assert!(!blocks.is_empty(), "README.md has no block to be run: put <!-- run --> in the line before ```sh");
    let stack = Stack::start(Plan { fulfilments: 1, ..Plan::default() }).await;
    let mut script = PRELUDE.to_owned();
    for (line, block) in &blocks {
        script += &format!("echo '=== README.md:{line}'\n{block}\necho\n");
    }
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &script])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("COMMAND_URL", stack.commands[0].url())
        .env("QUERY_URL", stack.query.url())
        .env("PROJECTOR_URL", stack.projectors[0].url())
        .env("FULFILMENT_URL", stack.fulfilments[0].url())
        .env("JWT_SECRET", JWT_SECRET)
        .env("TOKEN", client::token());
    let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().expect("bash runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the block named last failed:\n{said}");
}

/// What stands before them; deploy/compose-test tells these two apart.
const MARKS: [&str; 2] = ["<!-- run -->", "<!-- run, but not through the gateway -->"];

/// The blocks to be run, with the line that each begins in.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    while let Some((_, line)) = lines.next() {
        if !MARKS.contains(&line.trim()) {
            continue;
        }
        let Some((number, fence)) = lines.find(|(_, line)| !line.trim().is_empty()) else { break };
        assert_eq!(fence.trim(), "```sh", "README.md:{number}: a block to be run is ```sh");
        let block: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        blocks.push((number + 1, block.join("\n")));
    }
    blocks
}

#[test]
fn finds_the_blocks_to_be_run() {
    let text = "a\n```sh\nnot this\n```\n<!-- run -->\n\n```sh\nthis\nand this\n```\nb";
    assert_eq!(blocks(text), [(8, "this\nand this".to_owned())]);
}

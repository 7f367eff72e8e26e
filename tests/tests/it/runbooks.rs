//! Every alert has a page that says what to do, every page an alert; and what pages tell an operator to type exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use system_tests::binaries::program;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Text by file name.
fn pages() -> BTreeMap<String, String> {
    let files = fs::read_dir(root().join("docs/runbooks")).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())).collect()
}

/// The alerts with their severity and page.
fn alerts() -> Vec<(String, String, String)> {
    let rules = fs::read_to_string(root().join("deploy/prometheus/rules/alerts.yml")).unwrap();
    let mut alerts = Vec::new();
    for block in rules.split("- alert: ").skip(1) {
        let after = |what: &str| {
            let found =
                block.split_once(what).map(|(_, rest)| rest.split(['\n', '}']).next().unwrap_or_default().trim().to_owned());
            found.unwrap_or_default()
        };
        let name = block.lines().next().unwrap().trim().to_owned();
        assert!(!after("summary: ").is_empty() && !after("description: ").is_empty(), "{name} does not say what is wrong");
        alerts.push((name, after("severity: "), after("runbook_url: docs/runbooks/")));
    }
    alerts
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let (pages, alerts) = (pages(), alerts());
    assert!(alerts.len() > 10, "{alerts:?}");
    let mut wanted = BTreeSet::from(["README.md".to_owned()]);
    for (name, severity, page) in alerts {
        assert!(["page", "ticket"].contains(&severity.as_str()), "{name}: {severity}");
        let text = pages.get(&page).unwrap_or_else(|| panic!("{name} has no page docs/runbooks/{page}"));
        assert!(text.contains(&name), "docs/runbooks/{page} does not name {name}");
        assert!(
            pages["README.md"].contains(&format!("({page})")) && pages["README.md"].contains(&name),
            "README.md lacks {name}"
        );
        for heading in ["## What it means", "## How to see", "## What to do", "## When it is over"] {
            assert!(text.contains(heading), "docs/runbooks/{page} has no {heading:?}");
        }
        wanted.insert(page);
    }
    let extra: Vec<_> = pages.keys().filter(|page| !wanted.contains(*page)).collect();
    assert!(extra.is_empty(), "no alert leads to {extra:?}");
}

/// What follows `orderctl` on a line: its verbs, and its flags.
fn typed(text: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let mut typed = Vec::new();
    for line in text.lines() {
        for rest in line.split("orderctl ").skip(1) {
            let rest = rest.split(['`', '#']).next().unwrap_or_default();
            let is_verb = |word: &&str| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase());
            let verbs: Vec<_> = rest.split(' ').take_while(is_verb).map(str::to_owned).collect();
            let flags = rest
                .split_whitespace()
                .filter(|word| word.starts_with("--"))
                .map(|word| word.trim_end_matches([':', ',']))
                .map(str::to_owned);
            typed.push((verbs, flags.collect()));
        }
    }
    typed
}

#[test]
fn what_pages_tell_operators_to_type_exists() {
    let orderctl = program("orderctl");
    let mut seen = BTreeSet::new();
    for (page, text) in pages() {
        for (verbs, flags) in typed(&text) {
            if !seen.insert((verbs.clone(), flags.clone())) {
                continue;
            }
            let output = Command::new(&orderctl).args(&verbs).arg("--help").output().unwrap();
            let help = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && !verbs.is_empty(), "{page}: there is no `orderctl {}`", verbs.join(" "));
            for flag in flags {
                assert!(help.contains(&flag), "{page}: `orderctl {}` has no {flag}", verbs.join(" "));
            }
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn finds_what_is_typed() {
    let said = typed("- do `orderctl dlq retry --group F --canary` and\norderctl saga show ORDER   # orders");
    let said: Vec<_> = said.iter().map(|(verbs, flags)| (verbs.join(" "), flags.join(" "))).collect();
    let expected =
        [("dlq retry", "--group --canary"), ("saga show", "")].map(|(verbs, flags)| (verbs.to_owned(), flags.to_owned()));
    assert_eq!(said, expected);
}

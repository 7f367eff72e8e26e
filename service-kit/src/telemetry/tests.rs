use std::io::Write;
use std::panic::{catch_unwind, take_hook};
use std::sync::Arc;

use super::*;

struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_a_log_line_with_its_place() {
    let text = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&text);
    let logs = tracing_subscriber::fmt().json().with_writer(move || Lines(Arc::clone(&sink))).finish();
    log_panics();
    let ended = tracing::subscriber::with_default(logs, || catch_unwind(|| panic!("out of {}", "stock")));
    // The other tests of this process want their panics on stderr.
    drop(take_hook());
    assert!(ended.is_err());
    let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
    assert!(text.contains("out of stock") && text.contains("telemetry/tests.rs"), "{text}");
}

#[test]
fn installing_the_recorder_again_gives_the_same_one() {
    let (first, second) = (Metrics::install().unwrap(), Metrics::install().unwrap());
    metrics::counter!("orderflow_test_total").increment(1);
    assert!(first.render().contains("orderflow_test_total 1"));
    assert!(second.render().contains("orderflow_test_total 1"));
}

#[test]
fn samples_are_folded_without_anyone_asking_for_metrics() {
    Metrics::install().unwrap();
    // Folding is a thread's work; what it does is only seen in memory, so its presence must do.
    let deadline = std::time::Instant::now() + Duration::from_secs(2);
    let has_thread = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        tasks
            .map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default())
            .any(|name| name.trim() == "metrics")
    };
    while !has_thread() {
        assert!(std::time::Instant::now() < deadline, "nothing folds the samples");
    }
}

use std::convert::Infallible;

use tokio::sync::oneshot;

use super::*;

/// Opens at the third failure, for a moment.
fn breaker(pause: Duration) -> Breaker {
    Breaker::new("test", Settings { failures: 3, first_pause: pause, last_pause: pause * 4 })
}

const SHORT: Duration = Duration::from_millis(5);
/// Not over before the test is.
const LONG: Duration = Duration::from_secs(3600);

async fn fails(breaker: &Breaker) -> Result<(), Rejected<&'static str>> {
    breaker.call(|_| true, async { Err("broken") }).await
}

async fn works(breaker: &Breaker) -> Result<u8, Rejected<Infallible>> {
    breaker.call(|_| true, async { Ok(7) }).await
}

async fn opened(pause: Duration) -> Breaker {
    let breaker = breaker(pause);
    for _ in 0..3 {
        assert_eq!(fails(&breaker).await, Err(Rejected::Failed("broken")));
    }
    breaker
}

#[tokio::test]
async fn failures_in_a_row_open_it_and_nothing_is_called_then() {
    let breaker = opened(LONG).await;
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.call(|(): &()| true, never()).await, Err(Rejected::Open));
}

async fn never() -> Result<(), ()> {
    panic!("it was called")
}

#[tokio::test]
async fn a_success_between_two_failures_keeps_it_closed() {
    let breaker = breaker(LONG);
    for _ in 0..5 {
        for _ in 0..2 {
            fails(&breaker).await.unwrap_err();
        }
        assert_eq!(works(&breaker).await, Ok(7));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn errors_that_are_answers_never_open_it() {
    let breaker = breaker(LONG);
    for _ in 0..9 {
        let refused = breaker.call(|_| false, async { Err::<(), _>("declined") }).await;
        assert_eq!(refused, Err(Rejected::Failed("declined")));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn after_a_while_one_call_probes_and_closes_it() {
    let breaker = Arc::new(opened(SHORT).await);
    tokio::time::sleep(SHORT * 2).await;
    let (answer, answered) = oneshot::channel::<Result<(), &'static str>>();
    let probing = Arc::clone(&breaker);
    let probe = tokio::spawn(async move { probing.call(|_| true, async { answered.await.unwrap() }).await });
    while breaker.state() != State::HalfOpen {
        tokio::task::yield_now().await;
    }
    // Nobody else, as long as the probe is out.
    assert_eq!(works(&breaker).await, Err(Rejected::Open));
    answer.send(Ok(())).unwrap();
    probe.await.unwrap().unwrap();
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(works(&breaker).await, Ok(7));
}

#[tokio::test]
async fn a_probe_that_fails_opens_it_again() {
    let breaker = opened(SHORT).await;
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(fails(&breaker).await, Err(Rejected::Failed("broken")));
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test]
async fn a_probe_that_is_given_up_makes_room_for_the_next() {
    let breaker = opened(SHORT).await;
    tokio::time::sleep(SHORT * 2).await;
    let never = breaker.call(|(): &()| true, std::future::pending::<Result<(), ()>>());
    tokio::time::timeout(SHORT, never).await.unwrap_err();
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(works(&breaker).await, Ok(7));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn only_the_probe_decides() {
    let breaker = breaker(SHORT);
    // It is on its way before the breaker opens.
    let straggler = breaker.admit().expect("it is closed");
    for _ in 0..3 {
        fails(&breaker).await.unwrap_err();
    }
    tokio::time::sleep(SHORT * 2).await;
    let probe = breaker.admit().expect("a probe");
    straggler.settle(false);
    assert_eq!(breaker.state(), State::HalfOpen, "the straggler's success says nothing");
    probe.settle(true);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn it_stays_open_longer_each_time_up_to_a_bound() {
    let second = Duration::from_secs(1);
    let pauses: Vec<_> = Pauses { next: second, last: second * 5 }.take(5).collect();
    assert_eq!(pauses, [second, second * 2, second * 4, second * 5, second * 5]);
}

#[tokio::test]
async fn its_state_is_a_metric() {
    let metrics = crate::telemetry::Metrics::install().unwrap();
    let settings = Settings { failures: 1, first_pause: LONG, last_pause: LONG };
    let breaker = Breaker::new("test-metric", settings);
    assert!(metrics.render().contains(r#"orderflow_breaker_state{name="test-metric"} 0"#));
    fails(&breaker).await.unwrap_err();
    works(&breaker).await.unwrap_err();
    let text = metrics.render();
    assert!(text.contains(r#"orderflow_breaker_state{name="test-metric"} 2"#), "{text}");
    assert!(text.contains(r#"orderflow_breaker_rejected_total{name="test-metric"} 1"#), "{text}");
    drop(breaker);
    assert!(metrics.render().contains(r#"orderflow_breaker_state{name="test-metric"} 0"#));
}

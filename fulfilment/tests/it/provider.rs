//! The payment provider's adapter against the sandbox, and against what is no provider at all.

mod sandbox;
mod tls;

use std::{future::Future, time::Duration};

use events::{
    Money,
    text::{PaymentMethod, ProviderReference, Reason},
};
use fulfilment::{
    application::provider::{Answer, PaymentProvider, ProviderError},
    outbound::provider::{HttpProvider, ProviderSettings},
};
use sandbox::{KEY, Sandbox};
use service_kit::{breaker, config::Secret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Nothing that is waited for takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(url: &str) -> ProviderSettings {
    ProviderSettings {
        url: url.parse().unwrap(),
        key: Secret::new(KEY),
        authorities: Vec::new(),
        timeout: PATIENCE,
        attempts: 1,
        // It never opens.
        breaker: breaker::Settings { failures: u32::MAX, ..breaker::Settings::default() },
    }
}

fn provider(url: &str) -> HttpProvider {
    HttpProvider::new(settings(url)).unwrap()
}

fn pounds(minor: u64) -> Money {
    serde_json::from_value(serde_json::json!({"minor": minor, "currency": "GBP"})).unwrap()
}

fn method(name: &str) -> PaymentMethod {
    PaymentMethod::parse(name).unwrap()
}

fn done(answer: Result<Answer, ProviderError>) -> ProviderReference {
    match answer {
        Ok(Answer::Done(reference)) => reference,
        other => panic!("{other:?}"),
    }
}

fn refused(text: &str) -> Result<Answer, ProviderError> {
    Ok(Answer::Refused(Reason::parse(text).unwrap()))
}

fn is_unknown(answer: &Result<Answer, ProviderError>) -> bool {
    matches!(answer, Err(ProviderError::Unknown(_)))
}

fn is_unavailable(answer: &Result<Answer, ProviderError>) -> bool {
    matches!(answer, Err(ProviderError::Unavailable(_)))
}

/// Asks with the same key until the answer is definite, as a saga does.
async fn until_definite<F: Future<Output = Result<Answer, ProviderError>>>(ask: impl Fn() -> F) -> Answer {
    let asking = async {
        loop {
            if let Ok(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("a definite answer")
}

#[tokio::test]
async fn a_payment_from_authorisation_to_refund() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.url);
    let authorisation = done(provider.authorise("order:1", pounds(1_999), &method("pm_card")).await);
    assert_eq!(done(provider.authorise("order:1", pounds(1_999), &method("pm_card")).await), authorisation);
    let capture = done(provider.capture("order:capture", &authorisation, pounds(1_500)).await);
    done(provider.refund("order:refund", &capture, pounds(300)).await);
    done(provider.void("order:void", &authorisation).await);
    let book = sandbox.book().await;
    let totals = &book["totals"]["GBP"];
    let sums = ["authorised", "captured", "refunded", "voided", "held"].map(|name| totals[name].as_u64().unwrap());
    assert_eq!(sums, [1_999, 1_500, 300, 499, 0]);
}

#[tokio::test]
async fn a_provider_behind_tls_is_asked_only_where_its_certificate_is_trusted() {
    let sandbox = Sandbox::start().await;
    let (url, authority) = tls::in_front_of(&sandbox.url).await;
    let stranger = provider(&url).authorise("a", pounds(100), &method("pm_card")).await;
    assert!(is_unavailable(&stranger) && format!("{stranger:?}").contains("certificate"), "{stranger:?}");
    assert_eq!(sandbox.book().await["authorisations"], serde_json::json!([]));

    let known = HttpProvider::new(ProviderSettings { authorities: vec![authority], ..settings(&url) }).unwrap();
    done(known.authorise("a", pounds(100), &method("pm_card")).await);
    assert_eq!(sandbox.book().await["keys"]["a"]["done"], 1);
}

#[tokio::test]
async fn what_the_provider_refuses_is_definite() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.url);
    assert_eq!(provider.authorise("a", pounds(100), &method("pm_declined")).await, refused("The card was declined."));
    let authorisation = done(provider.authorise("b", pounds(100), &method("pm_card")).await);
    assert_eq!(provider.capture("c", &authorisation, pounds(101)).await, refused("That is more than is left."));
    let nobody_s = ProviderReference::parse("auth/../x y").unwrap();
    assert_eq!(provider.void("d", &nobody_s).await, refused("There is no such authorisation."));
}

#[tokio::test]
async fn what_is_asked_five_times_is_charged_once() {
    let sandbox = Sandbox::start().await;
    let provider = HttpProvider::new(ProviderSettings { timeout: Duration::from_millis(300), ..settings(&sandbox.url) }).unwrap();
    for trouble in ["fails_twice", "unknown", "garbled", "busy", "away", "hangs_once", "hangs_before", "approved"] {
        let method = method(&format!("pm_{trouble}"));
        let first = until_definite(|| provider.authorise(trouble, pounds(100), &method)).await;
        for _ in 0..4 {
            assert_eq!(until_definite(|| provider.authorise(trouble, pounds(100), &method)).await, first, "{trouble}");
        }
        let Answer::Done(reference) = first else { panic!("{trouble}: {first:?}") };
        let book = sandbox.book().await;
        assert_eq!(book["keys"][trouble]["done"], 1, "{trouble}");
        let of_this = book["authorisations"].as_array().unwrap().iter().filter(|made| made["key"] == trouble);
        let ids: Vec<_> = of_this.map(|made| made["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [reference.as_str()], "{trouble}");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_known_when_it_is_asked_for_again() {
    let sandbox = Sandbox::start().await;
    let one_by_one = provider(&sandbox.url);
    let unknown = method("pm_unknown");
    for _ in 0..2 {
        let answer = one_by_one.authorise("a", pounds(100), &unknown).await;
        assert!(is_unknown(&answer), "{answer:?}");
        assert_eq!(sandbox.book().await["keys"]["a"]["done"], 1, "it was done all the same");
    }
    done(one_by_one.authorise("a", pounds(100), &unknown).await);
    // Within one call, too.
    let patient = HttpProvider::new(ProviderSettings { attempts: 3, ..settings(&sandbox.url) }).unwrap();
    done(patient.authorise("b", pounds(100), &unknown).await);
    assert_eq!(sandbox.book().await["keys"]["b"]["asked"], 3);
}

#[tokio::test]
async fn who_does_not_answer_in_time_may_have_done_it() {
    let sandbox = Sandbox::start().await;
    let hasty = HttpProvider::new(ProviderSettings { timeout: Duration::from_millis(200), ..settings(&sandbox.url) }).unwrap();
    let answer = hasty.authorise("a", pounds(100), &method("pm_hangs")).await;
    assert!(is_unknown(&answer), "{answer:?}");
    let answer = hasty.authorise("b", pounds(100), &method("pm_lost")).await;
    assert!(is_unknown(&answer), "{answer:?}");
}

#[tokio::test]
async fn who_is_not_there_has_done_nothing() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let patient = HttpProvider::new(ProviderSettings { attempts: 3, ..settings(&format!("http://{nobody}")) }).unwrap();
    let answer = patient.authorise("a", pounds(100), &method("pm_card")).await;
    assert!(is_unavailable(&answer), "{answer:?}");
}

/// The first attempt may have been heard, and that nobody was there later does not undo it.
#[tokio::test]
async fn who_went_away_after_being_asked_may_have_done_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut heard = [0; 1024];
        assert!(connection.read(&mut heard).await.unwrap() > 0);
    });
    let patient = HttpProvider::new(ProviderSettings { attempts: 3, ..settings(&url) }).unwrap();
    let answer = patient.authorise("a", pounds(100), &method("pm_card")).await;
    assert!(is_unknown(&answer), "{answer:?}");
}

/// A gateway in between, say.
#[tokio::test]
async fn somebody_else_s_answer_says_nothing() {
    for head in ["404 Not Found", "302 Found\r\nlocation: /elsewhere", "200 OK"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 6\r\n\r\n<html>");
                let mut heard = [0; 4096];
                let _ = connection.read(&mut heard).await;
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        let answer = provider(&url).authorise("a", pounds(100), &method("pm_card")).await;
        assert!(is_unknown(&answer), "{head}: {answer:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_no_decline() {
    let sandbox = Sandbox::start().await;
    let stranger = HttpProvider::new(ProviderSettings { key: Secret::new("wrong"), ..settings(&sandbox.url) }).unwrap();
    let answer = stranger.authorise("a", pounds(100), &method("pm_card")).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    assert_eq!(sandbox.book().await["calls"], 0);
}

#[tokio::test]
async fn another_request_under_a_key_is_no_refusal_of_it() {
    let sandbox = Sandbox::start().await;
    let provider = provider(&sandbox.url);
    done(provider.authorise("a", pounds(100), &method("pm_card")).await);
    let answer = provider.authorise("a", pounds(101), &method("pm_card")).await;
    assert!(is_unknown(&answer), "{answer:?}");
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone_for_a_while() {
    let sandbox = Sandbox::start().await;
    let breaker = breaker::Settings { failures: 3, first_pause: Duration::from_secs(1), last_pause: Duration::from_secs(1) };
    let provider = HttpProvider::new(ProviderSettings { breaker, ..settings(&sandbox.url) }).unwrap();
    for number in 0..3 {
        let answer = provider.authorise(&format!("bad-{number}"), pounds(100), &method("pm_fails")).await;
        assert!(is_unknown(&answer), "{answer:?}");
    }
    // Nobody is asked for as long as it takes the answer to come by itself.
    let answer = provider.authorise("good", pounds(100), &method("pm_card")).await;
    if is_unavailable(&answer) {
        assert_eq!(sandbox.book().await["calls"], 3);
    } else {
        done(answer);
    }
    let good = method("pm_card");
    let answer = until_definite(|| provider.authorise("good", pounds(100), &good)).await;
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
    assert_eq!(sandbox.book().await["keys"]["good"]["done"], 1);
}

#[tokio::test]
async fn a_busy_provider_is_asked_when_it_wants_to_be() {
    let sandbox = Sandbox::start().await;
    let patient = HttpProvider::new(ProviderSettings { attempts: 2, ..settings(&sandbox.url) }).unwrap();
    for trouble in ["busy", "away"] {
        done(patient.authorise(trouble, pounds(100), &method(&format!("pm_{trouble}"))).await);
        let calls = sandbox.calls(trouble).await;
        let at = |number: usize| chrono::DateTime::parse_from_rfc3339(calls[number]["at"].as_str().unwrap()).unwrap();
        assert!(at(1) - at(0) >= chrono::TimeDelta::seconds(1), "{calls}");
    }
}

#[test]
fn nothing_shows_its_secret() {
    let shown = format!("{:?}", settings("http://127.0.0.1:1"));
    assert!(!shown.contains(KEY), "{shown}");
}

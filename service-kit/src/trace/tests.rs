use super::*;

const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn headers(values: &[&str]) -> HeaderMap {
    let pairs = values.iter().map(|value| (http::HeaderName::from_static(TRACEPARENT), value.parse().unwrap()));
    pairs.collect()
}

#[test]
fn a_traceparent_survives_parsing_and_formatting() {
    for text in [GOOD, "00-00000000000000000000000000000001-0000000000000001-00"] {
        assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), text);
    }
}

#[test]
fn refuses_what_the_specification_refuses() {
    for text in [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é1",
    ] {
        assert_eq!(text.parse::<TraceContext>(), Err(InvalidTraceparent), "{text}");
    }
}

#[test]
fn takes_a_later_version_as_far_as_it_is_known() {
    let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-more";
    assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), GOOD);
}

#[test]
fn a_child_is_another_span_of_the_same_trace() {
    let parent: TraceContext = GOOD.parse().unwrap();
    let child = parent.child();
    assert_eq!(child.trace_id(), parent.trace_id());
    assert_ne!(child.span_id(), parent.span_id());
    assert!(child.is_sampled());
}

#[test]
fn continues_the_callers_trace() {
    let context = TraceContext::from_headers(&headers(&[GOOD]));
    assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_ne!(context.span_id(), "00f067aa0ba902b7");
}

#[test]
fn starts_a_trace_where_the_callers_is_missing_malformed_or_given_twice() {
    for values in [&[][..], &["nonsense"], &[GOOD, GOOD]] {
        let context = TraceContext::from_headers(&headers(values));
        assert_ne!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.to_string().parse(), Ok(context));
    }
}

#[test]
fn the_header_value_is_the_trace_id() {
    let context: TraceContext = GOOD.parse().unwrap();
    assert_eq!(context.trace_id_header(), context.trace_id());
}

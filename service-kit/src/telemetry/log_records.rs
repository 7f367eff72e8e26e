//! Log lines as OpenTelemetry's log records: the message is the body, fields are attributes, and `trace.id` and `span.id` make a
//! line part of its trace.

use std::{fmt, sync::Arc, time::SystemTime};

use opentelemetry::{
    Context as Suppression, Key, SpanId, TraceId,
    logs::{AnyValue, LogRecord as _, Logger as _, Severity},
};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

use super::tally::Tally;

/// Exports log lines.
pub(super) struct LogRecords {
    logger: SdkLogger,
    tally: Arc<Tally>,
}

/// The fields of a line or of a span.
#[derive(Default)]
struct Fields {
    message: Option<String>,
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    others: Vec<(Key, AnyValue)>,
}

impl LogRecords {
    pub(super) fn new(logger: SdkLogger, tally: Arc<Tally>) -> Self {
        Self { logger, tally }
    }
}

impl<S> Layer<S> for LogRecords
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if is_about_exporting(metadata.target()) || !self.tally.admit() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut record = self.logger.create_log_record();
        record.set_timestamp(SystemTime::now());
        record.set_target(metadata.target());
        record.set_severity_text(metadata.level().as_str());
        record.set_severity_number(severity(*metadata.level()));
        fields.describe(&mut record);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                record.add_attributes(fields.others.iter().cloned());
            }
        }
        self.logger.emit(record);
    }
}

impl Fields {
    fn describe(self, record: &mut SdkLogRecord) {
        if let Some(message) = self.message {
            record.set_body(AnyValue::from(message));
        }
        if let Some(trace_id) = self.trace_id {
            record.set_trace_context(trace_id, self.span_id.unwrap_or(SpanId::INVALID), None);
        }
        record.add_attributes(self.others);
    }

    fn put(&mut self, field: &Field, value: impl Into<AnyValue>) {
        self.others.push((Key::from_static_str(field.name()), value.into()));
    }

    fn put_text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = Some(text),
            "trace.id" => self.trace_id = TraceId::from_hex(&text).ok(),
            "span.id" => self.span_id = SpanId::from_hex(&text).ok(),
            _ => self.put(field, text),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.put(field, value),
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format!("{value:?}"));
    }
}

/// What exporting itself says would be exported, which it would say something of. It is on the other way out, the process's.
fn is_about_exporting(target: &str) -> bool {
    ["hyper", "opentelemetry", "service_kit::telemetry::"].iter().any(|ours| target.starts_with(ours))
        || Suppression::is_current_telemetry_suppressed()
}

fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

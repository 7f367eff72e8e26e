//! What is said of one operation.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, Deprecated, HeaderBuilder, Required, ResponseBuilder, SecurityRequirement,
    extensions::Extensions,
    path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
};

use super::{
    BEARER, problem,
    schemas::{Schema, Schemas, embed},
};
use crate::routes::Row;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// An operation as its handler knows it. What the table of routes knows (method, path, roles, deprecation) is added from there.
pub struct Operation {
    id: String,
    tag: &'static str,
    summary: String,
    description: Option<String>,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: BTreeMap<u16, Answer>,
    problems: BTreeSet<u16>,
    extensions: Vec<(String, Value)>,
    deprecated: bool,
    guarded: bool,
}

/// A success.
pub struct Answer(ResponseBuilder);

impl Operation {
    /// An operation with a name that is unique in its service, in kebab case, in one of the groups of
    /// [`About::tags`](super::About::tags); and what it does, in a sentence.
    pub fn new(id: impl Into<String>, tag: &'static str, summary: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            tag,
            summary: summary.into(),
            description: None,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            problems: BTreeSet::new(),
            extensions: Vec::new(),
            deprecated: false,
            guarded: false,
        }
    }

    /// More than a sentence (Markdown).
    #[must_use]
    pub fn about(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Its query string is read as a `T`; what is no field of that is refused.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self, schemas: &mut Schemas) -> Self {
        self.parameters.extend(schemas.query::<T>());
        self.problem(400)
    }

    /// It heeds a header of the request.
    #[must_use]
    pub fn heeds(mut self, name: &str, schema: Value, description: &str) -> Self {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
        self.parameters.push(parameter.description(Some(description)).schema(Some(embed(schema))).build());
        self
    }

    /// Its body is JSON that is read as a `T`. It may be left out where `{}` is a `T`.
    #[must_use]
    pub fn body<T: JsonSchema>(mut self, schemas: &mut Schemas) -> Self {
        let required = if schemas.requires_fields::<T>() { Required::True } else { Required::False };
        let content = Content::new(Some(schemas.request::<T>()));
        self.body = Some(RequestBodyBuilder::new().content(JSON, content).required(Some(required)).build());
        self.problems.extend([400, 408, 413, 415]);
        self
    }

    /// Its body is newline-delimited JSON, each line of which is read as a `T`.
    #[must_use]
    pub fn body_of_lines<T: JsonSchema>(mut self, schemas: &mut Schemas) -> Self {
        let content = lines(&schemas.request::<T>());
        self.body = Some(RequestBodyBuilder::new().content(LINES, content).required(Some(Required::True)).build());
        self.problem(415)
    }

    /// How it answers when it succeeds.
    #[must_use]
    pub fn answer(mut self, status: u16, answer: Answer) -> Self {
        self.answers.insert(status, answer);
        self
    }

    /// With which statuses it may refuse or fail, besides 401, 403 and 500, and those that come with a body.
    #[must_use]
    pub fn refuses(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self
    }

    fn problem(mut self, status: u16) -> Self {
        self.problems.insert(status);
        self
    }

    /// Adds what the table of routes knows.
    pub(super) fn of(mut self, row: &Row) -> Self {
        let names = row.endpoint.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let mut parameters: Vec<_> = names.map(id_in_path).collect();
        if !parameters.is_empty() {
            self.problems.insert(400);
        }
        parameters.append(&mut self.parameters);
        self.parameters = parameters;
        if let Some(roles) = row.endpoint.roles {
            self.guarded = true;
            self.problems.extend([401, 403]);
            self.extensions.push(("x-roles".to_owned(), serde_json::to_value(roles).unwrap_or_default()));
        }
        self.problems.insert(500);
        if let Some(deprecation) = &row.deprecation {
            self.deprecated = true;
            self.extensions.extend(deprecation.extensions());
        }
        self
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = u16> {
        self.problems.iter().copied()
    }

    pub(super) fn build(self) -> utoipa::openapi::path::Operation {
        let mut built = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag(self.tag)
            .summary(Some(self.summary))
            .description(self.description)
            .request_body(self.body)
            .extensions(Some(self.extensions.into_iter().collect::<Extensions>()));
        for parameter in self.parameters {
            built = built.parameter(parameter);
        }
        for (status, answer) in self.answers {
            built = built.response(status.to_string(), answer.0);
        }
        for status in self.problems {
            built = built.response(status.to_string(), problem(status));
        }
        if self.guarded {
            built = built.security(SecurityRequirement::new(BEARER, Vec::<String>::new()));
        }
        if self.deprecated {
            built = built.deprecated(Some(Deprecated::True));
        }
        built.build()
    }
}

impl Answer {
    /// JSON.
    pub fn json(schema: Schema, description: &str) -> Self {
        Self(ResponseBuilder::new().description(description).content(JSON, Content::new(Some(schema))))
    }

    /// Newline-delimited JSON.
    pub fn lines(schema: &Schema, description: &str) -> Self {
        Self(ResponseBuilder::new().description(description).content(LINES, lines(schema)))
    }

    /// Something else.
    pub fn text(content_type: &str, description: &str) -> Self {
        Self(ResponseBuilder::new().description(description).content(content_type, Content::new(Some(text()))))
    }

    /// Server-sent events, and the JSON that each kind of them has for data.
    pub fn events(events: &[(&str, Schema)], description: &str) -> Self {
        let events: Map<_, _> = events.iter().map(|(name, schema)| ((*name).to_owned(), value_of(schema))).collect();
        let extensions = [("x-events".to_owned(), Value::Object(events))].into_iter().collect();
        let content = ContentBuilder::new().extensions(Some(extensions)).build();
        Self(ResponseBuilder::new().description(description).content("text/event-stream", content))
    }

    /// No body.
    pub fn empty(description: &str) -> Self {
        Self(ResponseBuilder::new().description(description))
    }

    /// It may have a header.
    #[must_use]
    pub fn header(self, name: &str, description: &str) -> Self {
        Self(self.0.header(name, header(text(), description).build()))
    }

    /// It has a header every time: an answer without it is a defect, which `make schemathesis` finds.
    #[must_use]
    pub fn always(self, name: &str, description: &str) -> Self {
        // utoipa's model has no room for it.
        let required = [("required", true)].into_iter().collect();
        Self(self.0.header(name, header(text(), description).extensions(Some(required)).build()))
    }
}

/// When a problem of this status is met.
pub(super) fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request is not valid: `errors` says what and where.",
        401 => "No token, or none that is trusted.",
        403 => "None of the token's roles may do this, or not this way.",
        404 => "It does not exist, or is not the caller's to know of.",
        408 => "The body did not arrive in time.",
        409 => "What is there does not allow it: `type` and `rule` say why.",
        410 => "It is gone: begin anew.",
        412 => "`If-Match` names another version than the current one.",
        413 => "The body is too large.",
        415 => "The body has another media type.",
        421 => "The context runs in another process.",
        422 => "It is understood, and breaks a rule: `rule` says which. Or the idempotency key was used for another request.",
        500 => "A defect here; the log has it under the answer's `X-Request-Id`.",
        503 => "Too busy, or something that is needed is away: the same request may succeed later.",
        504 => "The version that was waited for did not arrive in time.",
        _ => "A problem.",
    }
}

pub(super) fn with_retry_after(response: ResponseBuilder) -> ResponseBuilder {
    let schema = embed(json!({ "type": "integer", "minimum": 0 }));
    response.header("Retry-After", header(schema, "Seconds.").build())
}

fn header(schema: Schema, description: &str) -> HeaderBuilder {
    HeaderBuilder::new().schema(Some(schema)).description(Some(description))
}

/// OpenAPI 3.1 knows no streams of JSON: a text, and what its lines are.
fn lines(schema: &Schema) -> Content {
    let extensions = [("x-line".to_owned(), value_of(schema))].into_iter().collect();
    ContentBuilder::new().schema(Some(text())).extensions(Some(extensions)).build()
}

fn text() -> Schema {
    embed(json!({ "type": "string" }))
}

fn value_of(schema: &Schema) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

/// Everything that a path names is a UUID.
fn id_in_path(name: &str) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    parameter.schema(Some(embed(json!({ "type": "string", "format": "uuid" })))).build()
}

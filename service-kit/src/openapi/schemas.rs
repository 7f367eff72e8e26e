//! Schemas of the types that travel.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{
    JsonSchema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
    json_schema,
};
use serde_json::{Map, Value};
use utoipa::openapi::{
    ObjectBuilder, RefOr, Required,
    extensions::Extensions,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::SchemaType,
};

use crate::problem::Problem;

/// A schema, or a reference to one that the document has.
pub type Schema = RefOr<utoipa::openapi::Schema>;

/// Where a document has its schemas.
const COMPONENTS: &str = "/components/schemas";

/// The schemas of one document.
pub struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let generator = |contract| {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = COMPONENTS.into();
                settings.contract = contract;
            });
            settings.into_generator()
        };
        Self { requests: generator(Contract::Deserialize), answers: generator(Contract::Serialize) }
    }

    /// What is accepted as a `T`.
    pub fn request<T: JsonSchema>(&mut self) -> Schema {
        embed(self.requests.subschema_for::<T>().to_value())
    }

    /// What is sent as a `T`.
    pub fn answer<T: JsonSchema>(&mut self) -> Schema {
        embed(self.answers.subschema_for::<T>().to_value())
    }

    /// Whether an object of this type must have some field.
    pub(super) fn requires_fields<T: JsonSchema>(&mut self) -> bool {
        T::json_schema(&mut self.requests).get("required").and_then(Value::as_array).is_some_and(|names| !names.is_empty())
    }

    /// The fields of a query string that is read as a `T`.
    pub(super) fn query<T: JsonSchema>(&mut self) -> Vec<Parameter> {
        let schema = T::json_schema(&mut self.requests).to_value();
        let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name));
        let properties = schema["properties"].as_object().into_iter().flatten();
        let parameter = |(name, property): (&String, &Value)| {
            let mut property = without_null(property.clone());
            let description = property.as_object_mut().and_then(|keywords| keywords.remove("description"));
            ParameterBuilder::new()
                .name(name.as_str())
                .parameter_in(ParameterIn::Query)
                .required(if required(name) { Required::True } else { Required::False })
                .description(description.as_ref().and_then(Value::as_str))
                .schema(Some(embed(property)))
                .build()
        };
        properties.map(parameter).collect()
    }

    pub(super) fn into_components(mut self) -> BTreeMap<String, Schema> {
        let mut components = BTreeMap::<String, Value>::new();
        for (name, schema) in self.requests.take_definitions(true).into_iter().chain(self.answers.take_definitions(true)) {
            if let Some(other) = components.get(&name) {
                assert_eq!(*other, schema, "two schemas are called {name}: rename one of the types (#[schemars(rename = …)])");
            }
            components.insert(name, schema);
        }
        components.into_iter().map(|(name, schema)| (name, embed(schema))).collect()
    }
}

/// Any schema as part of utoipa's model, which has no room for each keyword but writes extensions as they are.
pub(super) fn embed(schema: Value) -> Schema {
    let keywords = match schema {
        Value::Object(keywords) => keywords,
        // `true` is `{}`; nothing that travels is `false`.
        _ => Map::new(),
    };
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).extensions(Some(keywords.into_iter().collect::<Extensions>())).into()
}

/// A parameter is there or it is not: nothing in a query string is null.
fn without_null(mut schema: Value) -> Value {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    let null = serde_json::json!({ "type": "null" });
    if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
        options.retain(|option| *option != null);
        if let [Value::Object(only)] = options.as_slice() {
            let mut only = only.clone();
            if let Some(description) = schema.get("description") {
                only.insert("description".to_owned(), description.clone());
            }
            return Value::Object(only);
        }
    }
    schema
}

impl JsonSchema for Problem {
    fn schema_name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({
            "type": "object",
            "description": "What went wrong, and what to do next (RFC 9457). There may be more members; `rule` names a rule of the domain.",
            "properties": {
                "type": { "type": "string", "format": "uri", "description": "Which problem it is; programs decide by this." },
                "title": { "type": "string", "description": "The same for each problem of a type." },
                "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status." },
                "detail": { "type": "string", "description": "What is wrong this time, for people." },
                "retry_after": { "type": "integer", "minimum": 0, "description": "Seconds after which the same request may succeed." },
                "errors": {
                    "type": "array",
                    "minItems": 1,
                    "description": "What is wrong with the request, and where.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "pointer": { "type": "string", "description": "JSON pointer into the body." },
                            "parameter": { "type": "string", "description": "A parameter of path or query, or a header." },
                            "detail": { "type": "string" }
                        },
                        "required": ["detail"]
                    }
                }
            },
            "required": ["type", "title", "status", "detail"]
        })
    }
}

//! The interface that breaks are planted in.

use serde_json::{Value, json};

pub(crate) const GET: &str = "/paths/~1v1~1orders/get";
pub(crate) const POST: &str = "/paths/~1v1~1orders/post";
pub(crate) const NEW: &str = "/components/schemas/NewOrder";
pub(crate) const ORDER: &str = "/components/schemas/Order";

/// A little of everything.
pub(crate) fn shop() -> Value {
    let problem = json!({ "application/problem+json": { "schema": { "type": "object" } } });
    json!({
        "openapi": "3.1.0",
        "paths": paths(),
        "components": {
            "responses": { "NotFound": { "description": "?", "content": problem } },
            "schemas": schemas(),
        },
    })
}

fn paths() -> Value {
    json!({
        "/v1/orders": {
            "get": {
                "parameters": [
                    { "in": "query", "name": "limit", "required": false, "schema": { "type": "integer", "minimum": 1, "maximum": 200, "default": 50 } },
                    { "in": "header", "name": "Prefer", "required": false, "schema": { "type": "string" } },
                ],
                "responses": {
                    "200": { "description": "A page.", "headers": { "ETag": { "required": true, "schema": { "type": "string" } } }, "content": {
                        "application/json": { "schema": { "$ref": "#/components/schemas/Page" } },
                    } },
                    "404": { "$ref": "#/components/responses/NotFound" },
                },
            },
            "post": {
                "x-roles": ["customer", "staff"],
                "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/NewOrder" } } } },
                "responses": { "201": { "description": "Done." } },
            },
        },
        "/v1/commands": {
            "post": {
                "requestBody": { "content": { "application/x-ndjson": { "schema": { "type": "string" }, "x-line": { "$ref": "#/components/schemas/NewOrder" } } } },
                "responses": { "200": { "description": "Lines.", "content": { "application/x-ndjson": { "schema": { "type": "string" }, "x-line": { "$ref": "#/components/schemas/Order" } } } } },
            },
        },
        "/v1/updates": {
            "get": {
                "responses": { "200": { "description": "Live.", "content": { "text/event-stream": { "x-events": {
                    "reset": { "type": "object" },
                    "view": { "$ref": "#/components/schemas/Order" },
                } } } } },
            },
        },
    })
}

fn schemas() -> Value {
    json!({
        "NewOrder": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "id": { "type": ["string", "null"], "format": "uuid" },
                "reason": { "type": "string", "minLength": 1, "maxLength": 200 },
                "kind": { "oneOf": [{ "const": "managed", "type": "string" }, { "const": "external", "type": "string" }] },
                "where": { "anyOf": [{ "$ref": "#/components/schemas/Place" }, { "type": "null" }] },
                "copies": { "type": "integer", "default": 1 },
                "extras": { "type": "array" },
                "note": { "type": "string" },
                "options": { "type": "object" },
                "speed": { "oneOf": [{ "type": "string", "enum": ["slow", "fast"] }, { "type": "string", "const": "drone" }] },
                "words": { "type": "array", "items": { "type": "string" } },
            },
            "required": ["reason"],
        },
        "Order": {
            "type": "object",
            "properties": {
                "id": { "type": "string", "format": "uuid" },
                "status": { "type": "string", "enum": ["placed", "shipped"] },
                "total": { "type": "integer", "maximum": 1000 },
                "note": { "type": ["string", "null"] },
                "place": { "$ref": "#/components/schemas/Place" },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                "revenue": { "type": "object", "additionalProperties": false, "patternProperties": { "^[A-Z]{3}$": { "type": "integer" } } },
                "tags": { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
            },
            "required": ["id", "status", "total", "note"],
        },
        "Page": { "type": "object", "properties": { "items": { "type": "array", "items": { "$ref": "#/components/schemas/Order" } } }, "required": ["items"] },
        "Place": { "type": "object", "properties": { "town": { "type": "string" } }, "required": ["town"] },
    })
}

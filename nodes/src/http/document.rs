//! The OpenAPI document: the handlers' own, and what is the same for all.

use serde_json::{Value, json};
use utoipa::OpenApi as _;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use super::calls::Said;
use super::problem::{Conclusion, ProblemBody};

/// What can be said of the whole.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Stormglass",
        description = "Locks, queues and a cache, replicated by Raft. Any node answers. Errors are problem details \
                       (RFC 9457) whose `outcome` says whether what was asked may have happened all the same.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(ProblemBody, Conclusion, Said)),
    tags(
        (name = "sessions", description = "What locks belong to, and what makes commands repeatable."),
        (name = "locks", description = "Locks and semaphores, with fencing tokens."),
        (name = "topics", description = "Queues: messages with leases, delays, priorities, groups and dead letters."),
        (name = "cache", description = "A linearizable cache with versions."),
        (name = "cluster", description = "The nodes."),
        (name = "calls", description = "The calls of an older system, as its clients make them."),
        (name = "operation", description = "What operators look at."),
    )
)]
struct Whole;

/// What any operation of the services may be answered with besides its own.
const COMMON: &[(&str, &str)] = &[
    ("401", "A bearer token is needed"),
    ("400", "The request cannot be understood, or a bound of it is broken"),
    ("408", "The body took too long to arrive"),
    ("413", "The body is too long"),
    ("415", "The body is of another type"),
    ("429", "Too much is under way here: come again"),
    ("503", "The cluster has no leader at the moment, or this node is stopping"),
    ("504", "Nobody knows yet what came of it"),
];

/// What comes besides of an Idempotency-Key that was used before, for whatever command.
const OF_OTHERS: (&str, &str) =
    ("404", "With an Idempotency-Key that was used for another command before: that one found no such thing");

/// The document of all routes.
pub(crate) fn of_routes() -> OpenApi {
    let mut document = Whole::openapi();
    let (_, mut services) = super::services().split_for_parts();
    for item in services.paths.paths.values_mut() {
        let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        methods.into_iter().flatten().for_each(add_common);
    }
    let (_, operations) = super::operations().split_for_parts();
    let (_, signs_of_life) = super::signs_of_life().split_for_parts();
    document.merge(services);
    document.merge(operations);
    document.merge(signs_of_life);
    document
}

/// The same as it is served, by a node that wants a token or does not.
pub(crate) fn text(wants_token: bool) -> String {
    let mut document = serde_json::to_value(of_routes()).expect("the document is plain data");
    say_as_it_is_sent(&mut document);
    if wants_token {
        say_who_may_ask(&mut document);
    }
    document.to_string()
}

/// Says of a text, beside the pattern that it matches, which one it never does.
pub(super) fn never(pattern: &str) -> Extensions {
    Extensions::builder().add(NEVER, pattern).build()
}

/// Stands for JSON Schema's `not` until the document is served: the builders know of no such word.
const NEVER: &str = "x-never";

/// Says of what Rust's types stand for how it travels: a parameter that may be absent is never `null`, and the names
/// of an object's fields are texts, though they be numbers. And names operations by their tags too: handlers are
/// called what they do, which may be the same for several things.
fn say_as_it_is_sent(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let is_parameter = fields.contains_key("in");
            if let Some(schema) = fields.get_mut("schema").filter(|_| is_parameter) {
                without_null(schema);
            }
            if let (Some(tag), Some(Value::String(id))) = (
                fields.get("tags").and_then(|tags| tags[0].as_str()).map(str::to_owned),
                fields.get_mut("operationId"),
            ) {
                *id = format!("{tag}_{id}");
            }
            if let Some(pattern) = fields.remove(NEVER) {
                fields.insert("not".to_owned(), json!({ "pattern": pattern }));
            }
            if let Some(names) = fields.get_mut("propertyNames").filter(|names| names["type"] == "integer") {
                *names = json!({ "type": "string", "pattern": "^[0-9]+$" });
            }
            fields.values_mut().for_each(say_as_it_is_sent);
        }
        Value::Array(values) => values.iter_mut().for_each(say_as_it_is_sent),
        _ => {}
    }
}

/// Says that a bearer token is needed, and where none is.
fn say_who_may_ask(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    document["security"] = json!([{ "token": [] }]);
    let (_, free) = super::signs_of_life().split_for_parts();
    for path in free.paths.paths.keys() {
        document["paths"][path]["get"]["security"] = json!([]);
    }
}

/// The schema of what there is, where it may also be absent.
fn without_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
    }
    let Some(Value::Array(choices)) = schema.get_mut("oneOf") else { return };
    choices.retain(|choice| choice["type"] != "null");
    if choices.len() == 1 {
        *schema = choices.remove(0);
    }
}

/// The calls of the older system have errors of that system, beside those that come before they are looked at.
fn is_call(operation: &Operation) -> bool {
    operation.tags.iter().flatten().any(|tag| tag == "calls")
}

/// Whether an Idempotency-Key counts there.
pub(super) fn takes_key(operation: &Operation) -> bool {
    let is_key = |one: &RefOr<Parameter>| matches!(one, RefOr::T(one) if one.name == "Idempotency-Key");
    operation.parameters.iter().flatten().any(is_key)
}

fn add_common(operation: &mut Operation) {
    let is_call = is_call(operation);
    let of_others = takes_key(operation).then_some(OF_OTHERS);
    for (status, description) in COMMON.iter().chain(&of_others) {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let mut response =
            ResponseBuilder::new().description(*description).content("application/problem+json", problem);
        if is_call {
            let said = ContentBuilder::new().schema(Some(Ref::from_schema_name("Said"))).build();
            response = response.content("application/json", said);
        }
        operation.responses.responses.entry((*status).to_owned()).or_insert(response.build().into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    /// Every reference leads somewhere, and every operation has a summary.
    #[test]
    fn the_document_is_whole() {
        let document: Value = serde_json::from_str(&super::text(false)).expect("it is JSON");
        assert_eq!(document["openapi"].as_str().map(|version| &version[..4]), Some("3.1."));
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 50, "{}", references.len());
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("references stay within the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        let paths = document["paths"].as_object().expect("there are paths");
        for (path, item) in paths {
            for (method, operation) in item.as_object().expect("an item is an object") {
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
                assert!(operation["tags"].is_array(), "{method} {path} has no tag");
            }
        }
    }

    #[test]
    fn the_document_of_a_node_that_wants_a_token_says_so() {
        let [open, closed] = [false, true].map(|wants_token| -> Value {
            serde_json::from_str(&super::text(wants_token)).expect("it is JSON")
        });
        assert!(open["security"].is_null() && open["components"]["securitySchemes"].is_null());
        assert_eq!(closed["components"]["securitySchemes"]["token"]["scheme"], "bearer");
        assert_eq!(closed["security"][0]["token"], serde_json::json!([]));
        let free = |path: &str| closed["paths"][path]["get"].get("security") == Some(&serde_json::json!([]));
        assert!(free("/healthz") && free("/readyz") && !free("/metrics") && !free("/v1/topics"));
    }

    #[test]
    fn the_document_says_what_travels() {
        let document: Value = serde_json::from_str(&super::text(false)).expect("it is JSON");
        let (mut parameters, mut names) = (0, std::collections::BTreeSet::new());
        each(&document, &mut |fields| {
            if let Some(Value::String(id)) = fields.get("operationId") {
                assert!(names.insert(id.clone()), "two operations are called {id}");
            }
            if fields.contains_key("in") {
                parameters += 1;
                assert!(!fields["schema"].to_string().contains("null"), "{fields:?}");
            }
            if let Some(names) = fields.get("propertyNames") {
                assert_eq!(names["type"], "string", "{fields:?}");
            }
        });
        assert!(parameters > 50 && names.len() > 40, "{parameters}, {names:?}");
    }

    fn each(value: &Value, look: &mut dyn FnMut(&serde_json::Map<String, Value>)) {
        match value {
            Value::Object(fields) => {
                look(fields);
                fields.values().for_each(|value| each(value, look));
            }
            Value::Array(values) => values.iter().for_each(|value| each(value, look)),
            _ => {}
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| collect(value, references));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }
}

//! The OpenAPI document: the handlers' own, and what is the same for all.

use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};

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
    ("413", "The body is too long"),
    ("415", "The body is of another type"),
    ("429", "Too much is under way here: come again"),
    ("503", "The cluster has no leader at the moment, or this node is stopping"),
    ("504", "Nobody knows yet what came of it"),
];

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

/// The same as it is served.
pub(crate) fn text() -> String {
    of_routes().to_json().expect("the document is plain data")
}

/// The calls of the older system have errors of that system, beside those that come before they are looked at.
fn is_call(operation: &Operation) -> bool {
    operation.tags.iter().flatten().any(|tag| tag == "calls")
}

fn add_common(operation: &mut Operation) {
    let is_call = is_call(operation);
    for (status, description) in COMMON {
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
        let document: Value = serde_json::from_str(&super::text()).expect("it is JSON");
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

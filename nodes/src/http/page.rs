//! The OpenAPI document as a page for people: no scripts, nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;
use utoipa::openapi::OpenApi;

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Stormglass</title>\
    <meta name=viewport content='width=device-width'><style>body{font:16px/1.5 system-ui;max-width:60em;margin:2em auto;\
    padding:0 1em;color:#222}code{background:#f3f3f3;padding:.1em .3em;border-radius:3px}h2{border-bottom:1px solid #ddd;\
    margin-top:2em}dt{margin-top:.8em}b{display:inline-block;min-width:4.5em;font-family:monospace}dd{margin-left:5em;\
    color:#444}@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}code{background:#2a2a2a}\
    dd{color:#aaa}h2{border-color:#444}}</style>";

/// The page.
pub(crate) fn html(document: &OpenApi) -> String {
    let document = serde_json::to_value(document).unwrap_or_default();
    let mut page = String::from(HEAD);
    let description = escape(document["info"]["description"].as_str().unwrap_or_default());
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "<h1>Stormglass</h1><p>{description}</p><p>The whole of it, for programs: <a href=/openapi.json>openapi.json</a>.\
         Times are in milliseconds unless their name ends in another unit.</p>"
    );
    let operations = by_tag(&document);
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = tag["name"].as_str().unwrap_or_default();
        let about = escape(tag["description"].as_str().unwrap_or_default());
        let _ = write!(page, "<h2>{}</h2><p>{about}</p><dl>", escape(name));
        for (path, method, operation) in operations.get(name).into_iter().flatten() {
            let summary = escape(operation["summary"].as_str().unwrap_or_default());
            let (method, path) = (method.to_uppercase(), escape(path));
            let _ = write!(page, "<dt><b>{method}</b> <code>{path}</code><dd>{summary}{}", more(operation));
        }
        page.push_str("</dl>");
    }
    page.push_str("</html>\n");
    page
}

type Operations<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a str, &'a Value)>>;

fn by_tag(document: &Value) -> Operations<'_> {
    let mut found = Operations::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            found.entry(tag).or_default().push((path, method, operation));
        }
    }
    found
}

/// What an operation takes, in one line.
fn more(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let outside_path = parameters.filter(|parameter| parameter["in"] != "path");
    let mut names: Vec<&str> = outside_path.filter_map(|parameter| parameter["name"].as_str()).collect();
    let content = operation["requestBody"]["content"].as_object();
    let body = content
        .and_then(|content| content.values().next())
        .and_then(|media| media["schema"]["$ref"].as_str());
    let body = body.and_then(|reference| reference.rsplit('/').next());
    names.extend(body);
    let codes: Vec<String> = names.iter().map(|name| format!("<code>{}</code>", escape(name))).collect();
    if codes.is_empty() { String::new() } else { format!(" Takes {}.", codes.join(", ")) }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_names_every_path() {
        let document = super::super::document::of_routes();
        let page = super::html(&document);
        for path in document.paths.paths.keys() {
            assert!(page.contains(&super::escape(path)), "{path}");
        }
        assert!(!page.contains("<script"));
    }
}

//! The documents name what the code knows: every key with its default, every kind of fault, every target,
//! every counter, every check, every field of what a run leaves. So they cannot rot unseen.
#![expect(clippy::disallowed_methods, reason = "it reads the project's documents and what a run leaves")]

mod everything;
mod histories;
mod keys;
mod left;

use std::path::Path;

/// A document's text.
fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Whether a document names a word as code.
fn names(document: &str, word: &str) -> bool {
    document.contains(&format!("`{word}`"))
}

fn assert_names_all(document_name: &str, what: &str, words: impl IntoIterator<Item = String>) {
    let text = document(document_name);
    let words: Vec<String> = words.into_iter().collect();
    assert!(!words.is_empty(), "there is no {what} to look for");
    let missing: Vec<&String> = words.iter().filter(|word| !names(&text, word)).collect();
    assert!(missing.is_empty(), "docs/{document_name} says nothing of the {what} {missing:?}");
}

/// The part of a document below a heading, up to the next one of the same or a higher level.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let start = document.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let body = &document[start + 1 + heading.len()..];
    let level = heading.chars().take_while(|character| *character == '#').count();
    let ends = (1..=level).filter_map(|level| body.find(&format!("\n{} ", "#".repeat(level))));
    &body[..ends.min().unwrap_or(body.len())]
}

#[test]
fn a_section_ends_where_the_next_one_of_its_level_begins() {
    let text = "\n# A\n\n## B\nb\n\n### C\nc\n\n## D\nd\n";
    assert_eq!(section(text, "## B").trim(), "b\n\n### C\nc");
    assert_eq!(section(text, "### C").trim(), "c");
    assert_eq!(section(text, "## D").trim(), "d");
}

/// Every file that the documents link to is there.
#[test]
fn no_link_of_the_documents_is_dead() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut documents = vec!["README.md".into(), "CONTRIBUTING.md".into(), "CHANGELOG.md".into()];
    for entry in std::fs::read_dir(root.join("docs")).expect("there are documents") {
        let name = entry.expect("the folder is readable").file_name();
        documents.push(Path::new("docs").join(name));
    }
    let mut links = 0;
    for document in documents.iter().filter(|path| path.extension().is_some_and(|kind| kind == "md")) {
        let text = std::fs::read_to_string(root.join(document)).expect("the document is readable");
        let folder = root.join(document.parent().expect("a document lies in a folder"));
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            links += 1;
            assert!(folder.join(file).exists(), "{} links to {target}", document.display());
        }
    }
    assert!(links > 5, "only {links} links were found");
}

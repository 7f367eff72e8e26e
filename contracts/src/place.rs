//! Where something is: a file, a JSON pointer and a line.

use std::fmt;

use serde_json::Value;

/// A JSON document, and the file that has it.
#[derive(Debug)]
pub struct Document {
    file: String,
    value: Value,
}

/// A promise that is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Break {
    /// The file: the released one where what is missing is there only.
    pub file: String,
    /// The line of it, from 1.
    pub line: usize,
    /// The JSON pointer.
    pub pointer: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, pointer, what } = self;
        write!(f, "{file}:{line}: {pointer} {what}")
    }
}

impl Document {
    /// The document in a file.
    #[must_use]
    pub fn new(file: String, value: Value) -> Self {
        Self { file, value }
    }

    /// The whole.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// What is at a pointer; null where nothing is.
    #[must_use]
    pub fn get(&self, pointer: &str) -> &Value {
        self.value.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Where a pointer leads when references are followed.
    #[must_use]
    pub fn resolved(&self, pointer: &str) -> String {
        let mut pointer = pointer.to_owned();
        // A circle of references would be a defect of the document: it ends somewhere in it.
        for _ in 0..32 {
            match self.get(&pointer)["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
                Some(target) => target.clone_into(&mut pointer),
                None => break,
            }
        }
        pointer
    }

    /// Says that something is wrong at a pointer.
    #[must_use]
    pub fn at(&self, pointer: &str, what: impl Into<String>) -> Break {
        Break { file: self.file.clone(), line: self.line(pointer), pointer: pointer.to_owned(), what: what.into() }
    }

    /// The line of a pointer in the file, which is printed with a member or item a line, as all of ours are. A pointer that leads
    /// nowhere has the line of the last place on its way.
    fn line(&self, pointer: &str) -> usize {
        let (mut value, mut line) = (&self.value, 1);
        for name in pointer.split('/').skip(1).map(unescaped) {
            let before = |sizes: &mut dyn Iterator<Item = usize>| 1 + sizes.sum::<usize>();
            match value {
                Value::Object(members) => {
                    let Some(next) = members.get(&name) else { break };
                    line += before(&mut members.iter().take_while(|(other, _)| **other != name).map(|(_, value)| lines(value)));
                    value = next;
                }
                Value::Array(items) => {
                    let index = name.parse().unwrap_or(usize::MAX);
                    let Some(next) = items.get(index) else { break };
                    line += before(&mut items.iter().take(index).map(lines));
                    value = next;
                }
                _ => break,
            }
        }
        line
    }
}

/// How many lines a value takes.
fn lines(value: &Value) -> usize {
    match value {
        Value::Object(members) if !members.is_empty() => 2 + members.values().map(lines).sum::<usize>(),
        Value::Array(items) if !items.is_empty() => 2 + items.iter().map(lines).sum::<usize>(),
        _ => 1,
    }
}

/// A name as part of a pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_those_of_the_file() {
        let value = json!({ "a": { "b": [1, { "c": [] }, "x"], "d/e": {} }, "f": null });
        let document = Document::new("x.json".to_owned(), value.clone());
        let text = format!("{value:#}");
        for (pointer, line) in
            [("/a/b/0", "1,"), ("/a/b/1/c", "\"c\": []"), ("/a/b/2", "\"x\""), ("/a/d~1e", "\"d/e\": {}"), ("/f", "\"f\": null")]
        {
            let found = text.lines().nth(document.line(pointer) - 1).unwrap_or_default();
            assert_eq!(found.trim(), line, "{pointer}");
        }
        assert_eq!((document.line(""), document.line("/a/nothing")), (1, 2));
    }
}

//! The schema as a JSON Schema, from which editors complete and check a file as it is typed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Key, LIVE, NONE, REQUIRED, Shape, Table, sections};

/// The whole file as a JSON Schema (draft 2020-12).
pub(in crate::config) fn json_schema() -> Value {
    let mut definitions = Definitions::default();
    let mut properties = Map::new();
    let owner = json!({ "type": "string", "description": "Who answers for this fragment; by default its file's name." });
    properties.insert("owner".to_owned(), owner);
    for section in sections() {
        let reference = definitions.reference(&section.table);
        let mut schema = if section.repeated {
            json!({ "type": "array", "items": reference })
        } else {
            reference
        };
        describe(&mut schema, section.meaning);
        properties.insert(section.key.to_owned(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stonechat configuration",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": definitions.0,
    })
}

/// Tables by name; a condition holds conditions, so they refer to each other.
#[derive(Debug, Default)]
struct Definitions(BTreeMap<&'static str, Value>);

impl Definitions {
    fn reference(&mut self, table: &Table) -> Value {
        if !self.0.contains_key(table.name) {
            // Entered first, so that a table inside itself ends here.
            self.0.insert(table.name, Value::Null);
            let schema = self.table(table);
            self.0.insert(table.name, schema);
        }
        json!({ "$ref": format!("#/$defs/{}", table.name) })
    }

    fn table(&mut self, table: &Table) -> Value {
        let properties: Map<String, Value> = table
            .keys()
            .map(|key| (key.name.to_owned(), self.key(key)))
            .collect();
        let required: Vec<&str> = table
            .keys()
            .filter(|key| key.default == REQUIRED)
            .map(|key| key.name)
            .collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    fn key(&mut self, key: &Key) -> Value {
        let mut schema = self.shape(&key.shape);
        let mut meaning = key.meaning_text();
        if let Some(default) = key.default_value() {
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("default".to_owned(), default);
            }
        } else if key.default != NONE && key.default != REQUIRED {
            meaning = format!("{meaning} Default: {}.", key.default);
        }
        if key.reload != NONE && key.reload != LIVE {
            meaning = format!("{meaning} On reload: {}.", key.reload);
        }
        describe(&mut schema, &meaning);
        schema
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Boolean => json!({ "type": "boolean" }),
            Shape::False => json!({ "const": false }),
            Shape::Number { low, high } => json!({ "anyOf": [
                { "type": "integer", "minimum": low, "maximum": high },
                from_environment(),
            ]}),
            Shape::Text { noun, example } => {
                json!({ "type": "string", "title": noun, "examples": [example] })
            }
            Shape::Words(words) => json!({ "anyOf": [{ "enum": words }, from_environment()] }),
            Shape::Either(shapes) => {
                let any: Vec<Value> = shapes.iter().map(|shape| self.shape(shape)).collect();
                json!({ "anyOf": any })
            }
            Shape::OneOrMany(item) => {
                let item = self.shape(item);
                json!({ "anyOf": [item, { "type": "array", "items": item }] })
            }
            Shape::List(item) => json!({ "type": "array", "items": self.shape(item) }),
            Shape::Table(table) => self.reference(&table()),
        }
    }
}

impl Key {
    /// The comment as one paragraph.
    pub(super) fn meaning_text(&self) -> String {
        let lines: Vec<&str> = self.meaning.iter().map(|line| line.trim()).collect();
        lines.join(" ")
    }

    /// The default as it would be written, where it is a value and not words.
    pub(in crate::config) fn default_text(&self) -> Option<&'static str> {
        let text = self.default.strip_prefix('`')?.strip_suffix('`')?;
        (!text.contains('`')).then_some(text)
    }

    /// The key of the same table that this one goes with: its meaning begins "With `http`:".
    pub(in crate::config) fn companion(&self) -> Option<&'static str> {
        let rest = self.meaning.first()?.trim_start().strip_prefix("With `")?;
        let (with, _) = rest.split_once('`')?;
        // `https://` and the like are values of that key.
        Some(if with.starts_with("http") { "http" } else { with })
    }

    /// The same as JSON.
    pub(in crate::config) fn default_value(&self) -> Option<Value> {
        let written = self.default_text()?;
        let table: toml::Table = toml::from_str(&format!("value = {written}")).ok()?;
        serde_json::to_value(table.get("value")?).ok()
    }
}

/// A string with a variable in it stands for whatever the environment holds.
fn from_environment() -> Value {
    json!({ "type": "string", "pattern": "\\$\\{" })
}

fn describe(schema: &mut Value, meaning: &str) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), meaning.into());
    }
}

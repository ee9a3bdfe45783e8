//! The schema against the reader, the samples, the defaults, the plan of a reload, and the page.

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::config::file::File;
use crate::config::tests::parse;
use crate::config::{Config, Effect, Plan};

#[test]
fn the_page_is_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let renewed = page::renewed(&page);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, renewed).unwrap();
    } else {
        assert!(
            page == renewed,
            "docs/configuration.md is old; UPDATE=1 rewrites its tables from the schema"
        );
    }
}

#[test]
fn every_key_says_what_it_means() {
    for (name, table) in page::all_tables() {
        for key in table.keys() {
            assert!(key.meaning_text().ends_with(['.', ':']), "{name}.{}", key.name);
        }
    }
}

#[test]
fn the_reader_takes_what_the_schema_allows() {
    let mut tried = 0;
    for section in sections() {
        for key in section.table.keys() {
            for sample in samples(&key.shape, 3) {
                tried += 1;
                let text = format!("{}\n{} = {sample}\n", header(&section), key.name);
                assert_eq!(reported(&text), Vec::<String>::new(), "{text}");
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn the_reader_refuses_what_is_out_of_range_and_other_words() {
    for section in sections() {
        for key in section.table.keys() {
            let wrong: Vec<String> = match key.shape {
                Shape::Number { low, high } => {
                    vec![
                        (i128::from(low) - 1).to_string(),
                        (i128::from(high) + 1).to_string(),
                    ]
                }
                Shape::Words(_) => vec!["\"nonsense\"".to_owned(), "1".to_owned()],
                Shape::Boolean => vec!["1".to_owned(), "\"true\"".to_owned()],
                _ => continue,
            };
            for sample in wrong {
                let text = format!("{}\n{} = {sample}\n", header(&section), key.name);
                assert_eq!(reported(&text).len(), 1, "{text}");
            }
        }
    }
}

#[test]
fn the_json_schema_takes_every_sample_and_refuses_unknown_keys() {
    let schema = json_schema();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut taken = 0;
    for directory in ["config", "src/config", "src/config/tests/wrong"] {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let Ok(file) = toml::from_str::<toml::Table>(&std::fs::read_to_string(&path).unwrap()) else {
                continue;
            };
            let wrong = complaint(&schema, &schema, &serde_json::to_value(file).unwrap());
            match (directory, name.as_str()) {
                ("src/config/tests/wrong", "unknown_keys.toml" | "wrong_types.toml" | "kinds.toml") => {
                    assert!(wrong.is_some(), "{name}");
                }
                ("src/config/tests/wrong", _) => {}
                _ => {
                    taken += 1;
                    assert_eq!(wrong, None, "{name}");
                }
            }
        }
    }
    assert!(taken >= 5, "{taken}");
}

/// Keys whose default cannot be tried out alone, because they go with another.
const NOT_ALONE: &[&str] = &["originate.discard", "originate.kernel", "vip.check"];

#[test]
fn a_default_written_out_changes_nothing() {
    let mut tried = 0;
    for section in sections() {
        for key in section.table.keys() {
            let Some(default) = written_default(key) else {
                continue;
            };
            let (base, with) = base_and(&section, &format!("{} = {default}\n", key.name));
            let name = format!("{}.{}", section.key, key.name);
            match (config(&base), config(&with)) {
                (Ok(base), Ok(with)) => {
                    assert_eq!(base, with, "{name}");
                    tried += 1;
                }
                (base, with) => assert!(NOT_ALONE.contains(&&*name), "{name}: {base:?} {with:?}"),
            }
        }
    }
    assert!(tried >= 35, "{tried}");
}

#[test]
fn the_plan_of_a_reload_is_what_the_schema_says() {
    let mut tried = 0;
    for section in sections().iter().filter(|section| section.key != "peer_group") {
        for key in section.table.keys() {
            let expected = match key.reload {
                LIVE => "live",
                NEXT_SESSION => "next session",
                RESETS => "resets",
                RESTART => "restart",
                _ => continue,
            };
            for sample in samples(&key.shape, 1) {
                let (base, with) = base_and(section, &format!("{} = {sample}\n", key.name));
                let (Ok(base), Ok(with)) = (config(&base), config(&with)) else {
                    continue;
                };
                let plan = Plan::new(&base, with.clone());
                let effects: Vec<&str> = plan
                    .changes
                    .iter()
                    .map(|change| match change.effect {
                        Effect::Live => "live",
                        Effect::NextSession { .. } => "next session",
                        Effect::ResetsSession { .. } => "resets",
                        Effect::NeedsRestart => "restart",
                    })
                    .collect();
                if base != with {
                    assert_eq!(effects, [expected], "{}.{} = {sample}", section.key, key.name);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 40, "{tried}");
}

/// What the reader says of a file, before validation.
fn reported(text: &str) -> Vec<String> {
    crate::config::tests::read(text, |reader, table| {
        File::read(reader, table);
    })
}

fn config(text: &str) -> Result<Config, String> {
    parse("test.toml", text)
        .map(|loaded| loaded.config)
        .map_err(|report| report.to_string())
}

fn header(section: &SectionSchema) -> String {
    if section.repeated {
        format!("[[{}]]", section.key)
    } else {
        format!("[{}]", section.key)
    }
}

/// A valid file, and the same with one line more in this section.
fn base_and(section: &SectionSchema, line: &str) -> (String, String) {
    let least = match section.key {
        "speaker" => "asn = 64512\n",
        "originate" => "name = \"o\"\nprefixes = [\"10.0.0.0/8\"]\n",
        "vip" => "name = \"v\"\naddress = \"192.0.2.9\"\n",
        "aggregate" => "name = \"a\"\nprefix = \"10.0.0.0/8\"\n",
        "filter" => "name = \"f\"\n",
        "prefix_set" => "name = \"s\"\nprefixes = [\"10.0.0.0/8\"]\n",
        "community_set" => "name = \"s\"\ncommunity = [\"1:1\"]\n",
        "as_path_set" => "name = \"s\"\npatterns = [\"^$\"]\n",
        "peer_group" => "name = \"g\"\nasn = 64513\n",
        "peer" => "name = \"p\"\naddress = \"192.0.2.7\"\nasn = 64512\n",
        _ => "",
    };
    let speaker = if section.key == "speaker" {
        ""
    } else {
        "[speaker]\nasn = 64512\n"
    };
    let base = format!("{speaker}{}\n{least}", header(section));
    (base.clone(), base + line)
}

/// The default as written in the file.
fn written_default(key: &Key) -> Option<&'static str> {
    key.default_value()?;
    key.default_text()
}

/// Values that a shape allows, as TOML; each part of it at least once, to this depth of tables.
fn samples(shape: &Shape, depth: u32) -> Vec<String> {
    match shape {
        Shape::Boolean => vec!["true".to_owned(), "false".to_owned()],
        Shape::False => vec!["false".to_owned()],
        Shape::Number { low, high } => vec![low.to_string(), high.to_string()],
        Shape::Text { example, .. } => vec![format!("{example:?}")],
        Shape::Words(words) => words.iter().map(|word| format!("{word:?}")).collect(),
        Shape::Either(shapes) => shapes.iter().flat_map(|shape| samples(shape, depth)).collect(),
        Shape::OneOrMany(item) => {
            let items = samples(item, depth);
            let list = format!("[{}]", items.join(", "));
            items.into_iter().chain([list]).collect()
        }
        Shape::List(item) => samples(item, depth)
            .into_iter()
            .map(|item| format!("[{item}]"))
            .collect(),
        Shape::Table(_) if depth == 0 => Vec::new(),
        Shape::Table(table) => table()
            .keys()
            .flat_map(|key| {
                let values = samples(&key.shape, depth - 1);
                values
                    .into_iter()
                    .map(|value| format!("{{ {} = {value} }}", key.name))
            })
            .collect(),
    }
}

/// Why a value does not meet the part of JSON Schema that [`json_schema`] uses.
fn complaint(root: &Value, schema: &Value, value: &Value) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        return complaint(root, target, value);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let all: Option<Vec<String>> = any.iter().map(|schema| complaint(root, schema, value)).collect();
        return all.map(|all| all.join("; or "));
    }
    let text = value.as_str().unwrap_or_default();
    let wrong = schema["type"].as_str().is_some_and(|wanted| match wanted {
        "object" => !value.is_object(),
        "array" => !value.is_array(),
        "string" => !value.is_string(),
        "boolean" => !value.is_boolean(),
        "integer" => !value.is_i64(),
        other => panic!("{other}"),
    });
    let wrong = wrong
        || schema["enum"]
            .as_array()
            .is_some_and(|words| !words.contains(value))
        || schema.get("const").is_some_and(|only| only != value)
        || schema["minimum"]
            .as_u64()
            .is_some_and(|low| value.as_u64().unwrap_or(0) < low)
        || schema["maximum"]
            .as_u64()
            .is_some_and(|high| value.as_u64().unwrap_or(u64::MAX) > high)
        || (schema["pattern"] == "\\$\\{" && !text.contains("${"));
    if wrong {
        return Some(format!("{value} is not {schema}"));
    }
    let required = schema["required"].as_array().into_iter().flatten();
    if let Some(missing) = required
        .filter_map(Value::as_str)
        .find(|key| value.get(key).is_none())
    {
        return Some(format!("no {missing} in {value}"));
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let Some(schema) = schema["properties"].get(key) else {
            return Some(format!("unknown {key}"));
        };
        if let Some(wrong) = complaint(root, schema, value) {
            return Some(format!("{key}: {wrong}"));
        }
    }
    let items = value.as_array().into_iter().flatten();
    items
        .into_iter()
        .find_map(|item| complaint(root, &schema["items"], item))
}

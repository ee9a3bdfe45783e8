//! Replays the fuzzer's corpora, which lie beside the crate in the repository.

use std::path::Path;

use crate::targets;

#[test]
fn corpora_hold() {
    for (name, target) in [
        ("message", targets::message as fn(&[u8])),
        ("update", targets::update),
        ("open", targets::open),
        ("mrt", targets::mrt),
        ("text", targets::text),
    ] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../fuzz/corpus")
            .join(name);
        let Ok(entries) = std::fs::read_dir(&directory) else {
            println!(
                "skipped: no corpus beside a packaged crate ({})",
                directory.display()
            );
            continue;
        };
        let mut count = 0;
        for entry in entries {
            target(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name}");
    }
}

//! Puts a scene's Python file together: the shared style, the narration with its times, the data, the parts, the scene.
use serde_json::Value;

use crate::speech;
use crate::voice::Voice;

const STYLE: &str = include_str!("../../lessons/qsketch_style.py");

/// What the source files begin with so that they can be read and run where they lie.
const STYLE_IMPORT: &str = "from qsketch_style import *\n";

/// A sentence and how long it takes to say, in seconds.
pub(super) type Timed = (String, f64);

/// How long each sentence takes with this voice; `measured` are the times of the voice that the lessons were made with.
pub(super) fn timed(sentences: &[String], measured: Option<&[f64]>, voice: Voice) -> Vec<Timed> {
    let secs = |n: usize, sentence: &str| match measured.and_then(|measured| measured.get(n)) {
        Some(secs) => *secs,
        None => speech::estimate_secs(sentence, voice.language()),
    };
    sentences.iter().enumerate().map(|(n, sentence)| (sentence.clone(), secs(n, sentence))).collect()
}

/// One self-contained file. `data`, if any, becomes `SCENE`; `parts` are (module name, source) that the scene imports by name.
pub(super) fn assemble(scene: &str, parts: &[(&str, &str)], narration: &[Timed], data: Option<&Value>) -> String {
    let mut code = String::from(STYLE);
    code.push_str("\n\nNARRATION = [\n");
    for (sentence, secs) in narration {
        code.push_str(&format!("    ({}, {secs:.2}),\n", literal(&Value::from(sentence.as_str()))));
    }
    code.push_str("]\n\n");
    if let Some(data) = data {
        code.push_str(&format!("SCENE = {}\n\n", literal(data)));
    }
    let mut body = scene.replacen(STYLE_IMPORT, "", 1);
    for (module, source) in parts {
        let import = format!("from {module} import *\n");
        if body.contains(&import) {
            body = body.replacen(&import, "", 1);
            code.push_str(source.trim_end());
            code.push_str("\n\n\n");
        }
    }
    code.push_str(body.trim_start());
    code
}

/// A value of strings, numbers, lists and objects as a Python expression: JSON is one, as long as it holds no true, false or null.
///
/// serde_json escapes quotes, backslashes and control characters, and writes every other character as itself; Python reads each of these alike.
/// U+007F and the rest need no escape. A lone surrogate can't be in a Rust string.
fn literal(value: &Value) -> String {
    value.to_string()
}

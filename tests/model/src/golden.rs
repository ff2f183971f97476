//! The counterexamples as files, one for each model that is broken on purpose: what the model found, and what
//! `docs/protocol.md` is made from.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::config::{Broken, Config};
use crate::explore::Counterexample;

/// A counterexample, as its file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is broken, and on which graph: the name of its file.
    pub name: String,
    /// What is modelled, in a line.
    pub model: String,
    /// The promise that does not hold.
    pub promise: String,
    /// How many states were found until then.
    pub states: usize,
    /// What happens, a line for each action.
    pub trace: Vec<String>,
}

impl Found {
    /// What a search found.
    #[must_use]
    pub fn new(config: &Config, broken: Broken, states: usize, found: &Counterexample) -> Self {
        let kinds: Vec<_> = config.kinds.iter().map(|kind| kind.words()).collect();
        let faults = match config.faults {
            0 => "no fault".to_owned(),
            most => format!("at most {most} of: {}", kinds.join(", ")),
        };
        let place =
            if config.processes.windows(2).all(|pair| pair[0] == pair[1]) { "one process" } else { "two processes" };
        Self {
            name: format!("{broken:?}-{:?}", config.graph),
            model: format!("{}; {} drives in {place}; {faults}", config.graph.drawn(), config.processes.len()),
            promise: found.promise.to_owned(),
            states,
            trace: found.trace.clone(),
        }
    }

    /// What is broken.
    #[must_use]
    pub fn broken(&self) -> &str {
        self.name.split_once('-').map_or(self.name.as_str(), |(broken, _)| broken)
    }

    /// Compares it with its file, or writes that where `BLESS=1`.
    pub fn check_golden(&self) {
        check(&folder().join(format!("{}.txt", self.name)), &self.text());
    }

    /// Every counterexample that has a file, by name.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let files = std::fs::read_dir(folder()).expect("the folder of the counterexamples");
        let mut names: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        names.sort();
        names.iter().map(|path| Self::read(path)).collect()
    }

    fn text(&self) -> String {
        let mut text = format!("model: {}\nnot true: {}\nstates: {}\n", self.model, self.promise, self.states);
        for line in &self.trace {
            writeln!(text, "{line}").expect("text takes a line");
        }
        text
    }

    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a counterexample's file");
        let mut lines = text.lines();
        let mut headed = |head: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(head));
            line.unwrap_or_else(|| panic!("{} has no line {head:?}", path.display())).to_owned()
        };
        let (model, promise, states) = (headed("model: "), headed("not true: "), headed("states: "));
        Self {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            model,
            promise,
            states: states.parse().expect("a number of states"),
            trace: lines.map(str::to_owned).collect(),
        }
    }
}

/// Whether files are to be written anew.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says so in their environment")]
pub fn is_blessed() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1")
}

/// Compares a text with its file, or writes the file where `BLESS=1`.
pub fn check(path: &Path, text: &str) {
    if is_blessed() {
        std::fs::write(path, text).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == text, "{} is not what the code says now: BLESS=1 writes it anew; it says\n{text}", path.display());
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

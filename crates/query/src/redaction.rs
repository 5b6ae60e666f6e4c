//! Keeps the places of files out of what callers read.

use datafusion::error::DataFusionError;

/// The longest message that is passed on, in characters.
const MAX_MESSAGE_CHARS: usize = 1_000;

/// Replaces the folders of a query's tables by the tables' names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redaction {
    replacements: Vec<(String, String)>,
}

impl Redaction {
    /// Replace each folder by the name beside it.
    pub(crate) fn new(mut replacements: Vec<(String, String)>) -> Self {
        replacements.retain(|(folder, _)| !folder.is_empty());
        // A folder inside another must go first, or its tail would stay.
        replacements.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
        Self { replacements }
    }

    /// The text without the folders.
    pub(crate) fn text(&self, text: &str) -> String {
        self.replacements.iter().fold(text.to_owned(), |text, (folder, name)| text.replace(folder, name))
    }

    /// What an error says, without the folders, the engine's backtraces and their length.
    pub(crate) fn message(&self, error: &DataFusionError) -> String {
        self.text(&error.strip_backtrace()).chars().take(MAX_MESSAGE_CHARS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_inside_another_leaves_no_tail() {
        let redaction = Redaction::new(vec![
            ("lake/raw".into(), "a.outer".into()),
            ("lake/raw/inner".into(), "a.inner".into()),
            (String::new(), "nothing".into()),
        ]);
        assert_eq!(redaction.text("lake/raw/inner/x, lake/raw/y"), "a.inner/x, a.outer/y");
    }
}

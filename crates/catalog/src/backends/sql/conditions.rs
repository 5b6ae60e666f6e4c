//! Conditions that a query has or has not, with their values.
//!
//! Invariant: values are bound, never part of the text.

use sluice_domain::NamespaceName;

/// Conditions that must all hold. Each `{}` in their text stands for a value.
#[derive(Default)]
pub(super) struct Conditions {
    text: String,
    values: Vec<String>,
}

impl Conditions {
    /// One more condition, with the values of its text in their order.
    pub(super) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = String>) -> &mut Self {
        self.text.push_str(if self.text.is_empty() { "" } else { " AND " });
        let mut parts = condition.split("{}");
        self.text.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            self.values.push(value);
            self.text.push_str(&format!("${}{part}", self.values.len()));
        }
        self
    }

    /// One of these must hold; none of none.
    pub(super) fn any(&mut self, condition: &str, values: Vec<Vec<String>>) -> &mut Self {
        if values.is_empty() {
            return self.and("1 = 0", []);
        }
        let text = vec![condition; values.len()].join(" OR ");
        self.and(&format!("({text})"), values.into_iter().flatten())
    }

    /// The column names a table of one of these namespaces.
    pub(super) fn table_within(&mut self, column: &str, visible: Option<&[NamespaceName]>) -> &mut Self {
        let Some(visible) = visible else { return self };
        // What follows the point sorts before the character behind it.
        let bounds = visible.iter().map(|name| vec![format!("{name}."), format!("{name}/")]);
        self.any(&format!("({column} >= {{}} AND {column} < {{}})"), bounds.collect())
    }

    /// The column is one of these namespaces.
    pub(super) fn namespace_in(&mut self, column: &str, visible: Option<&[NamespaceName]>) -> &mut Self {
        let Some(visible) = visible else { return self };
        self.any(&format!("{column} = {{}}"), visible.iter().map(|name| vec![name.to_string()]).collect())
    }

    /// The whole, behind `WHERE`.
    pub(super) fn text(&self) -> &str {
        if self.text.is_empty() { "1 = 1" } else { &self.text }
    }

    /// The number of the next value.
    pub(super) fn next(&self) -> usize {
        self.values.len() + 1
    }

    pub(super) fn values(&self) -> &[String] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_in_their_order() {
        let mut conditions = Conditions::default();
        assert_eq!(conditions.text(), "1 = 1");
        conditions.and("a = {}", ["1".into()]).and("b IS NULL", []);
        let visible = ["x".parse().unwrap(), "y".parse().unwrap()];
        conditions.table_within("t", Some(&visible)).namespace_in("n", Some(&[]));
        let text = "a = $1 AND b IS NULL AND ((t >= $2 AND t < $3) OR (t >= $4 AND t < $5)) AND 1 = 0";
        assert_eq!(conditions.text(), text);
        assert_eq!(conditions.values(), ["1", "x.", "x/", "y.", "y/"]);
        assert_eq!(conditions.next(), 6);
    }
}

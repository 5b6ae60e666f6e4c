//! Flows in the notations of other tools: JSON by source, Graphviz, Mermaid.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

use super::{Dataset, Flow};

/// The flows by source, in the order in which the sources come first.
fn by_source(flows: &[Flow]) -> Vec<(&Dataset, Vec<&Flow>)> {
    let mut places: HashMap<&Dataset, usize> = HashMap::new();
    let mut groups: Vec<(&Dataset, Vec<&Flow>)> = Vec::new();
    for flow in flows {
        let place = *places.entry(&flow.source).or_insert(groups.len());
        if place == groups.len() {
            groups.push((&flow.source, Vec::new()));
        }
        groups[place].1.push(flow);
    }
    groups
}

/// A flow as an entry of its source.
#[derive(Serialize)]
struct Entry<'a> {
    source: String,
    target: String,
    transformation: &'a str,
    timestamp: String,
    metadata: &'a Map<String, Value>,
}

impl<'a> From<&'a Flow> for Entry<'a> {
    fn from(flow: &'a Flow) -> Self {
        Self {
            source: flow.source.to_string(),
            target: flow.target.to_string(),
            transformation: &flow.transformation,
            timestamp: timestamp(flow.occurred_at),
            metadata: &flow.metadata,
        }
    }
}

fn timestamp(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

struct Document<'a>(Vec<(&'a Dataset, Vec<&'a Flow>)>);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_map(Some(self.0.len()))?;
        for (source, flows) in &self.0 {
            let entries: Vec<Entry<'_>> = flows.iter().map(|flow| Entry::from(*flow)).collect();
            document.serialize_entry(&source.to_string(), &entries)?;
        }
        document.end()
    }
}

/// A JSON object with the flows of every source, in order, each with source, target, transformation, timestamp and
/// metadata.
///
/// # Errors
/// None for what is in the lake; the serializer's otherwise.
pub fn json(flows: &[Flow]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&Document(by_source(flows)))
}

/// A text in quotes of Graphviz.
struct Quoted<T>(T);

impl<T: fmt::Display> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.to_string().replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// A graph for Graphviz.
pub fn dot(flows: &[Flow]) -> String {
    let mut text = "digraph DataLineage {\n".to_owned();
    for flow in by_source(flows).into_iter().flat_map(|(_, flows)| flows) {
        let (source, target, label) = (Quoted(&flow.source), Quoted(&flow.target), Quoted(&flow.transformation));
        // Writing into a text does not fail.
        let _ = writeln!(text, "  {source} -> {target} [label={label}];");
    }
    text.push_str("}\n");
    text
}

/// A text within quotes of Mermaid, which knows entities, and nothing else, to escape by.
fn mermaid_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' | ';' | '|' => {
                let _ = write!(escaped, "#{};", u32::from(letter));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A flow chart for Mermaid.
pub fn mermaid(flows: &[Flow]) -> String {
    let mut text = "flowchart LR\n".to_owned();
    let mut numbers: HashMap<&Dataset, usize> = HashMap::new();
    for dataset in flows.iter().flat_map(|flow| [&flow.source, &flow.target]) {
        let next = numbers.len();
        if *numbers.entry(dataset).or_insert(next) == next {
            let _ = writeln!(text, "  n{next}[\"{}\"]", mermaid_text(&dataset.to_string()));
        }
    }
    for flow in flows {
        let (source, target) = (numbers[&flow.source], numbers[&flow.target]);
        let _ = writeln!(text, "  n{source} -->|\"{}\"| n{target}", mermaid_text(&flow.transformation));
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::lineage::{FlowId, FlowOrigin};
    use serde_json::json;

    pub(in crate::lineage) fn flow(source: &str, target: &str, transformation: &str) -> Flow {
        Flow {
            id: FlowId(uuid::Uuid::from_u128(7)),
            source: source.parse().unwrap(),
            target: target.parse().unwrap(),
            transformation: transformation.into(),
            origin: FlowOrigin::Manual,
            run: None,
            source_version: None,
            target_version: None,
            metadata: Map::new(),
            principal: "ann".into(),
            occurred_at: "2026-02-03T04:05:06.000007Z".parse().unwrap(),
        }
    }

    fn orders() -> [Flow; 2] {
        [
            flow("raw_orders_table", "cleaned_orders_table", "data_cleaning_pipeline"),
            flow("cleaned_orders_table", "sales_analytics_table", "aggregation_pipeline"),
        ]
    }

    #[test]
    fn a_graph_for_graphviz_is_exact() {
        let expected = "digraph DataLineage {\n  \
            \"raw_orders_table\" -> \"cleaned_orders_table\" [label=\"data_cleaning_pipeline\"];\n  \
            \"cleaned_orders_table\" -> \"sales_analytics_table\" [label=\"aggregation_pipeline\"];\n}\n";
        assert_eq!(dot(&orders()), expected);
        assert_eq!(dot(&[]), "digraph DataLineage {\n}\n");
    }

    #[test]
    fn flows_of_one_source_stand_together_in_order() {
        let [first, second] = orders();
        let third = flow("raw_orders_table", "b", "x");
        let text = dot(&[first, second, third]);
        let sources: Vec<&str> = text.lines().filter_map(|line| line.trim().split(" -> ").next()).collect();
        assert_eq!(sources[1..4], ["\"raw_orders_table\"", "\"raw_orders_table\"", "\"cleaned_orders_table\""]);
    }

    #[test]
    fn hostile_names_stay_within_their_quotes() {
        let hostile = [flow("a\"]; evil [x=\"", "b\\", "say \"hi\"\\")];
        assert_eq!(dot(&hostile).lines().nth(1).unwrap(), r#"  "a\"]; evil [x=\"" -> "b\\" [label="say \"hi\"\\"];"#);
        let text = mermaid(&[flow("a\"] --> <script>", "b|c", "#quot;`;")]);
        let letters: String = text.chars().filter(|letter| "<>`".contains(*letter)).collect();
        assert_eq!(letters, ">", "{text}");
        assert_eq!(text.matches('"').count(), 6, "{text}");
    }

    #[test]
    fn the_json_is_keyed_by_source_and_says_what_was_declared() {
        let mut flows = orders().to_vec();
        flows[0].metadata = json!({"records_processed": 1000}).as_object().unwrap().clone();
        flows.push(flow("raw_orders_table", "other", "again"));
        let text = json(&flows).unwrap();
        assert!(text.find("raw_orders_table").unwrap() < text.find("\"cleaned_orders_table\": [").unwrap());
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            document["raw_orders_table"][0],
            json!({"source": "raw_orders_table", "target": "cleaned_orders_table",
                "transformation": "data_cleaning_pipeline", "timestamp": "2026-02-03T04:05:06.000007Z",
                "metadata": {"records_processed": 1000}})
        );
        assert_eq!(document["raw_orders_table"][1]["target"], "other");
        assert_eq!(document.as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_flow_chart_names_every_dataset_once() {
        let text = mermaid(&orders());
        assert_eq!(
            text,
            "flowchart LR\n  n0[\"raw_orders_table\"]\n  n1[\"cleaned_orders_table\"]\n  n2[\"sales_analytics_table\"]\n  \
             n0 -->|\"data_cleaning_pipeline\"| n1\n  n1 -->|\"aggregation_pipeline\"| n2\n"
        );
    }
}

//! What of the lineage a caller sees.

use sluice_domain::{
    Caller,
    lineage::{Dataset, Flow},
};

/// Whether a caller is shown what goes from one dataset into another.
pub(crate) fn sees(caller: &Caller, source: &Dataset, target: &Dataset) -> bool {
    let tables = [source.table(), target.table()];
    let none_is_hidden = tables.iter().flatten().all(|table| caller.sees(&table.namespace));
    // What has no namespace of the lake could tell of those that a confined caller does not see.
    none_is_hidden && (caller.namespaces.is_none() || tables.iter().any(Option::is_some))
}

/// The flows of these that a caller is shown.
pub(crate) fn shown(caller: &Caller, mut flows: Vec<Flow>) -> Vec<Flow> {
    flows.retain(|flow| sees(caller, &flow.source, &flow.target));
    flows
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_domain::Action;

    #[test]
    fn a_confined_caller_sees_what_touches_its_tables_and_no_others() {
        let confined =
            Caller { name: "ann".into(), actions: vec![Action::Read], namespaces: Some(vec!["nyc".parse().unwrap()]) };
        let free = Caller::unrestricted("bob");
        let dataset = |name: &str| name.parse::<Dataset>().unwrap();
        for (source, target, seen) in [
            ("nyc.a", "nyc.b", true),
            ("outside", "nyc.b", true),
            ("nyc.a", "outside", true),
            ("nyc.a", "hr.b", false),
            ("hr.a", "nyc.b", false),
            ("hr.a", "outside", false),
            ("outside", "elsewhere", false),
        ] {
            assert_eq!(sees(&confined, &dataset(source), &dataset(target)), seen, "{source} {target}");
            assert!(sees(&free, &dataset(source), &dataset(target)));
        }
    }
}

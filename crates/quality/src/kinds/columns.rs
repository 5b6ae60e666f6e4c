//! What columns there are, and of what types.

use serde_json::json;
use sluice_domain::type_name;

use super::{
    Kind, Reach,
    bounds::{Bounds, PARAMETERS},
    types::{TypeName, pandas_name},
};
use crate::{
    arguments::{ArgumentError, Arguments},
    expectation::{Binder, Finding, Ready},
    setting::Setting,
};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_table_columns_to_match_ordered_list",
        reach: Reach::Columns,
        parameters: &["column_list"],
        parse: ordered_list,
    },
    Kind {
        name: "expect_table_columns_to_match_set",
        reach: Reach::Columns,
        parameters: &["column_set", "exact_match"],
        parse: set,
    },
    Kind { name: "expect_table_column_count_to_equal", reach: Reach::Columns, parameters: &["value"], parse: equal },
    Kind {
        name: "expect_table_column_count_to_be_between",
        reach: Reach::Columns,
        parameters: PARAMETERS.split_at(1).1,
        parse: between,
    },
    Kind {
        name: "expect_column_to_exist",
        reach: Reach::Columns,
        parameters: &["column", "column_index"],
        parse: exist,
    },
    Kind {
        name: "expect_column_values_to_be_of_type",
        reach: Reach::Columns,
        parameters: &["column", "type_"],
        parse: of_type,
    },
    Kind {
        name: "expect_column_values_to_be_in_type_list",
        reach: Reach::Columns,
        parameters: &["column", "type_list"],
        parse: in_type_list,
    },
];

fn names(setting: &Setting) -> Vec<&str> {
    setting.schema.fields().iter().map(|field| field.name().as_str()).collect()
}

fn known(judge: impl Fn(&Setting) -> Result<Finding, String> + 'static) -> Result<Binder, ArgumentError> {
    Ok(Box::new(move |setting| judge(setting).map(Ready::Known)))
}

fn ordered_list(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let list = arguments.texts("column_list")?;
    known(move |setting| {
        let found = names(setting);
        let complaint = format!("The columns are {}, not {}", found.join(", "), list.join(", "));
        Ok(Finding::of_value(found == list, json!(found), complaint))
    })
}

fn set(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (wanted, exact) = (arguments.texts("column_set")?, arguments.flag("exact_match")?.unwrap_or(true));
    known(move |setting| {
        let found = names(setting);
        let missing: Vec<&String> = wanted.iter().filter(|name| !found.contains(&name.as_str())).collect();
        let extra: Vec<&str> = found.iter().copied().filter(|name| !wanted.iter().any(|one| one == name)).collect();
        let success = missing.is_empty() && (!exact || extra.is_empty());
        let complaint = format!("The columns lack {missing:?} and have {extra:?} beside the set");
        let mut finding = Finding::of_value(success, json!(found), complaint);
        finding.observed.details.insert("mismatched".into(), json!({"missing": missing, "unexpected": extra}));
        Ok(finding)
    })
}

fn count(bounds: Bounds) -> Result<Binder, ArgumentError> {
    known(move |setting| {
        let count = json!(setting.schema.fields().len());
        let complaint = bounds.complaint("The number of columns", &count);
        Ok(Finding::of_value(bounds.hold(setting.schema.fields().len() as f64), count, complaint))
    })
}

fn equal(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    count(Bounds::exactly(arguments.required_whole("value")? as f64))
}

fn between(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    count(Bounds::read(arguments)?)
}

fn exist(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (column, index) = (arguments.text("column")?, arguments.whole("column_index")?);
    known(move |setting| {
        let found = setting.column(&column);
        let success = found.as_ref().is_ok_and(|at| index.is_none_or(|index| *at as u64 == index));
        let complaint = found.as_ref().map_or_else(Clone::clone, |at| format!("{column} is column {at}"));
        Ok(Finding::of_value(success, json!(found.ok()), complaint))
    })
}

fn read_type(name: &str, parameter: &str) -> Result<TypeName, ArgumentError> {
    TypeName::parse(name).ok_or_else(|| ArgumentError::new(parameter, format!("{name:?} is no type")))
}

fn of_type(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let name = arguments.text("type_")?;
    let wanted = read_type(&name, "type_")?;
    typed(arguments.text("column")?, vec![(name, wanted)])
}

fn in_type_list(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let read = |name: String| read_type(&name, "type_list").map(|wanted| (name, wanted));
    let wanted = arguments.texts("type_list")?.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    typed(arguments.text("column")?, wanted)
}

fn typed(column: String, wanted: Vec<(String, TypeName)>) -> Result<Binder, ArgumentError> {
    known(move |setting| {
        let data_type = setting.data_type(setting.column(&column)?);
        let success = wanted.iter().any(|(_, wanted)| wanted.is(data_type));
        let asked: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let (expected, actual) = (asked.join(" or "), type_name(data_type));
        let complaint = format!("{column} is {actual}, not {expected}");
        let mut finding = Finding::of_value(success, json!(actual), complaint);
        let issue = json!({"expected": expected, "actual": pandas_name(data_type)});
        finding.observed.details.insert("type".into(), issue);
        Ok(finding)
    })
}

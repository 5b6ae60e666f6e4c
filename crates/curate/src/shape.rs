//! How the columns of a statement's result become those of its target.
//!
//! Invariant: a value is never changed to fit: a column either holds every value of the result's type, or is refused.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, Schema, SchemaRef},
    util::display::FormatOptions,
};
use sluice_domain::{ColumnName, PipelineDefinition, PipelineMode, PipelineSettingsError, TableLayout};
use sluice_table::{
    Description, TypeStep, check_partition_columns, history_columns, spelled, storable_type, type_step,
};

use crate::CurateError;

/// What is written for a run, and what the target has afterwards.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// The columns of the files, or of the source of a merge.
    pub(crate) written: SchemaRef,
    /// Which column of the result each of them is.
    from: Vec<usize>,
    /// The columns that the target has now; none where it is to be made.
    pub(crate) base: Option<SchemaRef>,
    /// The columns that it has afterwards.
    pub(crate) after: SchemaRef,
    /// What it is partitioned by.
    pub(crate) partition_by: Vec<String>,
    /// How its files are laid out.
    pub(crate) layout: TableLayout,
    /// The keys of a merge, as the target spells them.
    pub(crate) keys: Vec<String>,
}

impl Shape {
    /// Fit the columns of a result to a target.
    ///
    /// # Errors
    /// [`CurateError::Misfit`], naming the column; [`CurateError::Settings`] where the mode does not go with the target.
    pub(crate) fn plan(
        definition: &PipelineDefinition,
        result: &Schema,
        target: Option<&Description>,
    ) -> Result<Self, CurateError> {
        let stored = stored_columns(result)?;
        let mut shape = match target {
            Some(target) if definition.mode == PipelineMode::Overwrite => Self::replacing(stored, target),
            Some(target) => Self::fitting(&stored, target)?,
            None => Self::making(stored),
        };
        if definition.history.is_some() {
            shape.keep_history()?;
        }
        shape.partition_by = match target {
            Some(target) => partitioned(definition, target)?,
            None => all_spelled("partition_by", &definition.partition_by, &shape.after)?,
        };
        if definition.mode == PipelineMode::OverwritePartitions && shape.partition_by.is_empty() {
            let reason = "partitions are replaced of a table that has some: name the columns, or make the target anew";
            return Err(PipelineSettingsError::new("partition_by", reason).into());
        }
        let stored = if definition.history.is_some() { &shape.after } else { &shape.written };
        check_partition_columns(stored, &shape.partition_by)?;
        if let Some(target) = target {
            check_layout_stays(&target.layout, &shape.after)?;
        }
        shape.keys = all_spelled("keys", &definition.keys, &shape.written)?;
        Ok(shape)
    }

    fn making(stored: SchemaRef) -> Self {
        Self {
            from: (0..stored.fields().len()).collect(),
            written: Arc::clone(&stored),
            base: None,
            after: stored,
            partition_by: Vec::new(),
            layout: TableLayout::default(),
            keys: Vec::new(),
        }
    }

    fn replacing(stored: SchemaRef, target: &Description) -> Self {
        Self { base: Some(Arc::clone(&target.schema)), layout: target.layout.clone(), ..Self::making(stored) }
    }

    /// Columns of the target in its order and spelling, then those that are new.
    fn fitting(stored: &Schema, target: &Description) -> Result<Self, CurateError> {
        let (mut written, mut after, mut from) = (Vec::new(), Vec::new(), Vec::new());
        for column in target.schema.fields() {
            let found = stored.fields().iter().position(|field| field.name().eq_ignore_ascii_case(column.name()));
            let Some(at) = found else {
                after.push(Arc::clone(column));
                continue;
            };
            let wanted = joint_type(column, stored.field(at))?;
            let field = Arc::new(column.as_ref().clone().with_data_type(wanted));
            written.push(Arc::clone(&field));
            after.push(field);
            from.push(at);
        }
        for (at, column) in stored.fields().iter().enumerate() {
            if spelled(&target.schema, column.name()).is_none() {
                written.push(Arc::clone(column));
                after.push(Arc::clone(column));
                from.push(at);
            }
        }
        Ok(Self {
            written: Arc::new(Schema::new(written)),
            from,
            base: Some(Arc::clone(&target.schema)),
            after: Arc::new(Schema::new(after)),
            partition_by: Vec::new(),
            layout: target.layout.clone(),
            keys: Vec::new(),
        })
    }

    /// Have the target say of each row when it held: it says so already, or is to be made.
    fn keep_history(&mut self) -> Result<(), CurateError> {
        let own = history_columns();
        if let Some(taken) = own.iter().find(|column| spelled(&self.written, column.name()).is_some()) {
            let reason = "a merge of type 2 fills this column itself: name that of the result otherwise with AS";
            return Err(misfit("scd", taken.name(), reason));
        }
        let Some(base) = &self.base else {
            let all = self.after.fields().iter().map(|field| field.as_ref().clone()).chain(own);
            self.after = Arc::new(Schema::new(all.collect::<Vec<_>>()));
            return Ok(());
        };
        let lacks = |column: &Field| {
            !base.field_with_name(column.name()).is_ok_and(|field| field.data_type() == column.data_type())
        };
        match own.iter().find(|column| lacks(column)) {
            Some(column) => {
                let reason = format!("the target is there, and does not have it as {}", column.data_type());
                Err(misfit("scd", column.name(), reason))
            }
            None => Ok(()),
        }
    }

    /// Whether the target has columns that no row of a run brings.
    pub(crate) fn is_partial(&self) -> bool {
        self.after.fields().len() > self.written.fields().len()
    }

    /// Whether the target gets other columns.
    pub(crate) fn changes_columns(&self) -> bool {
        self.base.as_ref() != Some(&self.after)
    }

    /// Rows of the result as rows of the target.
    ///
    /// # Errors
    /// [`CurateError::Misfit`] for a value that the column does not hold.
    pub(crate) fn conform(&self, rows: &RecordBatch) -> Result<RecordBatch, CurateError> {
        const OPTIONS: CastOptions<'static> = CastOptions { safe: false, format_options: FormatOptions::new() };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.from.len());
        for (field, at) in self.written.fields().iter().zip(&self.from) {
            let column = rows.column(*at);
            columns.push(match column.data_type() == field.data_type() {
                true => Arc::clone(column),
                false => cast_with_options(column, field.data_type(), &OPTIONS)
                    .map_err(|error| misfit("target", field.name(), error.to_string()))?,
            });
        }
        let misfits = |error: arrow::error::ArrowError| misfit("target", "", error.to_string());
        RecordBatch::try_new(Arc::clone(&self.written), columns).map_err(misfits)
    }
}

fn misfit(place: &'static str, column: &str, reason: impl Into<String>) -> CurateError {
    CurateError::Misfit { place, column: column.to_owned(), reason: reason.into() }
}

/// The columns of a result in the types in which a table holds them.
fn stored_columns(result: &Schema) -> Result<SchemaRef, CurateError> {
    let mut names = BTreeSet::new();
    let mut fields = Vec::with_capacity(result.fields().len());
    for field in result.fields() {
        let bad = |reason: String| misfit("target", field.name(), reason);
        let _: ColumnName = field.name().parse().map_err(|error: sluice_domain::NameError| bad(error.to_string()))?;
        if !names.insert(field.name().to_lowercase()) {
            return Err(bad("the result has two of that name: name one of them otherwise with AS".to_owned()));
        }
        let stored = storable_type(field.data_type())
            .ok_or_else(|| bad(format!("a table cannot hold values of type {}: cast them", field.data_type())))?;
        fields.push(Field::new(field.name(), stored, true));
    }
    if fields.is_empty() {
        return Err(misfit("target", "", "the result has no columns"));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The type in which a column of the target holds its own values and those of the result.
fn joint_type(column: &Field, result: &Field) -> Result<DataType, CurateError> {
    let (has, gets) = (column.data_type(), result.data_type());
    if type_step(gets, has).is_some() {
        return Ok(has.clone());
    }
    match type_step(has, gets) {
        Some(TypeStep::Same | TypeStep::Added | TypeStep::Widened) => Ok(gets.clone()),
        None => {
            let reason = format!("the result has type {gets}, which does not fit the target's {has}: cast it");
            Err(misfit("target", column.name(), reason))
        }
    }
}

/// Columns of the result, as it spells them.
fn all_spelled(place: &'static str, asked: &[String], columns: &Schema) -> Result<Vec<String>, CurateError> {
    let found = |name: &String| {
        let field = spelled(columns, name).map(|field| field.name().clone());
        field.ok_or_else(|| misfit(place, name, "the result has no such column"))
    };
    asked.iter().map(found).collect()
}

/// What the target is partitioned by; a pipeline that says anything says the same.
fn partitioned(definition: &PipelineDefinition, target: &Description) -> Result<Vec<String>, CurateError> {
    let same = |(asked, has): (&String, &String)| asked.eq_ignore_ascii_case(has);
    let asked = &definition.partition_by;
    let agrees = asked.len() == target.partition_by.len() && asked.iter().zip(&target.partition_by).all(same);
    if asked.is_empty() || agrees {
        return Ok(target.partition_by.clone());
    }
    let column = asked.first().cloned().unwrap_or_default();
    let reason = format!("the target is there, and is partitioned by [{}]", target.partition_by.join(", "));
    Err(misfit("partition_by", &column, reason))
}

/// What the target computes or sorts by must be there afterwards, as it was.
fn check_layout_stays(layout: &TableLayout, after: &Schema) -> Result<(), CurateError> {
    if let Some(derived) = layout.derived.first() {
        return Err(misfit("target", &derived.name, "the target computes this column: a pipeline cannot fill it"));
    }
    let needed = layout.sort_by.iter().chain(&layout.bloom_filter);
    match needed.into_iter().find(|name| spelled(after, name).is_none()) {
        Some(lost) => Err(misfit("target", lost, "the target's layout names it, and the result does not have it")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;

//! How an upload is read for a table: first for the table's columns as they are; where it does not fit, for those that
//! the contract lets the table have.
//!
//! Invariant: of a file and the terms follow the columns that it is read in and what becomes of each, so that reading
//! it again gives the same rows.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use sluice_domain::{
    BadRowLimits, ChangeKind, ChangePolicy, Contract, Fraction, Prepared, RowRule, SchemaEffect, Suite, Terms,
    UploadEntry, WriteMode, WriteOptions,
};

use sluice_quality::References;

use super::{
    ContractBreach,
    brought::brought,
    reconcile::{FileColumns, Reconciled, TableColumns, reconcile},
};
use crate::{
    DecodeError, IngestError,
    columns::FieldIndex,
    formats::table_type,
    kinds::Kind,
    pipeline::{Pipeline, Shape},
    quality::{AskedSuite, Rules},
    write_mode::{made_columns, read_columns},
};

/// How the rows of one upload become rows of a table.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// The table as it is to be.
    pub(crate) shape: Shape,
    /// The columns that the file is read in: at the least those that are wanted.
    pub(crate) decoded: SchemaRef,
    /// The columns that the rows have afterwards: the table's, or those of them that a merge has.
    pub(crate) wanted: SchemaRef,
    /// Columns that are wanted and whose values in the file are left out.
    pub(crate) emptied: Vec<String>,
    /// What the table asks of its uploads.
    pub(crate) terms: Arc<Terms>,
    /// What it means for the schema; none where the file was not held against it.
    pub(crate) effect: Option<SchemaEffect>,
    /// Whether a row that does not fit asks for another look at the whole file.
    pub(crate) is_first_try: bool,
    /// What the suite of the table asks of other tables.
    pub(crate) references: Arc<References>,
}

impl Admission {
    /// The upload is read in the columns of the table, which stay.
    pub(crate) fn fixed(shape: &Shape, terms: Arc<Terms>) -> Self {
        let (decoded, wanted) = (Arc::clone(&shape.schema), Arc::clone(&shape.schema));
        let shape = shape.clone();
        let references = Arc::default();
        Self { shape, decoded, wanted, emptied: Vec::new(), terms, effect: None, is_first_try: false, references }
    }

    /// The upload is read in the columns of the table, to see whether it fits.
    pub(crate) fn first_try(shape: &Shape, terms: Arc<Terms>) -> Self {
        Self { is_first_try: true, ..Self::fixed(shape, terms) }
    }

    /// The upload has these columns: read it in those that the contract lets the table have.
    ///
    /// # Errors
    /// What the contract does not let happen.
    pub(crate) fn of_file(
        shape: &Shape,
        terms: Arc<Terms>,
        file: &SchemaRef,
        upload: &UploadEntry,
    ) -> Result<Self, ContractBreach> {
        let write = &upload.options.write;
        let brings = made_columns(Arc::clone(file), write);
        let guessed = upload.options.format.is_guessed();
        let held_against = |terms: &Terms, with_valueless: bool| {
            let table = TableColumns { schema: &shape.schema, partition_by: &shape.partition_by };
            let brought = Schema::new(brought(brings.fields(), Some(shape.schema.fields()), with_valueless));
            reconcile(&table, &FileColumns { schema: &brought, guessed }, terms)
        };
        let found = held_against(&terms, false)?;
        // The same with every column and field that the file brings, whatever becomes of it.
        let contract = Contract { columns: ChangePolicy::Evolve, ..terms.contract.clone() };
        let whole = held_against(&Terms { contract, coerce: terms.coerce, suite: None }, true)?.schema;
        let file = Schema::new(file.fields().iter().map(as_column).collect::<Vec<_>>());
        let shape = Shape { schema: Arc::clone(&found.schema), ..shape.clone() };
        let (decoded, wanted) = read_in(&shape, &whole, &file, &found.emptied, write);
        let effect = Some(effect_of(&found));
        let references = Arc::default();
        Ok(Self { shape, decoded, wanted, emptied: found.emptied, terms, effect, is_first_try: false, references })
    }

    /// The same with what is known of other tables.
    pub(crate) fn knowing(self, references: Arc<References>) -> Self {
        Self { references, ..self }
    }

    /// What the suite of the table is asked with of an upload; none where there is none.
    pub(crate) fn asked_suite(&self, entry: &UploadEntry) -> Option<AskedSuite> {
        let suite = self.terms.suite.clone()?;
        Some(AskedSuite {
            suite,
            // Of what landed then, so that reading it again gives the same rows.
            now: entry.landed.landed_at,
            references: Arc::clone(&self.references),
            is_partial: entry.options.write.mode == WriteMode::Merge,
        })
    }

    /// Whether the table has to change before it can take the rows.
    pub(crate) fn changes_table(&self) -> bool {
        self.effect.as_ref().is_some_and(|effect| !effect.changes.is_empty())
    }

    /// Whether columns only come to the table, and none that is there gets another type.
    pub(crate) fn only_adds(&self) -> bool {
        let is_added = |kind: &ChangeKind| matches!(kind, ChangeKind::Added { .. });
        self.effect.as_ref().is_some_and(|effect| effect.changes.iter().all(|change| is_added(&change.kind)))
    }

    /// Whether this misfit of a row says that the whole file has to be held against the schema.
    pub(crate) fn asks_for_another(&self, error: &DecodeError) -> bool {
        let types = self.terms.contract.types;
        let stays = |policy: ChangePolicy| matches!(policy, ChangePolicy::Evolve | ChangePolicy::QuarantineRows);
        self.is_first_try
            && match error {
                DecodeError::UnknownColumn { .. } => true,
                DecodeError::Mismatch { row: None, .. } => true,
                // No type but text holds it, and no column becomes text.
                DecodeError::Mismatch { value, .. } if stays(types) => {
                    types == ChangePolicy::Evolve && !matches!(Kind::of_text(value), Kind::Text | Kind::Boolean)
                }
                DecodeError::Mismatch { .. } => true,
                DecodeError::Member { error, .. } => self.asks_for_another(error),
                _ => false,
            }
    }

    /// The rules of the contract for the rows. Of a merge, those about columns that it does not bring are not asked;
    /// its rows must have their keys.
    ///
    /// # Errors
    /// A rule that cannot be asked of its column's type any more.
    pub(crate) fn rules(&self, write: &WriteOptions) -> Result<Rules, ContractBreach> {
        let index = FieldIndex::of(self.wanted.fields().iter().map(|field| field.name()));
        let all = self.terms.contract.rules.iter();
        let asked = all.filter(|rule| write.mode != WriteMode::Merge || index.find(rule.column.as_str()).is_some());
        let mut asked: Vec<RowRule> = asked.cloned().collect();
        if write.mode == WriteMode::Merge {
            let known = write.merge.keys.iter().filter(|key| index.find(key).is_some());
            asked.extend(known.filter_map(|key| RowRule::of_key(key)));
        }
        Ok(Rules::new(&asked, &self.wanted)?)
    }

    /// How many bad rows there may be: no more than the upload says, and no more than the contract does.
    pub(crate) fn limits(&self, of_upload: BadRowLimits) -> BadRowLimits {
        let Contract { max_bad_rows, max_bad_fraction, .. } = self.terms.contract;
        let fraction = max_bad_fraction.and_then(Fraction::new);
        BadRowLimits {
            max_rows: of_upload.max_rows.into_iter().chain(max_bad_rows).min(),
            max_fraction: of_upload.max_fraction.into_iter().chain(fraction).min(),
        }
    }

    /// What is written down of an upload beside its rows.
    pub(crate) fn noted(&self, prepared: Prepared) -> Prepared {
        // Rules that decide about single rows decide again alike; what all rows were together is judged once.
        let suite = self.terms.suite.as_ref().map(Suite::setting_aside).filter(|suite| !suite.rules.is_empty());
        let terms = Terms { suite, ..self.terms.as_ref().clone() };
        let terms = (terms != Terms::default()).then_some(terms);
        Prepared { effect: self.effect.clone(), terms, ..prepared }
    }

    /// Whether rows with a value in a column that the table does not get are bad.
    pub(crate) fn quarantines_columns(&self) -> bool {
        self.terms.contract.columns == ChangePolicy::QuarantineRows
    }
}

impl Pipeline {
    /// How the whole file becomes rows of a table.
    pub(crate) async fn admit(
        &self,
        entry: &UploadEntry,
        shape: &Shape,
        terms: Arc<Terms>,
    ) -> Result<Admission, IngestError> {
        let found = self.inferred(entry).await?;
        Ok(Admission::of_file(shape, terms, &found.schema, entry)?)
    }

    /// How an upload that was committed became rows of the table that it left behind.
    pub(crate) async fn admit_again(&self, entry: &UploadEntry, shape: &Shape) -> Result<Admission, IngestError> {
        let prepared = entry.prepared.clone().unwrap_or_default();
        let terms = Arc::new(prepared.terms.unwrap_or_default());
        if prepared.effect.is_some() || entry.options.write.mode == WriteMode::Merge {
            return self.admit(entry, shape, terms).await;
        }
        Ok(Admission::fixed(shape, terms))
    }
}

/// A column of the file as a table has it.
fn as_column(field: &FieldRef) -> Field {
    field.as_ref().clone().with_data_type(table_type(field.data_type()))
}

/// The columns that a file is read in, and those that its rows have then.
fn read_in(
    shape: &Shape,
    whole: &SchemaRef,
    file: &Schema,
    emptied: &[String],
    write: &WriteOptions,
) -> (SchemaRef, SchemaRef) {
    let index = FieldIndex::of(file.fields().iter().map(|field| field.name()));
    // What is left out is read as the file has it, so that nothing of it is found wrong.
    let is_emptied = |field: &FieldRef| emptied.contains(field.name());
    let as_found = |field: &FieldRef| match index.find(field.name()).filter(|_| is_emptied(field)) {
        Some(at) => {
            Arc::new(field.as_ref().clone().with_data_type(file.field(at).data_type().clone()).with_nullable(true))
        }
        None => Arc::clone(field),
    };
    if write.mode != WriteMode::Merge {
        let decoded = Schema::new(whole.fields().iter().map(as_found).collect::<Vec<_>>());
        return (Arc::new(decoded), Arc::clone(&shape.schema));
    }
    // A merge leaves the values alone of columns that it does not bring.
    let left_out: HashSet<usize> = emptied.iter().filter_map(|name| index.find(name)).collect();
    let found = (0..file.fields().len()).filter(|at| !left_out.contains(at)).map(|at| Arc::clone(&file.fields()[at]));
    let found = Schema::new(found.collect::<Vec<_>>());
    let wanted = read_columns(&found, shape, write);
    let whole = Shape { schema: Arc::clone(whole), ..shape.clone() };
    let mut decoded = read_columns(&found, &whole, write).fields().to_vec();
    decoded.extend(whole.schema.fields().iter().filter(|field| is_emptied(field)).map(as_found));
    (Arc::new(Schema::new(decoded)), wanted)
}

fn effect_of(found: &Reconciled) -> SchemaEffect {
    SchemaEffect {
        changes: found.changes.clone(),
        discarded: found.discarded.clone(),
        quarantined: found.quarantined.clone(),
        missing: found.missing.clone(),
        possible_renames: found.possible_renames.clone(),
    }
}

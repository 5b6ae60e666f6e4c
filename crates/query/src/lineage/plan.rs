//! The relations of a plan, from the tables up.

use std::{
    collections::{BTreeMap, HashMap},
    slice,
};

use datafusion::{
    common::{DFSchema, DFSchemaRef, JoinType, TableReference, plan_err},
    error::Result,
    logical_expr::{
        Aggregate, Distinct, DistinctOn, Expr, Join, LogicalPlan, RecursiveQuery, SortExpr, TableScan, Unnest, Window,
        expr::GroupingSet,
    },
};
use sluice_domain::{TableRef, lineage::Influence};

use super::relation::{Inputs, Origins, Relation};

/// How often a recursive query is gone through for each of its columns: every time, an input can get one column
/// further, in one of three ways.
const PASSES_PER_COLUMN: usize = 3;

/// Goes through a plan.
pub(super) struct Tracer<'a> {
    tables: &'a BTreeMap<TableReference, TableRef>,
    inputs: Inputs,
    /// What recursive queries are known to come from so far.
    recursive: HashMap<String, Relation>,
    /// The relations around a subquery, the nearest last.
    outer: Vec<(DFSchemaRef, Relation)>,
}

impl<'a> Tracer<'a> {
    pub(super) fn over(tables: &'a BTreeMap<TableReference, TableRef>) -> Self {
        Self { tables, inputs: Inputs::default(), recursive: HashMap::new(), outer: Vec::new() }
    }

    pub(super) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What the columns of a plan's rows come from.
    pub(super) fn plan(&mut self, plan: &LogicalPlan) -> Result<Relation> {
        let relation = match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Projection(projection) => self.projected(&projection.expr, &projection.input),
            LogicalPlan::Filter(filter) => self.filtered(slice::from_ref(&filter.predicate), &filter.input),
            LogicalPlan::Sort(sort) => self.sorted(&sort.expr, &sort.input),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(&union.inputs.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            LogicalPlan::Distinct(Distinct::On(distinct)) => self.distinct_on(distinct),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::RecursiveQuery(query) => self.recursive(query),
            LogicalPlan::Subquery(subquery) => self.plan(&subquery.subquery),
            LogicalPlan::SubqueryAlias(alias) => self.plan(&alias.input),
            LogicalPlan::Limit(limit) => self.plan(&limit.input),
            LogicalPlan::Repartition(repartition) => self.plan(&repartition.input),
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {
                Ok(Relation::of_nothing(plan.schema().fields().len()))
            }
            other => plan_err!("the lineage of {} cannot be told", first_word(other)),
        }?;
        relation.bounded()
    }

    /// What a subquery comes from that may refer to the rows around it.
    pub(super) fn within(&mut self, schema: &DFSchemaRef, around: &Relation, plan: &LogicalPlan) -> Result<Relation> {
        self.outer.push((DFSchemaRef::clone(schema), around.clone()));
        let relation = self.plan(plan);
        self.outer.pop();
        relation
    }

    /// A column of the rows around a subquery.
    pub(super) fn outer_column(&self, column: &datafusion::common::Column) -> Result<Origins> {
        let found = self
            .outer
            .iter()
            .rev()
            .find_map(|(schema, relation)| relation.columns.get(schema.maybe_index_of_column(column)?).cloned());
        found.map_or_else(|| plan_err!("{column} is not known around its subquery"), Ok)
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Relation> {
        let fields = scan.projected_schema.fields();
        if let Some(view) = scan.source.get_logical_plan() {
            let whole = self.plan(&view)?;
            let kept =
                scan.projection.as_ref().map(|kept| kept.iter().filter_map(|at| whole.columns.get(*at).cloned()));
            return Ok(match kept {
                Some(columns) => Relation { columns: columns.collect(), influences: whole.influences },
                None => whole,
            });
        }
        if let Some(known) =
            self.recursive.get(scan.table_name.table()).filter(|_| scan.table_name.schema().is_none_or(str::is_empty))
        {
            return Ok(known.clone());
        }
        let Some(table) = self.table(&scan.table_name) else { return Ok(Relation::of_nothing(fields.len())) };
        let columns = fields.iter().map(|field| Origins::identity(self.inputs.id(&table, field.name()))).collect();
        Ok(Relation { columns, ..Relation::default() })
    }

    /// The table that a name means; none for what a function makes up.
    fn table(&self, name: &TableReference) -> Option<TableRef> {
        let table = TableRef::parse(name.schema()?, name.table()).ok()?;
        self.tables.values().any(|known| *known == table).then_some(table)
    }

    fn projected(&mut self, expressions: &[Expr], input: &LogicalPlan) -> Result<Relation> {
        let relation = self.plan(input)?;
        let columns = self.columns(expressions, input.schema(), &relation)?;
        Ok(Relation { columns, influences: relation.influences })
    }

    fn columns(&mut self, expressions: &[Expr], schema: &DFSchemaRef, input: &Relation) -> Result<Vec<Origins>> {
        expressions.iter().map(|expression| self.expression(expression, schema, input)).collect()
    }

    /// Let expressions over a relation decide about its rows.
    fn decide(
        &mut self,
        relation: &mut Relation,
        schema: &DFSchemaRef,
        expressions: &[Expr],
        influence: Influence,
    ) -> Result<()> {
        for column in self.columns(expressions, schema, relation)? {
            relation.depend(&column, influence);
        }
        Ok(())
    }

    fn filtered(&mut self, predicates: &[Expr], input: &LogicalPlan) -> Result<Relation> {
        let mut relation = self.plan(input)?;
        self.decide(&mut relation, input.schema(), predicates, Influence::Filter)?;
        Ok(relation)
    }

    fn sorted(&mut self, order: &[SortExpr], input: &LogicalPlan) -> Result<Relation> {
        let mut relation = self.plan(input)?;
        self.decide(&mut relation, input.schema(), &expressions_of(order), Influence::Sort)?;
        Ok(relation)
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Relation> {
        let (mut relation, schema) = (self.plan(&aggregate.input)?, aggregate.input.schema());
        let groups: Vec<Expr> = match aggregate.group_expr.as_slice() {
            [Expr::GroupingSet(set)] => distinct_expressions(set),
            groups => groups.to_vec(),
        };
        let mut columns = self.columns(&groups, schema, &relation)?;
        let aggregates = self.columns(&aggregate.aggr_expr, schema, &relation)?;
        columns.iter().for_each(|group| relation.depend(group, Influence::GroupBy));
        // Grouping sets have a column of their own, which says which set a row is of.
        let of_groups = aggregate.schema.fields().len().saturating_sub(aggregates.len());
        columns.resize(of_groups, Origins::default());
        columns.extend(aggregates);
        Ok(Relation { columns, influences: relation.influences })
    }

    fn window(&mut self, window: &Window) -> Result<Relation> {
        let mut relation = self.plan(&window.input)?;
        let columns = self.columns(&window.window_expr, window.input.schema(), &relation)?;
        relation.columns.extend(columns);
        Ok(relation)
    }

    fn join(&mut self, join: &Join) -> Result<Relation> {
        let left = self.plan(&join.left)?;
        let left_columns = left.columns.len();
        let right = self.within(join.left.schema(), &left, &join.right)?;
        let mut relation = left.beside(right);
        let schema = DFSchemaRef::new(whole_schema(join)?);
        let keys: Vec<Expr> = join.on.iter().flat_map(|(left, right)| [left.clone(), right.clone()]).collect();
        self.decide(&mut relation, &schema, &keys, Influence::Join)?;
        self.decide(&mut relation, &schema, join.filter.as_slice(), Influence::Join)?;
        match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {}
            JoinType::LeftSemi | JoinType::LeftAnti => relation.columns.truncate(left_columns),
            JoinType::RightSemi | JoinType::RightAnti => drop(relation.columns.drain(..left_columns)),
            JoinType::LeftMark => {
                relation.columns.truncate(left_columns);
                relation.columns.push(Origins::default());
            }
            JoinType::RightMark => {
                relation.columns.drain(..left_columns);
                relation.columns.push(Origins::default());
            }
        }
        Ok(relation)
    }

    fn union(&mut self, inputs: &[&LogicalPlan]) -> Result<Relation> {
        let mut relations = inputs.iter().map(|input| self.plan(input)).collect::<Result<Vec<_>>>()?.into_iter();
        let first = relations.next().unwrap_or_default();
        Ok(relations.fold(first, |united, other| united.united(&other)))
    }

    fn distinct(&mut self, input: &LogicalPlan) -> Result<Relation> {
        let mut relation = self.plan(input)?;
        for column in relation.columns.clone() {
            relation.depend(&column, Influence::GroupBy);
        }
        Ok(relation)
    }

    fn distinct_on(&mut self, distinct: &DistinctOn) -> Result<Relation> {
        let (mut relation, schema) = (self.plan(&distinct.input)?, distinct.input.schema());
        let columns = self.columns(&distinct.select_expr, schema, &relation)?;
        self.decide(&mut relation, schema, &distinct.on_expr, Influence::GroupBy)?;
        let order = expressions_of(distinct.sort_expr.as_deref().unwrap_or_default());
        self.decide(&mut relation, schema, &order, Influence::Sort)?;
        Ok(Relation { columns, influences: relation.influences })
    }

    fn unnest(&mut self, unnest: &Unnest) -> Result<Relation> {
        let relation = self.plan(&unnest.input)?;
        let is_taken_apart = |at: usize| {
            unnest.list_type_columns.iter().any(|(list, _)| *list == at) || unnest.struct_type_columns.contains(&at)
        };
        let columns = unnest.dependency_indices.iter().map(|at| {
            let mut column = Origins::default();
            let influence = if is_taken_apart(*at) { Influence::Transformation } else { Influence::Identity };
            if let Some(input) = relation.columns.get(*at) {
                column.absorb(input, influence);
            }
            column
        });
        Ok(Relation { columns: columns.collect(), influences: relation.influences })
    }

    fn recursive(&mut self, query: &RecursiveQuery) -> Result<Relation> {
        let mut known = self.plan(&query.static_term)?;
        let around = self.recursive.remove(&query.name);
        for _ in 0..=PASSES_PER_COLUMN * known.columns.len() {
            self.recursive.insert(query.name.clone(), known.clone());
            let next = known.clone().united(&self.plan(&query.recursive_term)?);
            if next == known {
                break;
            }
            known = next;
        }
        self.recursive.remove(&query.name);
        self.recursive.extend(around.map(|around| (query.name.clone(), around)));
        Ok(known)
    }
}

fn whole_schema(join: &Join) -> Result<DFSchema> {
    // That of the result lacks the columns that a join of some kinds leaves out, which its conditions name.
    join.left.schema().join(join.right.schema())
}

fn expressions_of(order: &[SortExpr]) -> Vec<Expr> {
    order.iter().map(|sort| sort.expr.clone()).collect()
}

fn distinct_expressions(set: &GroupingSet) -> Vec<Expr> {
    set.distinct_expr().into_iter().cloned().collect()
}

fn first_word(plan: &LogicalPlan) -> String {
    let text = plan.display().to_string();
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

//! What the value of an expression comes from.

use datafusion::{
    common::{
        DFSchemaRef, plan_err,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    error::Result,
    logical_expr::{
        Case, Expr, Subquery, WindowFunctionDefinition,
        expr::{AggregateFunctionParams, WindowFunction},
    },
};
use sluice_domain::lineage::Influence;

use super::{
    plan::Tracer,
    relation::{Origins, Relation},
};

impl Tracer<'_> {
    /// What an expression over the rows of a relation comes from.
    pub(super) fn expression(&mut self, expression: &Expr, schema: &DFSchemaRef, input: &Relation) -> Result<Origins> {
        match expression {
            Expr::Column(column) => {
                let found = schema.maybe_index_of_column(column).and_then(|at| input.columns.get(at));
                found.map_or_else(|| plan_err!("{column} is not known"), |found| Ok(found.clone()))
            }
            Expr::OuterReferenceColumn(_, column) => self.outer_column(column),
            Expr::Alias(alias) => self.expression(&alias.expr, schema, input),
            Expr::Case(case) => self.case(case, schema, input),
            Expr::AggregateFunction(function) => self.aggregated(&function.params, schema, input),
            Expr::WindowFunction(function) => self.windowed(function, schema, input),
            Expr::ScalarSubquery(subquery) => self.scalar(subquery, schema, input),
            Expr::Exists(exists) => {
                let found = self.within(schema, input, &exists.subquery.subquery)?;
                Ok(Origins { indirect: found.influences, ..Origins::default() })
            }
            Expr::InSubquery(membership) => self.compared(&membership.expr, &membership.subquery, schema, input),
            Expr::SetComparison(comparison) => self.compared(&comparison.expr, &comparison.subquery, schema, input),
            other => self.computed(other, schema, input),
        }
    }

    /// A value computed from those of the expression's parts.
    fn computed(&mut self, expression: &Expr, schema: &DFSchemaRef, input: &Relation) -> Result<Origins> {
        let mut column = Origins::default();
        expression.apply_children(|part| {
            column.absorb(&self.expression(part, schema, input)?, Influence::Transformation);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(column)
    }

    fn case(&mut self, case: &Case, schema: &DFSchemaRef, input: &Relation) -> Result<Origins> {
        let mut column = Origins::default();
        let conditions = case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when));
        for condition in conditions {
            column.depend(&self.expression(condition, schema, input)?, Influence::Conditional);
        }
        for value in case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr) {
            column.absorb(&self.expression(value, schema, input)?, Influence::Transformation);
        }
        Ok(column)
    }

    fn aggregated(
        &mut self,
        params: &AggregateFunctionParams,
        schema: &DFSchemaRef,
        input: &Relation,
    ) -> Result<Origins> {
        let mut column = Origins::default();
        for argument in &params.args {
            column.absorb(&self.expression(argument, schema, input)?, Influence::Aggregation);
        }
        if let Some(filter) = &params.filter {
            column.depend(&self.expression(filter, schema, input)?, Influence::Filter);
        }
        for order in &params.order_by {
            column.depend(&self.expression(&order.expr, schema, input)?, Influence::Sort);
        }
        Ok(column)
    }

    fn windowed(&mut self, function: &WindowFunction, schema: &DFSchemaRef, input: &Relation) -> Result<Origins> {
        let mut column = Origins::default();
        let (params, at_least) = match &function.fun {
            WindowFunctionDefinition::AggregateUDF(_) => (&function.params, Influence::Aggregation),
            WindowFunctionDefinition::WindowUDF(_) => (&function.params, Influence::Transformation),
        };
        for argument in &params.args {
            column.absorb(&self.expression(argument, schema, input)?, at_least);
        }
        for part in params.partition_by.iter().chain(params.order_by.iter().map(|order| &order.expr)) {
            column.depend(&self.expression(part, schema, input)?, Influence::Window);
        }
        if let Some(filter) = &params.filter {
            column.depend(&self.expression(filter, schema, input)?, Influence::Filter);
        }
        Ok(column)
    }

    /// The one value of a subquery, and what decides which it is.
    fn scalar(&mut self, subquery: &Subquery, schema: &DFSchemaRef, input: &Relation) -> Result<Origins> {
        let Relation { columns, influences } = self.within(schema, input, &subquery.subquery)?;
        let mut column = columns.into_iter().next().unwrap_or_default();
        column.indirect.extend(influences);
        Ok(column)
    }

    /// The answer to how a value compares to those of a subquery.
    fn compared(
        &mut self,
        value: &Expr,
        subquery: &Subquery,
        schema: &DFSchemaRef,
        input: &Relation,
    ) -> Result<Origins> {
        let mut column = Origins::default();
        column.absorb(&self.expression(value, schema, input)?, Influence::Transformation);
        column.absorb(&self.scalar(subquery, schema, input)?, Influence::Transformation);
        Ok(column)
    }
}

//! The SQL that is read here: the generic dialect's queries, and `VERSION AS OF`.

use std::any::TypeId;

use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};

/// The dialect; to the parser's questions after its kind it is the generic one.
#[derive(Debug)]
pub(crate) struct LakeDialect;

macro_rules! with {
    ($($feature:ident)*) => {
        $(fn $feature(&self) -> bool {
            true
        })*
    };
}

impl Dialect for LakeDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_identifier_start(&self, character: char) -> bool {
        GenericDialect {}.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        GenericDialect {}.is_identifier_part(character)
    }

    with! {
        supports_table_versioning
        supports_unicode_string_literal
        supports_string_escape_constant
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_window_clause_named_window_reference
        supports_window_function_null_treatment_arg
        supports_filter_during_aggregation
        supports_select_wildcard_except
        supports_select_wildcard_exclude
        supports_select_wildcard_replace
        supports_select_wildcard_rename
        supports_left_associative_joins_without_parens
        supports_parens_around_table_factor
        supports_values_as_table_factor
        supports_dictionary_syntax
        support_map_literal_syntax
        supports_struct_literal
        supports_array_typedef_with_brackets
        supports_bitwise_shift_operators
        supports_interval_options
        supports_limit_comma
        supports_nested_comments
        allow_extract_custom
        allow_extract_single_quotes
        supports_projection_trailing_commas
    }
}

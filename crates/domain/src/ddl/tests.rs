use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::*;

fn sales() -> Schema {
    let whole = |name: &str| Field::new(name, DataType::Int64, true);
    Schema::new(vec![
        whole("sale_id"),
        whole("customer_id"),
        Field::new("amount", DataType::Float64, true),
        Field::new("date", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        whole("year"),
        whole("month"),
        whole("day"),
    ])
}

fn statement(schema: &Schema, format: TableFormat, partitions: &[&str], dialect: Dialect) -> Result<String, DdlError> {
    let partition_by: Vec<String> = partitions.iter().map(|name| (*name).to_owned()).collect();
    DdlTable {
        name: &"shop.sales".parse().unwrap(),
        format,
        schema,
        partition_by: &partition_by,
        location: "s3://my-data-lake-bucket/data-lake/sales",
        if_not_exists: false,
    }
    .statement(dialect)
}

/// The text of the source documents' generator for their own example, without the indentation of its program.
const ATHENA: &str = "CREATE EXTERNAL TABLE `sales` (
  `sale_id` bigint,
  `customer_id` bigint,
  `amount` double,
  `date` timestamp
)
PARTITIONED BY (
  `year` bigint,
  `month` bigint,
  `day` bigint
)
STORED AS PARQUET
LOCATION 's3://my-data-lake-bucket/data-lake/sales/'
TBLPROPERTIES ('has_encrypted_data'='false');
";

#[test]
fn athena_is_told_of_a_parquet_table_in_the_known_words() {
    let text = statement(&sales(), TableFormat::Parquet, &["year", "month", "day"], Dialect::Athena);
    assert_eq!(text.unwrap(), ATHENA);
}

#[test]
fn the_types_are_those_of_the_map() {
    let types = [
        (DataType::Utf8, "string"),
        (DataType::Int64, "bigint"),
        (DataType::Int32, "int"),
        (DataType::Float64, "double"),
        (DataType::Float32, "float"),
        (DataType::Boolean, "boolean"),
        (DataType::Timestamp(TimeUnit::Nanosecond, None), "timestamp"),
        (DataType::Date32, "date"),
        (DataType::Decimal128(10, 2), "decimal(10,2)"),
        (DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))), "array<string>"),
        (
            DataType::Struct(
                vec![Field::new("a b", DataType::Int32, true), Field::new("c", DataType::Utf8, true)].into(),
            ),
            "struct<`a b`:int,c:string>",
        ),
    ];
    for (data_type, name) in types {
        assert_eq!(hive::type_name(&data_type).as_deref(), Some(name));
    }
    let odd = Schema::new(vec![Field::new("d", DataType::Duration(TimeUnit::Second), true)]);
    let error = statement(&odd, TableFormat::Parquet, &[], Dialect::Hive).unwrap_err();
    assert_eq!(error.to_string(), "column d: hive has no type for Duration(s)");
}

#[test]
fn a_delta_table_is_read_through_its_log() {
    let text = |dialect| statement(&sales(), TableFormat::Delta, &["year"], dialect).unwrap();
    assert_eq!(
        text(Dialect::Athena),
        "CREATE EXTERNAL TABLE `sales`\nLOCATION 's3://my-data-lake-bucket/data-lake/sales/'\n\
         TBLPROPERTIES ('table_type'='DELTA');\n"
    );
    assert_eq!(
        text(Dialect::Spark),
        "CREATE TABLE `shop`.`sales`\nUSING DELTA\nLOCATION 's3a://my-data-lake-bucket/data-lake/sales';\n"
    );
    assert!(text(Dialect::DuckDb).contains("FROM delta_scan('s3://my-data-lake-bucket/data-lake/sales')"));
    assert!(text(Dialect::Hive).contains("STORED BY 'io.delta.hive.DeltaStorageHandler'"));
}

#[test]
fn partitions_have_the_order_of_the_table() {
    let text = statement(&sales(), TableFormat::Parquet, &["day", "year"], Dialect::Spark).unwrap();
    assert!(text.contains("USING PARQUET\nPARTITIONED BY (`day`, `year`)\n"), "{text}");
    let text = statement(&sales(), TableFormat::Parquet, &["day"], Dialect::DuckDb).unwrap();
    assert!(text.contains("hive_partitioning = true, hive_types = {'day': BIGINT}"), "{text}");
}

#[test]
fn no_name_breaks_out_of_its_quotes() {
    let schema = Schema::new(vec![Field::new("a` string) --", DataType::Utf8, true)]);
    let text = statement(&schema, TableFormat::Parquet, &[], Dialect::Athena).unwrap();
    assert!(text.contains("  `a`` string) --` string\n"), "{text}");
    let comment = [("comment".to_owned(), "it's \\ here".to_owned())].into();
    let schema = Schema::new(vec![Field::new("a", DataType::Utf8, true).with_metadata(comment)]);
    let text = statement(&schema, TableFormat::Parquet, &[], Dialect::Hive).unwrap();
    assert!(text.contains(r"COMMENT 'it\'s \\ here'"), "{text}");
    assert_eq!(
        "oracle".parse::<Dialect>().unwrap_err().to_string(),
        "\"oracle\" is not one of athena, hive, spark, duckdb"
    );
}

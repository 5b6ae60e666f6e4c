use futures::{StreamExt as _, stream};

use super::*;

fn body(media_type: Option<&str>, file_name: Option<&str>, encoding: Option<&str>) -> UploadBody {
    UploadBody {
        media_type: media_type.map(str::to_owned),
        file_name: file_name.map(str::to_owned),
        encoding: encoding.map(str::to_owned),
        bytes: stream::empty().boxed(),
    }
}

#[test]
fn the_parameter_wins_over_the_header_and_the_header_over_the_name() {
    let csv_named_json = body(Some("text/csv"), Some("a.json.gz"), None);
    let options = UploadParams::default().options(&csv_named_json).unwrap();
    assert_eq!((options.format, options.compression), (Format::Csv, Compression::Gzip));
    let params = UploadParams { format: Some("parquet".into()), ..UploadParams::default() };
    assert_eq!(params.options(&csv_named_json).unwrap().format, Format::Parquet);
}

#[test]
fn what_is_not_known_is_refused() {
    let params = UploadParams::default();
    assert!(params.options(&body(None, None, None)).is_err());
    assert!(params.options(&body(Some("application/x-www-form-urlencoded"), None, None)).is_err());
    assert!(params.options(&body(Some("text/csv"), None, Some("br"))).is_err());
    assert!(params.options(&body(Some("text/csv; charset=klingon"), None, None)).is_err());
    let params = UploadParams { delimiter: Some("ab".into()), ..UploadParams::default() };
    assert!(params.options(&body(Some("text/csv"), None, None)).is_err());
}

#[test]
fn a_tsv_is_split_at_tabs() {
    let options = UploadParams::default().options(&body(None, Some("x.TSV.gz"), None)).unwrap();
    assert_eq!(options.csv.delimiter, b'\t');
}

#[test]
fn a_type_that_nobody_knows_is_named() {
    let detail = |media_type, file_name| {
        let problem = UploadParams::default().options(&body(media_type, file_name, None)).unwrap_err();
        serde_json::to_value(&problem).unwrap()["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail(None, Some("a/b.xyz")).contains("\".xyz\""));
    assert!(detail(Some("application/octet-stream"), Some("b.xyz")).contains("\".xyz\""));
    assert!(detail(Some("image/png"), None).contains("\"image/png\""));
}

#[test]
fn what_the_sender_does_not_say_is_left_open() {
    let options = UploadParams::default().options(&body(Some("text/csv"), None, None)).unwrap();
    assert_eq!(options.csv.open, OpenDialect { delimiter: true, quote: true, header: true });
    let options = UploadParams::default().options(&body(None, Some("x.tsv"), None)).unwrap();
    assert!(!options.csv.open.delimiter);
    let params = UploadParams { header: Some(true), quote: Some("none".into()), ..UploadParams::default() };
    let options = params.options(&body(Some("text/csv"), None, None)).unwrap();
    assert_eq!(options.csv.open, OpenDialect { delimiter: true, quote: false, header: false });
}

#[test]
fn an_archive_is_known_by_type_name_and_parameter() {
    let by_type = body(Some("application/zip"), None, None);
    let by_name = body(None, Some("x.zip"), None);
    for archive in [&by_type, &by_name] {
        let options = UploadParams::default().options(archive).unwrap();
        assert_eq!((options.format, options.member_format), (Format::Zip, None));
        let params = UploadParams { format: Some("ndjson".into()), ..UploadParams::default() };
        let options = params.options(archive).unwrap();
        assert_eq!((options.format, options.member_format), (Format::Zip, Some(Format::Ndjson)));
    }
    let params = UploadParams { compression: Some("zip".into()), ..UploadParams::default() };
    let options = params.options(&body(Some("text/csv"), None, None)).unwrap();
    assert_eq!((options.format, options.member_format), (Format::Zip, Some(Format::Csv)));
}

#[test]
fn charset_and_compression_come_from_the_parameter_first() {
    let params =
        UploadParams { charset: Some("utf-16".into()), compression: Some("none".into()), ..UploadParams::default() };
    let options = params.options(&body(Some("text/csv; charset=latin1"), Some("x.csv.xz"), None)).unwrap();
    assert_eq!((options.charset, options.compression), (Some(Charset::Utf16), Compression::Identity));
    let options = UploadParams::default().options(&body(Some("text/csv; charset=latin1"), Some("x.xz"), None)).unwrap();
    assert_eq!((options.charset, options.compression), (Some(Charset::Windows1252), Compression::Xz));
}

#[test]
fn options_that_contradict_are_refused() {
    let csv = body(Some("text/csv"), None, None);
    let refused = [
        UploadParams { record_path: Some("/a".into()), ..UploadParams::default() },
        UploadParams { flatten_separator: Some("_".into()), ..UploadParams::default() },
        UploadParams { flatten: Some(true), flatten_separator: Some(String::new()), ..UploadParams::default() },
        UploadParams { decimal: Some(";".into()), ..UploadParams::default() },
    ];
    for params in refused {
        assert!(params.options(&csv).is_err(), "{params:?}");
    }
}

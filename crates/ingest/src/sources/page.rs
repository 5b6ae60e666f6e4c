//! One page of an API: its records as lines of JSON, and the way to the next page.
//!
//! Invariant: a record's text is the one that came in, but for line ends between its tokens.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserializer as _,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use sluice_domain::RecordPath;

use super::watermark::is_later;

/// How pages are read.
#[derive(Debug, Clone, Default)]
pub(super) struct PageRules {
    /// Where the records are; none where the page is the array of them.
    pub(super) records: Option<RecordPath>,
    /// Where the way to the next page is, if it is in the page.
    pub(super) next: Option<RecordPath>,
    /// The field whose greatest value is wanted.
    pub(super) watermark: Option<String>,
}

/// What a page holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PageContent {
    /// The records, one a line.
    pub(super) lines: Vec<u8>,
    /// How many they are.
    pub(super) records: u64,
    /// What leads to the next page.
    pub(super) next: Option<String>,
    /// The greatest value of the watermark field.
    pub(super) watermark: Option<String>,
}

/// Read a page; the error says what is wrong with it.
pub(super) fn read_page(rules: &PageRules, body: &[u8]) -> Result<PageContent, String> {
    let page: &RawValue = serde_json::from_slice(body).map_err(|error| format!("it is not JSON: {error}"))?;
    let mut content = PageContent::default();
    each_record(page, rules.records.as_ref(), |record| content.take(record, rules.watermark.as_deref()))?;
    content.next = rules.next.as_ref().and_then(|path| text_of(find(page, path)));
    Ok(content)
}

impl PageContent {
    fn take(&mut self, record: &RawValue, watermark: Option<&str>) {
        self.lines.extend(record.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        self.lines.push(b'\n');
        self.records += 1;
        let value = watermark.and_then(|field| text_of(fields(record)?.get(field).copied()));
        if let Some(value) = value
            && self.watermark.as_ref().is_none_or(|greatest| is_later(&value, greatest))
        {
            self.watermark = Some(value);
        }
    }
}

/// Hands out the items of an array one by one: a list of them would be many times as long as the page.
struct Items<F>(F);

impl<'p, F: FnMut(&'p RawValue)> Visitor<'p> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'p>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
}

fn each_record<'p>(
    page: &'p RawValue,
    path: Option<&RecordPath>,
    mut take: impl FnMut(&'p RawValue),
) -> Result<(), String> {
    let found = match path {
        Some(path) => find(page, path).ok_or_else(|| format!("there is nothing at /{}", path.0.join("/")))?,
        None => page,
    };
    match (found.get().as_bytes().first(), path) {
        (Some(b'['), _) => {
            serde_json::Deserializer::from_str(found.get()).deserialize_seq(Items(take)).map_err(|e| e.to_string())
        }
        (Some(b'{'), Some(_)) => {
            take(found);
            Ok(())
        }
        (Some(b'n'), Some(_)) => Ok(()),
        (Some(b'{'), None) => Err("it is an object: say with record_path where its records are".to_owned()),
        _ => Err("where its records should be is neither an array nor an object".to_owned()),
    }
}

/// What lies at the end of this way.
fn find<'p>(page: &'p RawValue, path: &RecordPath) -> Option<&'p RawValue> {
    path.0.iter().try_fold(page, |value, step| match fields(value) {
        Some(fields) => fields.get(step.as_str()).copied(),
        None => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            items.get(step.parse::<usize>().ok()?).copied()
        }
    })
}

fn fields(value: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// The text of a string that is not empty, or of a number.
fn text_of(value: Option<&RawValue>) -> Option<String> {
    let value = value?.get();
    match value.as_bytes().first()? {
        b'"' => serde_json::from_str(value).ok().filter(|text: &String| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(value.to_owned()),
        _ => None,
    }
}

/// The address that a `Link` header (RFC 8288) calls the next one.
pub(super) fn next_in_link(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some((address, after)) = rest.split_once('<').and_then(|(_, link)| link.split_once('>')) {
        let (parameters, following) = after.split_once(",").map_or((after, ""), |(head, tail)| (head, tail));
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let relations = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
        };
        if parameters.split(';').any(is_next) {
            return Some(address.to_owned());
        }
        rest = following;
    }
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rules(records: &str, next: &str, watermark: Option<&str>) -> PageRules {
        let path = |text: &str| text.parse().ok();
        PageRules { records: path(records), next: path(next), watermark: watermark.map(str::to_owned) }
    }

    #[test]
    fn records_keep_their_text_one_a_line() {
        let page = "{\"meta\": {\"next\": \"c 2\"},\n \"data\": [{\"id\":\n 10, \"t\": \"a\\nb\"}, {\"id\": 9.50}]}";
        let content = read_page(&rules("data", "meta.next", Some("id")), page.as_bytes()).unwrap();
        assert_eq!(content.lines, b"{\"id\":  10, \"t\": \"a\\nb\"}\n{\"id\": 9.50}\n");
        assert_eq!(
            (content.records, content.next.as_deref(), content.watermark.as_deref()),
            (2, Some("c 2"), Some("10"))
        );
    }

    #[rstest]
    #[case("", "[]", 0)]
    #[case("", "[1, {}]", 2)]
    #[case("data", r#"{"data": null}"#, 0)]
    #[case("a.0.b", r#"{"a": [{"b": [{}]}]}"#, 1)]
    #[case("data", r#"{"data": {"id": 1}}"#, 1)]
    fn records_are_where_they_are_said_to_be(#[case] path: &str, #[case] page: &str, #[case] records: u64) {
        assert_eq!(read_page(&rules(path, "", None), page.as_bytes()).unwrap().records, records);
    }

    #[rstest]
    #[case("", "{\"data\": []}", "record_path")]
    #[case("data", "{\"items\": []}", "/data")]
    #[case("data", "{\"data\": 7}", "neither an array")]
    #[case("", "<html>", "not JSON")]
    #[case("", "[{}", "not JSON")]
    #[case("", "", "not JSON")]
    fn what_is_no_page_is_told(#[case] path: &str, #[case] page: &str, #[case] words: &str) {
        let error = read_page(&rules(path, "", None), page.as_bytes()).unwrap_err();
        assert!(error.contains(words), "{error}");
    }

    #[rstest]
    #[case(r#"{"next": null}"#, None)]
    #[case(r#"{"next": ""}"#, None)]
    #[case(r#"{"next": false}"#, None)]
    #[case(r#"{"next": 12}"#, Some("12"))]
    #[case(r#"{"next": "x"}"#, Some("x"))]
    fn only_a_text_or_a_number_leads_on(#[case] page: &str, #[case] next: Option<&str>) {
        let rules = PageRules { records: "none".parse().ok(), ..rules("", "next", None) };
        let page = page.replace('}', r#", "none": []}"#);
        assert_eq!(read_page(&rules, page.as_bytes()).unwrap().next.as_deref(), next);
    }

    #[rstest]
    #[case(r#"<https://x/o?page=1>; rel="prev", <https://x/o?page=3>; rel="next""#, Some("https://x/o?page=3"))]
    #[case("</o?page=2>; title=\"a\"; REL=Next", Some("/o?page=2"))]
    #[case(r#"<https://x/a,b>; rel="last next""#, Some("https://x/a,b"))]
    #[case(r#"<https://x/o>; rel="last""#, None)]
    #[case("next", None)]
    #[case("<<;rel=next", None)]
    fn a_link_header_leads_to_the_next_page(#[case] header: &str, #[case] next: Option<&str>) {
        assert_eq!(next_in_link(header).as_deref(), next);
    }
}

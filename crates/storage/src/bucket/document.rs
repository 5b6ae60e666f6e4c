//! A bucket's lifecycle configuration as S3 writes it.
//!
//! Invariant: a rule that is not looked into is kept as it was written.

use quick_xml::{Reader, events::Event};
use serde::Deserialize;
use sluice_domain::StorageClass;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A rule of a bucket: objects below a prefix get colder, and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketRule {
    /// Its id, unique in the bucket.
    pub id: String,
    /// The beginning of the keys that it is about.
    pub prefix: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// The classes, each with the age in days from which on objects have it.
    pub transitions: Vec<(u64, StorageClass)>,
    /// The age in days from which on objects go.
    pub expiration_days: Option<u64>,
}

/// The rules of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketRules {
    rules: Vec<StoredRule>,
}

/// A rule as it stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StoredRule {
    id: String,
    text: String,
    /// What it says, where it says nothing but what rules of this program say.
    known: Option<BucketRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    #[serde(rename = "ID", default)]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Known {
    #[serde(rename = "ID")]
    id: String,
    filter: KnownFilter,
    status: String,
    #[serde(default, rename = "Transition")]
    transitions: Vec<KnownTransition>,
    expiration: Option<KnownExpiration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KnownFilter {
    prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KnownTransition {
    days: u64,
    storage_class: StorageClass,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KnownExpiration {
    days: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorDocument {
    code: String,
}

/// The code of an error of S3; none where the text is none.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.contains("<Error>"))?;
    quick_xml::de::from_str::<ErrorDocument>(text).ok().map(|error| error.code)
}

impl BucketRules {
    /// Read a configuration.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        let mut reader = Reader::from_str(text);
        let mut rules = Vec::new();
        loop {
            let start = offset(&reader);
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Eof => return Ok(Self { rules }),
                Event::Start(tag) if tag.local_name().as_ref() == b"Rule" => {
                    let end = tag.to_end().into_owned();
                    reader.read_to_end(end.name()).map_err(|error| error.to_string())?;
                    rules.push(StoredRule::parse(&text[start..offset(&reader)])?);
                }
                _ => {}
            }
        }
    }

    /// The rule of this id, where it says nothing but what rules of this program say.
    pub fn find(&self, id: &str) -> Option<&BucketRule> {
        self.rules.iter().find(|rule| rule.id == id)?.known.as_ref()
    }

    /// The ids of all rules.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.id.as_str())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The same with this rule in the place of the one with its id, or at the end.
    pub(super) fn with(&self, rule: &BucketRule) -> Self {
        let new = StoredRule { id: rule.id.clone(), text: rule.to_text(), known: Some(rule.clone()) };
        let mut rules = self.rules.clone();
        match rules.iter_mut().find(|present| present.id == rule.id) {
            Some(present) => *present = new,
            None => rules.push(new),
        }
        Self { rules }
    }

    /// The same without the rule of this id; none where there is no such rule.
    pub(super) fn without(&self, id: &str) -> Option<Self> {
        let rules: Vec<_> = self.rules.iter().filter(|rule| rule.id != id).cloned().collect();
        (rules.len() < self.rules.len()).then_some(Self { rules })
    }

    /// Whether both have the same rules by their ids, and the same of those that can be looked into.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let sorted = |rules: &Self| {
            let mut said: Vec<_> = rules.rules.iter().map(|rule| (rule.id.clone(), rule.known.clone())).collect();
            said.sort_by(|a, b| a.0.cmp(&b.0));
            said
        };
        sorted(self) == sorted(other)
    }

    /// The configuration's text.
    pub(super) fn to_document(&self) -> String {
        let rules: String = self.rules.iter().map(|rule| rule.text.as_str()).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LifecycleConfiguration xmlns=\"{NAMESPACE}\">{rules}</LifecycleConfiguration>"
        )
    }
}

fn offset(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

impl StoredRule {
    fn parse(text: &str) -> Result<Self, String> {
        let named: Named = quick_xml::de::from_str(text).map_err(|error| error.to_string())?;
        let known = quick_xml::de::from_str::<Known>(text).ok().map(BucketRule::from);
        Ok(Self { id: named.id, text: text.to_owned(), known })
    }
}

impl From<Known> for BucketRule {
    fn from(known: Known) -> Self {
        Self {
            id: known.id,
            prefix: known.filter.prefix,
            enabled: known.status == "Enabled",
            transitions: known.transitions.into_iter().map(|step| (step.days, step.storage_class)).collect(),
            expiration_days: known.expiration.map(|expiration| expiration.days),
        }
    }
}

impl BucketRule {
    fn to_text(&self) -> String {
        let escape = |text: &str| quick_xml::escape::escape(text).into_owned();
        let status = if self.enabled { "Enabled" } else { "Disabled" };
        let transition = |(days, class): &(u64, StorageClass)| {
            format!("<Transition><Days>{days}</Days><StorageClass>{class}</StorageClass></Transition>")
        };
        let transitions: String = self.transitions.iter().map(transition).collect();
        let expiration = self.expiration_days.map(|days| format!("<Expiration><Days>{days}</Days></Expiration>"));
        format!(
            "<Rule><ID>{}</ID><Filter><Prefix>{}</Prefix></Filter><Status>{status}</Status>{transitions}{}</Rule>",
            escape(&self.id),
            escape(&self.prefix),
            expiration.unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(id: &str, prefix: &str) -> BucketRule {
        BucketRule {
            id: id.into(),
            prefix: prefix.into(),
            enabled: true,
            transitions: vec![
                (30, StorageClass::StandardIa),
                (90, StorageClass::Glacier),
                (365, StorageClass::DeepArchive),
            ],
            expiration_days: None,
        }
    }

    const FOREIGN: &str = "<Rule><ID>logs &amp; more</ID><Filter><And><Prefix>logs/</Prefix><Tag><Key>a</Key>\
        <Value>b</Value></Tag></And></Filter><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>3\
        </NoncurrentDays></NoncurrentVersionExpiration></Rule>";

    fn document(rules: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<LifecycleConfiguration xmlns=\"{NAMESPACE}\">\n {rules}\n</LifecycleConfiguration>"
        )
    }

    #[test]
    fn rules_of_others_are_kept_as_they_are_written() {
        let present = BucketRules::parse(document(FOREIGN).as_bytes()).unwrap();
        assert_eq!((present.ids().collect::<Vec<_>>(), present.find("logs & more")), (vec!["logs & more"], None));
        let ours = rule("sluice-transition-to-ia", "raw-data/");
        let wanted = present.with(&ours);
        let text = wanted.to_document();
        assert!(text.contains(FOREIGN), "{text}");
        let again = BucketRules::parse(text.as_bytes()).unwrap();
        assert_eq!(again.find("sluice-transition-to-ia"), Some(&ours));
        assert!(again.says_the_same(&wanted) && !again.says_the_same(&present));
        assert_eq!(again.without("sluice-transition-to-ia"), Some(present));
    }

    #[test]
    fn a_rule_is_changed_in_its_place_and_a_strange_one_is_not_taken_for_ours() {
        let rules = BucketRules::default().with(&rule("a", "x/")).with(&rule("b", "y/"));
        let changed =
            BucketRule { expiration_days: Some(7), enabled: false, transitions: Vec::new(), ..rule("a", "z/") };
        let rules = BucketRules::parse(rules.with(&changed).to_document().as_bytes()).unwrap();
        assert_eq!((rules.ids().collect::<Vec<_>>(), rules.find("a")), (vec!["a", "b"], Some(&changed)));
        let strange = document("<Rule><ID>a</ID><Prefix>x/</Prefix><Status>Enabled</Status></Rule>");
        assert_eq!(BucketRules::parse(strange.as_bytes()).unwrap().find("a"), None);
        assert!(rules.without("c").is_none());
    }

    #[test]
    fn what_is_no_configuration_is_refused_or_empty() {
        assert!(BucketRules::parse(b"<LifecycleConfiguration/>").unwrap().is_empty());
        assert!(BucketRules::parse(b"<LifecycleConfiguration><Rule><ID>a").is_err());
        assert!(BucketRules::parse(&[0xff]).is_err());
        let error =
            b"<?xml version=\"1.0\"?><Error><Code>NoSuchLifecycleConfiguration</Code><Message>x</Message></Error>";
        assert_eq!(error_code(error).as_deref(), Some("NoSuchLifecycleConfiguration"));
        assert_eq!(error_code(b"<CopyObjectResult/>"), None);
    }

    proptest! {
        #[test]
        fn any_rule_is_read_as_it_was_written(id in "[ -~]{1,40}", prefix in "[^\\s\\pC]{1,40}", days in 1u64..4000) {
            let written = BucketRule { expiration_days: Some(days), ..rule(&id, &prefix) };
            prop_assume!(id.trim() == id);
            let rules = BucketRules::default().with(&written);
            let read = BucketRules::parse(rules.to_document().as_bytes()).unwrap();
            prop_assert_eq!(read.find(&id), Some(&written));
        }
    }
}

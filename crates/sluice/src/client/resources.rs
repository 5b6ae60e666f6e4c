//! Files that say what there is to be on a server: YAML or TOML, checked by the server and not here.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, bail};
use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use serde::Deserialize;
use serde_json::Value;

/// The longest file, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Something that has a name and a body on the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    /// What it is, in the plural, as its path says it.
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// What `PUT` takes.
    pub(super) body: Value,
}

/// What a file holds: bodies by their names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    #[serde(default)]
    pipelines: BTreeMap<String, Value>,
}

impl Resource {
    /// As it is shown to people.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.kind.trim_end_matches('s'), self.name)
    }

    /// All that a file holds.
    pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Self>> {
        let length = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
        if length > MAX_FILE_BYTES {
            bail!("{} is longer than {MAX_FILE_BYTES} bytes", path.display());
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let is_toml = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
        let contents = if is_toml { Self::of_toml(&text) } else { Self::of_yaml(&text) };
        contents.with_context(|| format!("cannot read {}", path.display()))
    }

    /// All that a YAML text holds.
    pub(crate) fn of_yaml(text: &str) -> anyhow::Result<Vec<Self>> {
        Ok(serde_saphyr::from_str::<Contents>(text)?.into_resources())
    }

    fn of_toml(text: &str) -> anyhow::Result<Vec<Self>> {
        Ok(Figment::from(Toml::string(text)).extract::<Contents>()?.into_resources())
    }
}

impl Contents {
    fn into_resources(self) -> Vec<Resource> {
        let pipelines = self.pipelines.into_iter();
        pipelines.map(|(name, body)| Resource { kind: "pipelines", name, body }).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn orders() -> Vec<Resource> {
        let sql = "SELECT id\nFROM raw.orders\n";
        let body = json!({"sql": sql, "target": "curated.orders", "retries": 2, "keys": ["id"], "enabled": true});
        vec![Resource { kind: "pipelines", name: "orders".into(), body }]
    }

    #[test]
    fn yaml_and_toml_say_the_same() {
        let yaml = "pipelines:\n  orders:\n    sql: |\n      SELECT id\n      FROM raw.orders\n    target: curated.orders\n    \
                    retries: 2\n    keys: [id]\n    enabled: true\n";
        let toml = "[pipelines.orders]\nsql = '''\nSELECT id\nFROM raw.orders\n'''\ntarget = 'curated.orders'\n\
                    retries = 2\nkeys = ['id']\nenabled = true\n";
        assert_eq!(Resource::of_yaml(yaml).unwrap(), orders());
        assert_eq!(Resource::of_toml(toml).unwrap(), orders());
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_place() {
        for error in [
            Resource::of_yaml("pipelines: {}\npipes: {}\n").unwrap_err(),
            Resource::of_toml("[pipes.a]\nsql = 'x'\n").unwrap_err(),
        ] {
            assert!(format!("{error:#}").contains("pipes"), "{error:#}");
        }
        let error = format!("{:#}", Resource::of_yaml("pipelines:\n  a: [1\n").unwrap_err());
        assert!(error.contains("line"), "{error}");
    }

    #[test]
    fn a_name_said_twice_is_refused() {
        assert!(Resource::of_yaml("pipelines:\n  a: {}\n  a: {}\n").is_err());
        assert!(Resource::of_toml("[pipelines.a]\n[pipelines.a]\n").is_err());
    }

    #[test]
    fn the_file_is_named_where_it_cannot_be_read() {
        let error = format!("{:#}", Resource::read(Path::new("/nowhere/lake.yaml")).unwrap_err());
        assert!(error.contains("/nowhere/lake.yaml"), "{error}");
    }
}

//! Who may do what: the seam that every handler goes through.

use crate::{ErrorKind, Failure, NamespaceName, TableRef};

/// Something that can be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// See that a thing exists and what it looks like, and read its rows.
    Read,
    /// Add rows to a table, making it if need be.
    Append,
    /// Change or delete what exists.
    Manage,
}

/// What an action is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The catalog as a whole: what a listing shows is filtered by namespace afterwards.
    Catalog,
    /// One namespace.
    Namespace(NamespaceName),
    /// One table.
    Table(TableRef),
}

impl Resource {
    fn namespace(&self) -> Option<&NamespaceName> {
        match self {
            Self::Catalog => None,
            Self::Namespace(namespace) => Some(namespace),
            Self::Table(table) => Some(&table.namespace),
        }
    }
}

/// A known caller and what it may do.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The caller's name, as it stands in the ledger and the logs.
    pub name: String,
    /// The actions it may do.
    pub actions: Vec<Action>,
    /// The namespaces it may do them in; none means all.
    pub namespaces: Option<Vec<NamespaceName>>,
}

/// Proof that a caller may do an action; services that change things ask for it.
#[derive(Debug, Clone)]
pub struct Grant {
    principal: String,
    action: Action,
}

impl Grant {
    /// The name of the caller it was given to.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The action that it allows.
    pub fn action(&self) -> Action {
        self.action
    }
}

/// The caller may not do this.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The action is not among the caller's.
    #[error("{principal} may not {action:?} here")]
    Forbidden {
        /// Who asked.
        principal: String,
        /// For what.
        action: Action,
    },
    /// The resource lies in a namespace that the caller cannot see: it does not exist for it.
    #[error("no such table or namespace")]
    Invisible,
}

impl Failure for AccessError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Forbidden { .. } => ErrorKind::Forbidden,
            Self::Invisible => ErrorKind::NotFound,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } => "forbidden",
            Self::Invisible => "not-found",
        }
    }
}

impl Caller {
    /// A caller that may do everything: what the mode without authentication makes of everybody.
    pub fn unrestricted(name: impl Into<String>) -> Self {
        Self { name: name.into(), actions: vec![Action::Read, Action::Append, Action::Manage], namespaces: None }
    }

    /// Whether this namespace exists for the caller.
    pub fn sees(&self, namespace: &NamespaceName) -> bool {
        self.namespaces.as_ref().is_none_or(|seen| seen.contains(namespace))
    }

    /// Ask for the right to do an action.
    ///
    /// # Errors
    /// [`AccessError::Invisible`] outside the caller's namespaces, [`AccessError::Forbidden`] without the action.
    pub fn require(&self, action: Action, resource: &Resource) -> Result<Grant, AccessError> {
        if resource.namespace().is_some_and(|namespace| !self.sees(namespace)) {
            return Err(AccessError::Invisible);
        }
        if !self.actions.contains(&action) {
            return Err(AccessError::Forbidden { principal: self.name.clone(), action });
        }
        Ok(Grant { principal: self.name.clone(), action })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_the_namespaces_does_not_exist() {
        let caller = Caller {
            name: "reader".into(),
            actions: vec![Action::Read],
            namespaces: Some(vec!["nyc".parse().unwrap()]),
        };
        let own = Resource::Table("nyc.flights".parse().unwrap());
        let foreign = Resource::Table("hr.salaries".parse().unwrap());
        assert!(caller.require(Action::Read, &own).is_ok());
        assert!(matches!(caller.require(Action::Append, &own), Err(AccessError::Forbidden { .. })));
        assert!(matches!(caller.require(Action::Read, &foreign), Err(AccessError::Invisible)));
    }
}

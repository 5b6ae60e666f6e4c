//! The ends that a figure must lie between.

use serde_json::Value;

use crate::arguments::{ArgumentError, Arguments};

pub(super) const PARAMETERS: &[&str] = &["column", "min_value", "max_value", "strict_min", "strict_max"];

/// The ends that a figure must lie between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    least: Option<f64>,
    most: Option<f64>,
    strict_min: bool,
    strict_max: bool,
}

impl Bounds {
    pub(super) fn read(arguments: &Arguments<'_>) -> Result<Self, ArgumentError> {
        let (least, most) = (arguments.number("min_value")?, arguments.number("max_value")?);
        check_ends(arguments, least.zip(most).is_some_and(|(least, most)| least > most))?;
        let strict_min = arguments.flag("strict_min")?.unwrap_or_default();
        let strict_max = arguments.flag("strict_max")?.unwrap_or_default();
        Ok(Self { least, most, strict_min, strict_max })
    }

    /// Exactly one figure.
    pub(super) fn exactly(figure: f64) -> Self {
        Self { least: Some(figure), most: Some(figure), strict_min: false, strict_max: false }
    }

    /// Ends that are both within.
    pub(super) fn closed(least: Option<f64>, most: Option<f64>) -> Self {
        Self { least, most, strict_min: false, strict_max: false }
    }

    pub(super) fn hold(self, figure: f64) -> bool {
        let above = |least: f64| figure > least || !self.strict_min && figure == least;
        let below = |most: f64| figure < most || !self.strict_max && figure == most;
        self.least.is_none_or(above) && self.most.is_none_or(below) && !figure.is_nan()
    }

    /// What to tell of a figure that lies outside.
    pub(super) fn complaint(self, what: &str, figure: &Value) -> String {
        let end = |end: Option<f64>| end.map_or_else(|| "…".to_owned(), |end| end.to_string());
        format!("{what} is {figure}, not between {} and {}", end(self.least), end(self.most))
    }
}

/// Check that there is an end, and that the ends are not upside down.
pub(super) fn check_ends(arguments: &Arguments<'_>, is_upside_down: bool) -> Result<(), ArgumentError> {
    if !arguments.has("min_value") && !arguments.has("max_value") {
        return Err(ArgumentError::new("min_value", "neither it nor max_value is there"));
    }
    if is_upside_down {
        return Err(ArgumentError::new("min_value", "it is above max_value"));
    }
    Ok(())
}

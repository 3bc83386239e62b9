//! The detector as scalar functions.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::columns::{self, Outcome};
use super::opened::{Examine, Opened};

/// What a function gives of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Gives {
    Log10P,
    Row,
}

impl Gives {
    /// With the version, and without: plans carry the first.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Log10P => ["touchmark_log10_p_v1", "touchmark_log10_p"],
            Self::Row => ["touchmark_detect_v1", "touchmark_detect"],
        }
    }
}

/// The functions; without detectors, those of a process that only plans.
pub(super) fn functions(opened: Option<&Arc<Opened>>) -> [ScalarUDF; 2] {
    [Gives::Log10P, Gives::Row].map(|gives| {
        ScalarUDF::new_from_impl(Detection {
            gives,
            opened: opened.cloned(),
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec![gives.names()[1].to_owned()],
        })
    })
}

/// Whether a function of this name is one of ours.
pub(super) fn is_ours(name: &str) -> bool {
    [Gives::Log10P, Gives::Row].iter().any(|gives| gives.names()[0] == name)
}

#[derive(Debug)]
struct Detection {
    gives: Gives,
    opened: Option<Arc<Opened>>,
    signature: Signature,
    aliases: Vec<String>,
}

// One process has one set of detectors.
impl PartialEq for Detection {
    fn eq(&self, other: &Self) -> bool {
        self.gives == other.gives
    }
}

impl Eq for Detection {}

impl Hash for Detection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.gives.hash(state);
    }
}

impl ScalarUDFImpl for Detection {
    fn name(&self) -> &str {
        self.gives.names()[0]
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.gives {
            Gives::Log10P => DataType::Float64,
            Gives::Row => columns::row_type(),
        })
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        let [_, _] = given else {
            return plan_err!(
                "{name} takes a text and a profile's name, not {} values",
                given.len()
            );
        };
        given
            .iter()
            .map(|of| match of {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(of.clone()),
                DataType::Null => Ok(DataType::Utf8),
                DataType::Dictionary(_, value) if value.is_string() => Ok(value.as_ref().clone()),
                other => plan_err!(
                    "{name} takes a text and a profile's name, not a value of type {other}"
                ),
            })
            .collect()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, profile] = &args.args[..] else {
            return exec_err!("{} takes two values", self.name());
        };
        let Some(opened) = &self.opened else {
            return exec_err!("{} is evaluated by executors only", self.name());
        };
        let one = matches!((text, profile), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if one { 1 } else { args.number_rows };
        let outcomes = self.outcomes(opened, &text.to_array(rows)?, &profile.to_array(rows)?)?;
        let array = match self.gives {
            Gives::Log10P => columns::log10_p(&outcomes),
            Gives::Row => columns::rows(&outcomes)?,
        };
        Ok(if one {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}

impl Detection {
    fn outcomes(
        &self,
        opened: &Opened,
        texts: &ArrayRef,
        profiles: &ArrayRef,
    ) -> Result<Vec<Outcome>> {
        let mut last: Option<(&str, Arc<dyn Examine>)> = None;
        let mut outcomes = Vec::with_capacity(texts.len());
        for at in 0..texts.len() {
            let Some(text) = string(texts, at)? else {
                outcomes.push(Outcome::Null);
                continue;
            };
            let Some(profile) = string(profiles, at)? else {
                return exec_err!("{} got NULL for a profile's name", self.name());
            };
            let detector = match &last {
                Some((name, detector)) if *name == profile => detector,
                _ => {
                    let detector = opened.get(profile).or_else(|why| exec_err!("{why}"))?;
                    &last.insert((profile, detector)).1
                }
            };
            outcomes.push(match detector.examine(text) {
                Ok(row) => Outcome::Row(Box::new(row)),
                Err(error) if self.gives == Gives::Row => Outcome::Failed(error.to_string()),
                // A NULL would look like that of a missing text.
                Err(error) => {
                    return exec_err!(
                        "a text cannot be examined: {error}. touchmark_detect gives such texts the verdict 'error' and goes on"
                    );
                }
            });
        }
        Ok(outcomes)
    }
}

/// A value of any of the three string types.
fn string(array: &ArrayRef, at: usize) -> Result<Option<&str>> {
    if array.is_null(at) {
        return Ok(None);
    }
    let text = match array.data_type() {
        DataType::Utf8 => array.as_string_opt::<i32>().map(|texts| texts.value(at)),
        DataType::LargeUtf8 => array.as_string_opt::<i64>().map(|texts| texts.value(at)),
        DataType::Utf8View => array.as_string_view_opt().map(|texts| texts.value(at)),
        _ => None,
    };
    match text {
        Some(text) => Ok(Some(text)),
        None => exec_err!("a text was expected, not a value of type {}", array.data_type()),
    }
}

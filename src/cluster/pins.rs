//! Profiles of a plan with their fingerprints.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, case, lit};

use super::Pinned;
use super::function::is_ours;
use super::opened::Detectors;

/// The plan with every profile that our functions are asked for pinned. Columns keep their names.
pub(super) fn pin(plan: LogicalPlan, detectors: &dyn Detectors) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expression| {
            let name = names.save(&expression);
            let pinned = expression.transform_up(|expression| call(expression, detectors))?;
            Ok(pinned.update_data(|expression| name.restore(expression)))
        })
    })?;
    Ok(plan.data)
}

/// A call of ours, its profile pinned.
fn call(expression: Expr, detectors: &dyn Detectors) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = expression else { return Ok(Transformed::no(expression)) };
    let (true, [text, profile]) = (is_ours(call.func.name()), &call.args[..]) else {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    };
    let profile = match profile {
        Expr::Literal(value, _) => match value.try_as_str().flatten() {
            Some(name) if name.parse::<Pinned>().is_err() => {
                lit(detectors.pin(name).map_err(DataFusionError::External)?.to_string())
            }
            _ => profile.clone(),
        },
        column => one_of_all(column, detectors)?,
    };
    let args = vec![text.clone(), profile];
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: call.func, args })))
}

/// A column's profiles, each pinned; executors refuse names that are not among this machine's.
fn one_of_all(column: &Expr, detectors: &dyn Detectors) -> Result<Expr> {
    let names = detectors.profiles().map_err(DataFusionError::External)?;
    // One without its key is refused only if it is asked for.
    let pins = names.iter().filter_map(|name| Some((name, detectors.pin(name).ok()?)));
    let pins: Vec<_> = pins.map(|(name, pin)| (lit(name.as_str()), lit(pin.to_string()))).collect();
    let mut pins = pins.into_iter();
    let Some((name, pin)) = pins.next() else { return Ok(column.clone()) };
    let mut chosen = case(column.clone()).when(name, pin);
    for (name, pin) in pins {
        chosen = chosen.when(name, pin);
    }
    chosen.otherwise(column.clone())
}

//! prepare.json: what a run was started with, so that only the same run goes on.

use super::manifest::{CHANGED, CREATED_BY};
use super::sealed;
use super::{PLAN, Recipe, WriterOptions};
use crate::documents::PlannedInput;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// As the largest manifest: it lists the inputs too.
const MAX_PLAN_BYTES: u64 = 1 << 30;

/// What decides the bytes of a store besides its documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The program: another version may write other bytes.
    pub created_by: String,
    /// SHA-256 of the bytes of tokenizer.json, hexadecimal.
    pub tokenizer_sha256: String,
    #[serde(flatten)]
    pub recipe: Recipe,
    /// In order; none where a source does not know them before it reads.
    pub inputs: Vec<PlannedInput>,
    /// Of several processes that prepare one store, which wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskPlan>,
    /// The first input of each append, where there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub appends: Vec<usize>,
}

/// The share of one of several processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlan {
    /// From 1 on.
    pub number: u64,
    /// How many there are.
    pub of: u64,
    /// The inputs of all.
    pub inputs: Vec<PlannedInput>,
}

impl Plan {
    /// What the options decide.
    pub fn new(options: &WriterOptions, tokenizer_sha256: String) -> Plan {
        Plan {
            created_by: CREATED_BY.into(),
            tokenizer_sha256,
            recipe: options.recipe.clone(),
            inputs: options.inputs.clone(),
            task: options.task.clone(),
            appends: Vec::new(),
        }
    }

    /// Reads prepare.json.
    pub fn load(folder: &Path) -> Result<Plan> {
        let path = folder.join(PLAN);
        let text = sealed::load(&path, MAX_PLAN_BYTES)?;
        if !sealed::is_intact(&text) {
            return Err(Error::store(path, CHANGED));
        }
        sealed::parse(&path, &text)
    }

    /// The first thing that this run was told otherwise than the one `before`, of which `used` inputs are in finished
    /// shards: only those must have kept their size.
    pub fn difference(&self, before: &Plan, used: usize) -> Option<String> {
        let id = |id: Option<u32>| id.map_or("none".to_string(), |id| id.to_string());
        let hash = |sha256: &str| sha256.chars().take(12).collect::<String>();
        let values = |plan: &Plan| {
            [
                ("the program", plan.created_by.clone()),
                ("the SHA-256 of the tokenizer", hash(&plan.tokenizer_sha256)),
                ("the BOS token", id(plan.recipe.bos)),
                ("the EOS token", id(plan.recipe.eos)),
                ("shard_tokens", plan.recipe.shard_tokens.to_string()),
                ("val_fraction", plan.recipe.val_fraction.to_string()),
                ("specials", format!("{:?}", plan.recipe.specials).to_lowercase()),
                ("dedup", if plan.recipe.dedup { "exact" } else { "none" }.to_string()),
                ("the number of appends", plan.appends.len().to_string()),
                ("the task", plan.task.as_ref().map_or("none".into(), |task| format!("{}/{}", task.number, task.of))),
            ]
        };
        let mut pairs = values(before).into_iter().zip(values(self));
        let changed = pairs.find(|(was, is)| was != is).map(|((name, was), (_, is))| changed(name, &was, &is));
        // How the inputs are divided depends on the sizes of all.
        let all = before.task.iter().zip(&self.task).next();
        let all = all.and_then(|(was, is)| input_difference(&was.inputs, &is.inputs, usize::MAX));
        changed.or(all).or_else(|| input_difference(&before.inputs, &self.inputs, used))
    }
}

/// The first thing that is otherwise in the inputs; only the `used` first must have kept their size.
pub(super) fn input_difference(before: &[PlannedInput], now: &[PlannedInput], used: usize) -> Option<String> {
    for number in 0..before.len().max(now.len()) {
        let (was, is) = match (before.get(number), now.get(number)) {
            (Some(was), Some(is)) => (was, is),
            (Some(was), None) => return Some(format!("input {number}, {}, is no longer there", was.name)),
            (None, is) => return is.map(|is| format!("{} was not among the inputs then", is.name)),
        };
        if was.name != is.name {
            return Some(changed(&format!("input {number}"), &was.name, &is.name));
        }
        if was.layout != is.layout {
            return Some(changed(&format!("the layout of {}", is.name), &was.layout, &is.layout));
        }
        if number < used && was.bytes != is.bytes {
            let bytes = |input: &PlannedInput| input.bytes.map_or("not known".into(), |bytes| bytes.to_string());
            return Some(changed(&format!("the size of {}", is.name), &bytes(was), &bytes(is)));
        }
    }
    None
}

fn changed(name: &str, was: &str, is: &str) -> String {
    format!("{name} was {was} and is {is} now")
}

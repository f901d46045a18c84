//! Training BPE: counts of pieces and what is learned from them.

use crate::documents::Source;
use crate::error::CoreError;
use crate::monitor::PyMonitor;
use crate::tokenizer::Tokenizer;
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use tokenmill::bpe::train::{self, Base, Compat, TrainOptions};
use tokenmill::counts::{self, Budget, Pieces};
use tokenmill::documents::{BlockSource, Limited};
use tokenmill::monitor::Monitor;
use tokenmill::split::Pattern;
use tokenmill::tokenizer::{self, Model};
use tokenmill::{Error, Result};

/// Counts the pieces of documents into a file, of the first `limit` bytes where that is given. Uses the source up. Gives
/// the bytes read, and those that there are in all where that is known.
#[pyfunction]
#[pyo3(signature = (source, out, *, pattern, name, max_bytes, folder, limit=None, progress))]
#[expect(clippy::too_many_arguments, reason = "one call from Python; the keyword-only API is there")]
fn count_pieces(
    py: Python<'_>,
    source: &Source,
    out: PathBuf,
    pattern: &str,
    name: &str,
    max_bytes: Option<u64>,
    folder: PathBuf,
    limit: Option<u64>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(u64, Option<u64>)> {
    let mut source = source.take()?;
    let pattern = Pattern::parse(pattern).map_err(CoreError::from)?;
    let budget = Budget { bytes: max_bytes, folder };
    let work = move || -> Result<_> {
        let monitor = PyMonitor::new(progress);
        let mut limited = Limited::new(source.as_mut(), limit.unwrap_or(u64::MAX));
        train::count(&mut limited, &pattern, &budget, &monitor)?.save(&out, pattern.name_or_regex(), name)?;
        Ok((limited.bytes_read(), limited.total_bytes()))
    };
    Ok(py.detach(work).map_err(CoreError::from)?)
}

/// Files of counts that belong together.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Counts {
    files: counts::CountsFiles,
}

#[pymethods]
impl Counts {
    /// Reads the headers; `weights` by name of a source.
    #[staticmethod]
    fn open(py: Python<'_>, paths: Vec<PathBuf>, weights: Vec<(String, u64)>) -> PyResult<Counts> {
        let open = || {
            let mut files = counts::CountsFiles::open(&paths)?;
            weights.iter().try_for_each(|(source, weight)| files.set_weight(source, *weight))?;
            Ok::<_, Error>(files)
        };
        Ok(Counts { files: py.detach(open).map_err(CoreError::from)? })
    }

    #[getter]
    fn pattern(&self) -> &str {
        &self.files.header().pattern
    }

    #[getter]
    fn sources(&self) -> Vec<String> {
        self.files.header().sources.clone()
    }

    /// Reads all: the number of distinct pieces, and of occurrences in each source.
    fn totals(&self, py: Python<'_>) -> PyResult<(u64, Vec<u64>)> {
        let (mut pieces, mut totals) = (0, vec![0; self.files.header().sources.len()]);
        py.detach(|| {
            self.files.each_by_source(&mut |_, counts| {
                pieces += 1;
                totals
                    .iter_mut()
                    .zip(counts)
                    .for_each(|(total, count): (&mut u64, _)| *total = total.saturating_add(*count));
                Ok(())
            })
        })
        .map_err(CoreError::from)?;
        Ok((pieces, totals))
    }

    /// Writes all into one file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        Ok(py.detach(|| self.files.save(&path)).map_err(CoreError::from)?)
    }
}

/// What is trained on.
#[derive(FromPyObject)]
enum Data<'py> {
    Documents(PyRef<'py, Source>),
    Counts(PyRef<'py, Counts>),
}

enum Input {
    Documents(Box<dyn BlockSource + Send>),
    Counts(counts::CountsFiles),
}

/// What each merge did. Arrays are made when they are asked for: importing numpy takes longer than many a training.
#[pyclass(frozen, module = "tokenmill._core")]
struct Steps(Vec<train::Step>);

#[pymethods]
impl Steps {
    /// Ids up to each merge.
    fn vocab_sizes<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        self.0.iter().map(|step| step.vocab_size).collect::<Vec<_>>().into_pyarray(py)
    }

    /// How often each pair occurred.
    fn counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        self.0.iter().map(|step| step.count).collect::<Vec<_>>().into_pyarray(py)
    }

    /// Tokens of the corpus after each merge.
    fn tokens<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        self.0.iter().map(|step| step.tokens).collect::<Vec<_>>().into_pyarray(py)
    }
}

/// Tokenizers of the sizes asked for; bytes of the corpus; the merges; long pieces.
type Trained = (Vec<Tokenizer>, u64, Steps, Vec<(usize, Vec<u8>)>);

#[pyfunction]
#[pyo3(signature = (
    data, *, vocab_sizes, pattern, special_tokens, min_frequency, hugging_face, max_token_bytes, base, max_bytes, folder,
    progress
))]
#[expect(clippy::too_many_arguments, reason = "one call from Python; the keyword-only API is there")]
fn train_bpe(
    py: Python<'_>,
    data: Data<'_>,
    vocab_sizes: Vec<u32>,
    pattern: &str,
    special_tokens: Vec<String>,
    min_frequency: u64,
    hugging_face: bool,
    max_token_bytes: Option<u32>,
    base: Option<PyRef<'_, Tokenizer>>,
    max_bytes: Option<u64>,
    folder: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<Trained> {
    let base = base.map(|base| Arc::clone(base.inner()));
    let options = TrainOptions {
        vocab_size: vocab_sizes.iter().copied().max().unwrap_or_default(),
        pattern: Pattern::parse(pattern).map_err(CoreError::from)?,
        special_tokens,
        min_frequency,
        compat: if hugging_face { Compat::HuggingFace } else { Compat::Gpt },
        max_token_bytes,
    };
    let budget = Budget { bytes: max_bytes, folder };
    let data = match data {
        Data::Counts(counts) => Input::Counts(counts.files.clone()),
        Data::Documents(source) => Input::Documents(source.take()?),
    };
    let work = move || {
        let monitor = PyMonitor::new(progress);
        match data {
            Input::Counts(files) => {
                files.check(options.pattern.name_or_regex())?;
                learn(&files, &options, base.as_deref(), &vocab_sizes, &monitor)
            }
            Input::Documents(mut source) => {
                // Before hours of counting.
                options.check(base.as_deref().map(base_of).transpose()?)?;
                let counted = train::count(source.as_mut(), &options.pattern, &budget, &monitor)?;
                learn(&counted, &options, base.as_deref(), &vocab_sizes, &monitor)
            }
        }
    };
    let learned = py.detach(work);
    let Learned { tokenizers, num_bytes, steps, long_pieces } = learned.map_err(CoreError::from)?;
    Ok((tokenizers.into_iter().map(Tokenizer::new).collect(), num_bytes, Steps(steps), long_pieces))
}

struct Learned {
    tokenizers: Vec<tokenizer::Tokenizer>,
    num_bytes: u64,
    steps: Vec<train::Step>,
    long_pieces: Vec<(usize, Vec<u8>)>,
}

fn base_of(tokenizer: &tokenizer::Tokenizer) -> Result<Base<'_>> {
    match tokenizer.model() {
        Model::Bpe(model) => Ok(Base { model, specials: tokenizer.specials() }),
        Model::Word(_) => Err(Error::value("a word tokenizer cannot be extended by merges; train a new one")),
    }
}

fn learn(
    pieces: &dyn Pieces,
    options: &TrainOptions,
    base: Option<&tokenizer::Tokenizer>,
    sizes: &[u32],
    monitor: &dyn Monitor,
) -> Result<Learned> {
    let trained = train::train(pieces, options, base.map(base_of).transpose()?, monitor)?;
    let tokenizers = sizes
        .iter()
        .map(|size| {
            let (model, specials) = trained.model(*size)?;
            tokenizer::Tokenizer::new(Model::Bpe(model), specials)
        })
        .collect::<Result<_>>()?;
    let train::Trained { steps, num_bytes, long_pieces, .. } = trained;
    Ok(Learned { tokenizers, num_bytes, steps, long_pieces })
}

/// Adds `Counts`, `Steps`, `count_pieces` and `train_bpe` to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Counts>()?;
    module.add_class::<Steps>()?;
    module.add_function(wrap_pyfunction!(count_pieces, module)?)?;
    module.add_function(wrap_pyfunction!(train_bpe, module)?)
}

//! `_core.Tokenizer`.

use crate::arrow::ArrowIds;
use crate::documents::Source;
use crate::encoding::{AllowedArgument, Texts};
use crate::error::CoreError;
use crate::feed::{self, Sink};
use crate::monitor::PyMonitor;
use crate::text::{is_ascii, text_of, with_text};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyInt, PyList, PyString};
use std::borrow::Cow;
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use tokenmill::bpe::{Count, Merges, Output};
use tokenmill::formats;
use tokenmill::prefetch::prefetch;
use tokenmill::split::Pattern;
use tokenmill::tokenizer::{self, Flat, Model};
use tokenmill::word::{WordSplit, WordTrainOptions};
use tokenmill::{Error, Result, word};

/// Texts shorter than this are encoded without letting go of the GIL: at some 50 MB/s they take less time than a
/// thread switch.
const DETACH_BYTES: usize = 2 << 10;

/// So many places before an `int` goes into a list, it is asked for.
const INTS_AHEAD: usize = 24;

/// A tokenizer of the core; `tokenmill.Tokenizer` is the class for people.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Tokenizer {
    core: Arc<tokenizer::Tokenizer>,
    /// An `int` for each ordinary id, made at the first list: filling a list with them takes half the time of making them anew.
    ints: PyOnceLock<Vec<Py<PyInt>>>,
}

/// Ids and offsets.
type Arrays<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<i64>>);

/// Ids, and the byte span of each.
type Located = (Vec<u32>, Vec<(usize, usize)>);

impl Tokenizer {
    pub fn new(core: tokenizer::Tokenizer) -> Tokenizer {
        Tokenizer { core: Arc::new(core), ints: PyOnceLock::new() }
    }

    /// For the bindings of the store.
    pub fn inner(&self) -> &Arc<tokenizer::Tokenizer> {
        &self.core
    }

    fn list<'py>(&self, py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyList>> {
        let make = |id: u32| {
            let Ok(int) = id.into_pyobject(py);
            int
        };
        // Special tokens may lie far behind the vocabulary; theirs are made when they come.
        let ints = self.ints.get_or_init(py, || {
            let count = u32::try_from(self.core.vocab().len()).unwrap_or(u32::MAX);
            (0..count).map(|id| make(id).unbind()).collect()
        });
        let known = |place: usize| ints.get(*ids.get(place)? as usize);
        let int = |(place, &id)| {
            // It counts the references to it: a cache miss for each that is not frequent, half of the time of a list.
            if let Some(int) = known(place + INTS_AHEAD) {
                prefetch(int.as_ptr());
            }
            known(place).map_or_else(|| make(id), |int| int.bind(py).clone())
        };
        PyList::new(py, ids.iter().enumerate().map(int))
    }

    /// The ids of a text. Those of one that is not long are in memory that this thread uses again.
    fn with_ids<R>(
        &self,
        text: &Bound<'_, PyString>,
        allowed: &AllowedArgument,
        work: impl FnOnce(Cow<'_, [u32]>) -> R,
    ) -> PyResult<R> {
        thread_local! {
            static SPARE: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
        }
        if text.len()? >= feed::ENOUGH {
            return Ok(work(Cow::Owned(self.encode_long(text, allowed)?)));
        }
        let mut ids = SPARE.take();
        ids.clear();
        self.encode_short(text, allowed, &mut ids)?;
        let done = work(Cow::Borrowed(&ids));
        SPARE.set(ids);
        Ok(done)
    }

    fn encode_short<O: Output>(
        &self,
        text: &Bound<'_, PyString>,
        allowed: &AllowedArgument,
        ids: &mut O,
    ) -> PyResult<()> {
        let py = text.py();
        let encoded = with_text(text, |text| {
            let mut encode = || self.core.encode(text, allowed.get(), ids);
            if text.len() < DETACH_BYTES { encode() } else { py.detach(encode) }
        });
        Ok(encoded?.map_err(CoreError::from)?)
    }

    fn encode_long<O: Output>(&self, text: &Bound<'_, PyString>, allowed: &AllowedArgument) -> PyResult<O> {
        // A string of ASCII is UTF-8 as it is.
        if !is_ascii(text)?
            && let Some(ids) = feed::encode_long(&self.core, allowed, text)?
        {
            return Ok(ids);
        }
        let (py, text) = (text.py(), text_of(text)?);
        let text = text.as_ref();
        // A batch of one looks for Ctrl-C now and then.
        let flat = py.detach(|| self.core.encode_batch(&[text], allowed.get(), &PyMonitor::new(None)));
        Ok(flat.map_err(CoreError::from)?.ids)
    }

    /// Appends the ids of the texts to `ids`, and shows them to `sink`.
    fn encode_texts(
        &self,
        texts: &Bound<'_, PyAny>,
        column: Option<&str>,
        allowed: &AllowedArgument,
        ids: &mut Vec<u32>,
        sink: &mut dyn Sink<Vec<u32>>,
    ) -> PyResult<()> {
        let py = texts.py();
        let texts = Texts::of(texts, column)?;
        let size = texts.size()?;
        if size >= feed::ENOUGH {
            return feed::encode_texts(py, &self.core, allowed, (&texts, size), ids, sink);
        }
        let texts: Vec<Cow<'_, str>> = texts.iter().map(|text| Ok(text?.0)).collect::<PyResult<_>>()?;
        let texts: Vec<&str> = texts.iter().map(Cow::as_ref).collect();
        let encode = || self.core.encode_batch(&texts, allowed.get(), &PyMonitor::new(None));
        let flat: Flat<Vec<u32>> = py.detach(encode).map_err(CoreError::from)?;
        *ids = flat.ids;
        sink.see(ids, &mut flat.offsets.iter().skip(1).map(|&end| usize::try_from(end).unwrap_or(0)).collect())
    }

    fn encode_flat(
        &self,
        texts: &Bound<'_, PyAny>,
        column: Option<&str>,
        allowed: &AllowedArgument,
    ) -> PyResult<Flat<Vec<u32>>> {
        let (mut ids, mut offsets) = (Vec::new(), Offsets(vec![0]));
        self.encode_texts(texts, column, allowed, &mut ids, &mut offsets)?;
        Ok(Flat { ids, offsets: offsets.0 })
    }
}

/// Where texts begin and end among the ids, which stay where they are.
struct Offsets(Vec<i64>);

impl Sink<Vec<u32>> for Offsets {
    fn see(&mut self, _: &mut Vec<u32>, ends: &mut Vec<usize>) -> PyResult<()> {
        // No memory holds 2⁶³ ids.
        self.0.extend(ends.drain(..).map(|end| i64::try_from(end).unwrap_or(i64::MAX)));
        Ok(())
    }
}

/// A list for each text. Ids that have become one are forgotten.
struct Lists<'t, 'py> {
    py: Python<'py>,
    tokenizer: &'t Tokenizer,
    lists: Vec<Bound<'py, PyList>>,
}

impl Sink<Vec<u32>> for Lists<'_, '_> {
    fn see(&mut self, ids: &mut Vec<u32>, ends: &mut Vec<usize>) -> PyResult<()> {
        let mut start = 0;
        for end in ends.drain(..) {
            self.lists.push(self.tokenizer.list(self.py, &ids[start..end])?);
            start = end;
        }
        ids.drain(..start);
        Ok(())
    }
}

#[pymethods]
impl Tokenizer {
    #[staticmethod]
    #[pyo3(signature = (source, *, split, special_tokens, unknown_token, min_frequency, max_vocab, progress))]
    #[expect(clippy::too_many_arguments, reason = "one Python call")]
    fn train_word(
        py: Python<'_>,
        source: &Source,
        split: &str,
        special_tokens: Vec<String>,
        unknown_token: Option<String>,
        min_frequency: u64,
        max_vocab: Option<u32>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let split = WordSplit::parse(split);
        let options = WordTrainOptions { split, special_tokens, unknown_token, min_frequency, max_vocab };
        let mut source = source.take()?;
        let monitor = PyMonitor::new(progress);
        in_core(py, move || {
            let (model, specials) = word::train(source.as_mut(), &options, &monitor)?;
            tokenizer::Tokenizer::new(Model::Word(model), specials)
        })
    }

    #[staticmethod]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        pattern: Option<String>,
        special_tokens: Option<Vec<(String, u32)>>,
    ) -> PyResult<Self> {
        in_core(py, move || formats::load(&path, pattern.as_deref(), special_tokens))
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        Ok(py.detach(|| formats::save(&self.core, &path)).map_err(CoreError::from)?)
    }

    fn encode<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyString>,
        allowed: AllowedArgument,
    ) -> PyResult<Bound<'py, PyList>> {
        self.with_ids(text, &allowed, |ids| self.list(py, &ids))?
    }

    fn encode_to_numpy<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyString>,
        allowed: AllowedArgument,
    ) -> PyResult<Bound<'py, PyArray1<u32>>> {
        self.with_ids(text, &allowed, |ids| match ids {
            Cow::Borrowed(ids) => PyArray1::from_slice(py, ids),
            Cow::Owned(ids) => ids.into_pyarray(py),
        })
    }

    #[pyo3(signature = (texts, allowed, column=None))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        allowed: AllowedArgument,
        column: Option<&str>,
    ) -> PyResult<Vec<Bound<'py, PyList>>> {
        let mut lists = Lists { py, tokenizer: self, lists: Vec::new() };
        self.encode_texts(texts, column, &allowed, &mut Vec::new(), &mut lists)?;
        Ok(lists.lists)
    }

    #[pyo3(signature = (texts, allowed, column=None))]
    fn encode_batch_to_numpy<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        allowed: AllowedArgument,
        column: Option<&str>,
    ) -> PyResult<Arrays<'py>> {
        let Flat { ids, offsets } = self.encode_flat(texts, column, &allowed)?;
        Ok((ids.into_pyarray(py), offsets.into_pyarray(py)))
    }

    #[pyo3(signature = (texts, allowed, column=None, large_offsets=false))]
    fn encode_batch_to_arrow(
        &self,
        texts: &Bound<'_, PyAny>,
        allowed: AllowedArgument,
        column: Option<&str>,
        large_offsets: bool,
    ) -> PyResult<ArrowIds> {
        ArrowIds::new(self.encode_flat(texts, column, &allowed)?, large_offsets)
    }

    fn encode_with_offsets(
        &self,
        py: Python<'_>,
        text: &Bound<'_, PyString>,
        allowed: AllowedArgument,
    ) -> PyResult<Located> {
        let text = text_of(text)?;
        let text = text.as_ref();
        let (ids, spans) = py.detach(|| self.core.encode_with_offsets(text, allowed.get())).map_err(CoreError::from)?;
        Ok((ids, spans.into_iter().map(|span| (span.start, span.end)).collect()))
    }

    fn count(&self, text: &Bound<'_, PyString>, allowed: AllowedArgument) -> PyResult<usize> {
        if text.len()? >= feed::ENOUGH {
            return Ok(self.encode_long::<Count>(text, &allowed)?.0);
        }
        let mut count = Count::default();
        self.encode_short(text, &allowed, &mut count)?;
        Ok(count.0)
    }

    fn decode<'py>(&self, py: Python<'py>, ids: Vec<u32>, skip_special_tokens: bool) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.core.decode(&ids, skip_special_tokens)).map_err(CoreError::from)?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn token_to_id(&self, token: &[u8]) -> Option<u32> {
        self.core.token_to_id(token)
    }

    fn id_to_token<'py>(&self, py: Python<'py>, id: u32) -> Option<Bound<'py, PyBytes>> {
        self.core.token_bytes(id).map(|bytes| PyBytes::new(py, bytes))
    }

    #[getter]
    fn vocab_size(&self) -> usize {
        self.core.vocab_size()
    }

    #[getter]
    fn special_tokens(&self) -> Vec<(String, u32)> {
        self.core.specials().iter().map(|special| (special.text.clone(), special.id)).collect()
    }

    /// "bpe" or "word".
    #[getter]
    fn model(&self) -> &'static str {
        match self.core.model() {
            Model::Bpe(_) => "bpe",
            Model::Word(_) => "word",
        }
    }

    /// The pattern's name or regular expression; for words "punctuation", "whitespace" or a regular expression.
    #[getter]
    fn pattern(&self) -> &str {
        match self.core.model() {
            Model::Bpe(bpe) => bpe.pattern().name_or_regex(),
            Model::Word(word) => word.split().name_or_regex(),
        }
    }

    /// The merge list; `None` for words and for tokenizers of ranks.
    #[getter]
    fn merges(&self) -> Option<Vec<(u32, u32)>> {
        match self.core.model() {
            Model::Bpe(bpe) => match bpe.merges() {
                Merges::List(list) => Some(list.iter().map(|merge| (merge.left, merge.right)).collect()),
                Merges::Ranks => None,
            },
            Model::Word(_) => None,
        }
    }

    /// Whether a piece that is a token is taken whole, whatever the merges say.
    #[getter]
    fn whole_pieces(&self) -> bool {
        match self.core.model() {
            Model::Bpe(bpe) => bpe.whole_pieces(),
            Model::Word(_) => false,
        }
    }

    /// Left, right and made id of each merge that can come up, of ranks too; empty for words.
    fn merge_list(&self) -> Vec<(u32, u32, u32)> {
        match self.core.model() {
            Model::Bpe(bpe) => bpe.merge_list().iter().map(|merge| (merge.left, merge.right, merge.id)).collect(),
            Model::Word(_) => Vec::new(),
        }
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        self.core.fingerprint()
    }
}

/// Runs long work without the GIL.
fn in_core(py: Python<'_>, work: impl FnOnce() -> Result<tokenizer::Tokenizer> + Send) -> PyResult<Tokenizer> {
    let tokenizer = py.detach(work).map_err(CoreError::from)?;
    Ok(Tokenizer::new(tokenizer))
}

/// The pieces that `pattern` (a name or a regular expression) cuts `text` into.
#[pyfunction]
pub fn split_pieces(pattern: &str, text: &Bound<'_, PyString>) -> PyResult<Vec<String>> {
    let text = text_of(text)?;
    let text = text.as_ref();
    let mut pieces = Vec::new();
    let pattern = Pattern::parse(pattern).map_err(CoreError::from)?;
    pattern.split(text, |range| pieces.push(text[range].to_string())).map_err(|error: Error| CoreError::from(error))?;
    Ok(pieces)
}

/// Adds what is above to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Tokenizer>()?;
    module.add_function(wrap_pyfunction!(split_pieces, module)?)
}

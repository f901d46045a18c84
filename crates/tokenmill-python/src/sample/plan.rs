//! `Plan` and `Batches`: the order of samples.

use super::curriculum::Curriculum;
use super::mixture::Mixture;
use super::{Numbers, contiguous};
use crate::error::CoreError;
use crate::monitor::PyMonitor;
use crate::store::Store;
use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokenmill::sample::{self as core, BestFit, Comings, DocumentWindows, Documents, Kept, Layout, Order, Sections};

/// How many tokens are learned so many times, and the other numbers by name.
type Counted<'py> = (BTreeMap<u64, u64>, Bound<'py, PyDict>);

/// The order of windows: see `tokenmill::sample::Plan`.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Plan(pub core::Plan);

#[pymethods]
impl Plan {
    /// Windows over all tokens.
    #[staticmethod]
    #[pyo3(signature = (*, num_tokens, max_length, stride, tail, shuffle, seed))]
    fn concat(
        num_tokens: u64,
        max_length: u64,
        stride: u64,
        tail: &str,
        shuffle: &str,
        seed: u64,
    ) -> Result<Self, CoreError> {
        let layout = Layout::Concat(core::Windows::new(num_tokens, max_length, stride, tail.parse()?)?);
        Ok(Plan(core::Plan { layout, shuffle: shuffle.parse()?, seed }))
    }

    /// Windows within documents.
    #[staticmethod]
    #[pyo3(signature = (*, store, max_length, stride, tail, shuffle, seed))]
    fn document(
        py: Python<'_>,
        store: &Bound<'_, Store>,
        max_length: u64,
        stride: u64,
        tail: &str,
        shuffle: &str,
        seed: u64,
    ) -> Result<Self, CoreError> {
        let (documents, tail) = (documents(store), tail.parse()?);
        let windows = py.detach(|| DocumentWindows::new(documents, max_length, stride, tail))?;
        Ok(Plan(core::Plan { layout: Layout::Document(windows), shuffle: shuffle.parse()?, seed }))
    }

    /// Whole documents packed into rows, by the index at a path. With it comes what became of the index, and why: "read",
    /// "made", "replaced" or "unsaved".
    #[staticmethod]
    #[pyo3(signature = (*, store, max_length, shuffle, seed, index, progress=None))]
    fn best_fit(
        py: Python<'_>,
        store: &Bound<'_, Store>,
        max_length: u64,
        shuffle: &str,
        seed: u64,
        index: PathBuf,
        progress: Option<Py<PyAny>>,
    ) -> Result<(Self, &'static str, Option<String>), CoreError> {
        let (documents, store) = (documents(store), Arc::clone(store.get().inner()));
        let (rows, kept) = py.detach(|| {
            let (hash, monitor) = (store.content_hash(), PyMonitor::new(progress));
            BestFit::open_or_pack(&index, documents, hash, max_length, &monitor)
        })?;
        let plan = Plan(core::Plan { layout: Layout::BestFit(rows), shuffle: shuffle.parse()?, seed });
        Ok(match kept {
            Kept::Read => (plan, "read", None),
            Kept::Made => (plan, "made", None),
            Kept::Replaced(reason) => (plan, "replaced", Some(reason)),
            Kept::Unsaved(reason) => (plan, "unsaved", Some(reason)),
        })
    }

    #[getter]
    fn num_windows(&self) -> u64 {
        self.0.layout.count()
    }

    /// The plan of rows that these are cut into, so many each.
    fn cut(&self, parts: u64) -> Result<Self, CoreError> {
        let plan = self.0.clone();
        Ok(Plan(core::Plan { layout: plan.layout.cut(parts)?, ..plan }))
    }

    /// How many tokens are a label of no window.
    fn dropped_tokens(&self, py: Python<'_>) -> Result<u64, CoreError> {
        Ok(py.detach(|| self.0.layout.dropped_tokens())?)
    }

    /// Counts the batches of the samples before `end`. Labels that begin a document are masked where a store is given.
    #[pyo3(signature = (*, batches, end, source=0, mixture=None, curriculum=None, cuts, masked_at=None))]
    #[expect(clippy::too_many_arguments, reason = "all that decides what comes; Python's names are the documentation")]
    fn ledger<'py>(
        &self,
        py: Python<'py>,
        batches: &Bound<'py, Batches>,
        end: u64,
        source: usize,
        mixture: Option<&Bound<'py, Mixture>>,
        curriculum: Option<&Bound<'py, Curriculum>>,
        cuts: Vec<u64>,
        masked_at: Option<&Bound<'py, Store>>,
    ) -> PyResult<Counted<'py>> {
        let store = masked_at.map(|store| Arc::clone(store.get().inner()));
        let (batches, curriculum) = (&batches.get().0, curriculum.map(|curriculum| &curriculum.get().0));
        let order = mixture.map_or(Order::Plan(&self.0), |mixture| Order::Mixture(&mixture.get().0, source));
        let counted = py.detach(|| {
            let kept = batches.samples(end);
            let documents = store.as_deref().map(|store| store as &dyn Documents);
            let comings = Comings::new(order, curriculum, &kept);
            let ledger = self.0.layout.ledger(&comings, &cuts, documents, &PyMonitor::new(None))?;
            Ok::<_, CoreError>((ledger, kept.iter().map(|samples| samples.end - samples.start).sum::<u64>()))
        });
        let (ledger, in_batches) = counted?;
        let numbers = PyDict::new(py);
        for (name, number) in [
            ("tokens", ledger.tokens.into()),
            ("learned", ledger.learned().into()),
            ("masked", ledger.masked.into()),
            ("openers", ledger.openers.into()),
            ("dropped", ledger.dropped.into()),
            ("left_out", ledger.left_out.into()),
            ("overlapped", ledger.overlapped.into()),
            ("rows", ledger.rows.into()),
            ("places", ledger.places),
            ("repeats", ledger.repeats()),
            ("masked_places", ledger.masked_places),
            ("padding", ledger.padding()),
            ("samples", end.into()),
            ("samples_skipped", batches.skipped(end).into()),
            ("samples_left_out", (end - batches.skipped(end) - in_batches).into()),
        ] {
            numbers.set_item(name, number)?;
        }
        Ok((ledger.times, numbers))
    }

    fn window(&self, epoch: u64, i: u64) -> Result<u64, CoreError> {
        Ok(self.0.window(epoch, i)?)
    }

    fn windows<'py>(&self, py: Python<'py>, epoch: u64, first: u64, count: u64) -> PyResult<Numbers<'py>> {
        let numbers = py.detach(|| self.0.numbers(epoch, first, count)).map_err(CoreError::from)?;
        Ok(numbers.into_pyarray(py))
    }

    /// The windows of samples that are numbered through all epochs.
    fn at<'py>(&self, py: Python<'py>, samples: PyReadonlyArray1<'py, u64>) -> PyResult<Numbers<'py>> {
        let samples = contiguous(&samples)?;
        Ok(py.detach(|| self.0.at(samples)).into_pyarray(py))
    }

    /// (first token, valid targets) of each part of a window, from left to right.
    fn parts(&self, window: u64) -> Result<Vec<(u64, u64)>, CoreError> {
        let mut parts = Vec::new();
        self.0.layout.get(window, &mut parts)?;
        Ok(parts.into_iter().map(|part| (part.start, part.valid)).collect())
    }
}

fn documents(store: &Bound<'_, Store>) -> Arc<dyn Documents> {
    store.get().inner().clone()
}

/// How an epoch becomes batches: see `tokenmill::sample::Batches`.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Batches(core::Batches);

/// (section, number, start, size, rows as (first, count), after)
type Step = (u64, u64, u64, u64, Vec<(u64, u64)>, u64);

#[pymethods]
impl Batches {
    /// Without `starts` of stages, `samples` are those of an epoch, and there is no end.
    #[new]
    #[pyo3(signature = (*, samples, starts, skip, batch_size, world_size, drop_last))]
    fn new(
        samples: u64,
        starts: Option<Vec<u64>>,
        skip: Vec<(u64, u64)>,
        batch_size: u64,
        world_size: u64,
        drop_last: bool,
    ) -> Result<Self, CoreError> {
        let sections = starts.map_or(Sections::Epochs(samples), |starts| Sections::Stages(starts, samples));
        let skip = skip.into_iter().map(|(start, end)| start..end).collect();
        Ok(Batches(core::Batches::new(sections, skip, batch_size, world_size, drop_last)?))
    }

    fn steps_before(&self, section: u64) -> u64 {
        self.0.steps_before(section)
    }

    /// `None`: no batch is left.
    fn step(&self, position: u64, rank: u64) -> Option<Step> {
        let step = self.0.step(position, rank)?;
        let rows: Vec<(u64, u64)> = step.rows.iter().map(|rows| (rows.start, rows.end - rows.start)).collect();
        let size = rows.iter().map(|(_, count)| count).sum();
        Some((step.section, step.number, step.start, size, rows, step.after))
    }

    /// `None`: there is no such batch.
    fn find(&self, number: u64) -> Option<u64> {
        self.0.find(number)
    }
}

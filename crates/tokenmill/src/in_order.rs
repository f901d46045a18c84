//! Work of many threads whose results are taken in order, and bounds on how much of it is under way.
//!
//! Nobody waits for anybody: a thread that has a result leaves it, and if that was the next in order, takes it and what
//! else has come meanwhile. Groups of blocks with a barrier behind each cost a tenth of the time of two threads.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long Ctrl-C may wait for an answer while all threads are at work.
pub(crate) const PATIENCE: Duration = Duration::from_millis(50);

/// Results by number, and what takes them in the order of the numbers: 0, 1, 2 ...
pub(crate) struct InOrder<S, T> {
    state: Mutex<State<S, T>>,
}

struct State<S, T> {
    next: usize,
    waiting: BTreeMap<usize, T>,
    /// `None` while a thread takes results with it.
    taker: Option<S>,
}

impl<S, T> InOrder<S, T> {
    pub(crate) fn new(taker: S) -> InOrder<S, T> {
        InOrder { state: Mutex::new(State { next: 0, waiting: BTreeMap::new(), taker: Some(taker) }) }
    }

    /// Leaves result `number`. `take` is called with each result whose turn it is, by one thread at a time.
    pub(crate) fn put(&self, number: usize, result: T, mut take: impl FnMut(&mut S, usize, T)) {
        let mut state = self.lock();
        state.waiting.insert(number, result);
        // Whoever has it looks again before he puts it back.
        let Some(mut taker) = state.taker.take() else { return };
        loop {
            let number = state.next;
            let Some(result) = state.waiting.remove(&number) else { break };
            state.next += 1;
            drop(state);
            take(&mut taker, number, result);
            state = self.lock();
        }
        state.taker = Some(taker);
    }

    /// What took the results; `None` after a panic in it.
    pub(crate) fn into_taker(self) -> Option<S> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).taker
    }

    fn lock(&self) -> MutexGuard<'_, State<S, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much is under way, and whether it has failed.
#[derive(Default)]
pub(crate) struct Flow {
    state: Mutex<FlowState>,
    changed: Condvar,
}

#[derive(Default)]
struct FlowState {
    weight: usize,
    /// Of that, what no thread has begun with.
    waiting: usize,
    stopped: bool,
    error: Option<Error>,
}

impl Flow {
    /// Something of this weight is under way from now on, and waits for a thread.
    pub(crate) fn enter(&self, weight: usize) {
        let mut state = self.lock();
        state.weight += weight;
        state.waiting += weight;
    }

    /// A thread has begun with it.
    pub(crate) fn begin(&self, weight: usize) {
        self.lock().waiting -= weight;
        self.changed.notify_all();
    }

    /// It is done.
    pub(crate) fn leave(&self, weight: usize) {
        self.lock().weight -= weight;
        self.changed.notify_all();
    }

    /// Ends it all: with this error, if it is the first.
    pub(crate) fn fail(&self, error: Error) {
        let mut state = self.lock();
        if !state.stopped {
            state.error = Some(error);
        }
        state.stopped = true;
        self.changed.notify_all();
    }

    /// Ends it all: nobody wants the result any more.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// The error that ended it, if one has; for one caller.
    pub(crate) fn check(&self) -> Result<()> {
        self.lock().error.take().map_or(Ok(()), Err)
    }

    /// Waits until at most `weight` is under way, of which at most `waiting` waits, or it was ended; calls `idle` every `PATIENCE`.
    pub(crate) fn wait_for(&self, weight: usize, waiting: usize, idle: &dyn Fn() -> Result<()>) -> Result<()> {
        let mut state = self.lock();
        while (state.weight > weight || state.waiting > waiting) && !state.stopped {
            let (guard, timeout) = self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if timeout.timed_out() {
                drop(state);
                idle()?;
                state = self.lock();
            }
        }
        drop(state);
        self.check()
    }

    /// Does a part of the work unless it was ended; a panic in it ends it, so that nobody waits for its result.
    pub(crate) fn run(&self, work: impl FnOnce()) {
        struct OnPanic<'a>(&'a Flow);
        impl Drop for OnPanic<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.stop();
                }
            }
        }
        if !self.is_stopped() {
            let _guard = OnPanic(self);
            work();
        }
    }

    fn lock(&self) -> MutexGuard<'_, FlowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    proptest! {
        #[test]
        fn results_are_taken_in_order_whatever_order_they_come_in(order in Just((0..40).collect::<Vec<usize>>()).prop_shuffle()) {
            let results = InOrder::new(Vec::new());
            for number in order {
                results.put(number, number * 10, |taken: &mut Vec<_>, number, result| taken.push((number, result)));
            }
            prop_assert_eq!(results.into_taker(), Some((0..40).map(|number| (number, number * 10)).collect()));
        }
    }

    #[test]
    fn many_threads_leave_no_result_behind() {
        let results = InOrder::new(Vec::new());
        let (results, next) = (&results, &Mutex::new(0..20_000));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    loop {
                        let number = next.lock().unwrap().next();
                        let Some(number) = number else { return };
                        results.put(number, (), |taken: &mut Vec<_>, number, ()| taken.push(number));
                    }
                });
            }
        });
        let state = results.lock();
        assert!(state.waiting.is_empty());
        assert_eq!(state.taker, Some((0..20_000).collect()));
    }

    #[test]
    fn the_first_error_is_the_one_that_is_told_and_a_panic_ends_the_wait() {
        let flow = Flow::default();
        flow.enter(5);
        flow.begin(5);
        flow.leave(2);
        flow.wait_for(3, 0, &|| Ok(())).unwrap();
        flow.fail(Error::value("first"));
        flow.fail(Error::value("second"));
        assert_eq!(flow.wait_for(0, 0, &|| Ok(())).unwrap_err().to_string(), "first");
        flow.run(|| unreachable!("it was ended"));

        let flow = Flow::default();
        flow.enter(1);
        assert!(catch_unwind(AssertUnwindSafe(|| flow.run(|| panic!("on purpose")))).is_err());
        flow.wait_for(0, 0, &|| unreachable!("it was ended")).unwrap();
        assert!(flow.is_stopped());
        let flow = Flow::default();
        flow.enter(1);
        assert_eq!(flow.wait_for(0, 1, &|| Err(Error::value("enough"))).unwrap_err().to_string(), "enough");
    }

    #[test]
    fn what_no_thread_has_begun_with_is_waited_for_as_well() {
        let flow = Flow::default();
        flow.enter(2);
        flow.enter(3);
        assert_eq!(flow.wait_for(9, 3, &|| Err(Error::value("enough"))).unwrap_err().to_string(), "enough");
        flow.begin(2);
        flow.wait_for(9, 3, &|| unreachable!("3 wait")).unwrap();
        flow.wait_for(5, 3, &|| unreachable!("5 are under way")).unwrap();
        assert_eq!(flow.wait_for(4, 3, &|| Err(Error::value("enough"))).unwrap_err().to_string(), "enough");
    }
}

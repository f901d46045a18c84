//! The queue between the thread that reads ahead and the thread that parses: bounded by bytes.
//!
//! A channel of a fixed number of blocks would hold gigabytes when documents are large, and next to nothing
//! when a folder has a million small files.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Items with a weight; the sender waits while more than `limit` lies in the queue.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    limit: usize,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    weight: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(limit: usize) -> Queue<T> {
        let state = State { items: VecDeque::new(), weight: 0, closed: false };
        Queue { state: Mutex::new(state), changed: Condvar::new(), limit }
    }

    /// Waits for room, then adds the item. An item heavier than the limit is let in when the queue is empty.
    /// `false`: the queue was closed and the item is dropped.
    pub(super) fn push(&self, item: T, weight: usize) -> bool {
        let mut state = self.lock();
        while !state.closed && state.weight > 0 && state.weight.saturating_add(weight) > self.limit {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        state.weight = state.weight.saturating_add(weight);
        state.items.push_back((item, weight));
        self.changed.notify_all();
        true
    }

    /// Waits for an item; `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some((item, weight)) = state.items.pop_front() {
                state.weight = state.weight.saturating_sub(weight);
                self.changed.notify_all();
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing more goes in; what is in can still be taken out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Things that are dear to make and that a thread needs for itself while it works.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// More threads than this may work at once; what they made beyond is dropped when they are done.
const PLACES: usize = 64;

/// Spare values at rest: who works takes one, or makes one where there is none, and puts it back.
///
/// There is no lock. One that another thread held during a `fork` would stay locked in the child for ever; here the child
/// only lacks what was in use at that moment, and makes its own. A thread looks first where it put its value last: that one
/// is in the caches of its core.
#[derive(Debug)]
pub(super) struct Spares<T>(Box<[Place<T>; PLACES]>);

/// Processors fetch two cache lines at a time. With the places of several threads in one, each call waited 130 ns for another's
/// core, a third of what a line of text takes.
#[derive(Debug)]
#[repr(align(128))]
struct Place<T>(AtomicPtr<T>);

/// Every thread begins at another place.
fn own_place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
    }
    // A thread that is just ending has no such variables any more.
    OWN.try_with(|own| *own).unwrap_or(0)
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Spares(Box::new([const { Place(AtomicPtr::new(ptr::null_mut())) }; PLACES]))
    }
}

impl<T> Spares<T> {
    fn places(&self) -> impl Iterator<Item = &AtomicPtr<T>> {
        let (later, first) = self.0.split_at(own_place());
        first.iter().chain(later).map(|place| &place.0)
    }

    fn put(&self, value: Box<T>) {
        let value = Box::into_raw(value);
        for place in self.places() {
            // Release: who takes the value sees all that was written to it.
            if place.compare_exchange(ptr::null_mut(), value, Ordering::Release, Ordering::Relaxed).is_ok() {
                return;
            }
        }
        // SAFETY: it came out of a box above, and no place has taken it.
        drop(unsafe { Box::from_raw(value) });
    }

    fn take(&self, make: impl FnOnce() -> T) -> Box<T> {
        for place in self.places() {
            // Reading first: a place that stays empty stays shared between the caches.
            if place.load(Ordering::Relaxed).is_null() {
                continue;
            }
            let value = place.swap(ptr::null_mut(), Ordering::Acquire);
            if !value.is_null() {
                // SAFETY: `put` made it from a box, and the swap gave it to this thread alone.
                return unsafe { Box::from_raw(value) };
            }
        }
        Box::new(make())
    }

    /// A value to work with until it is dropped; it is made if none is at rest.
    pub(super) fn hold(&self, make: impl FnOnce() -> T) -> Held<'_, T> {
        Held { spares: self, value: Some(self.take(make)) }
    }
}

/// A value in use.
#[derive(Debug)]
pub(super) struct Held<'a, T> {
    spares: &'a Spares<T>,
    /// `None` only while it is put back.
    value: Option<Box<T>>,
}

impl<T> Held<'_, T> {
    #[inline(always)]
    pub(super) fn get(&mut self) -> &mut T {
        self.value.as_mut().unwrap_or_else(|| unreachable!("it is there until the drop"))
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        // After a panic nobody knows what it is in the middle of.
        if let Some(value) = self.value.take().filter(|_| !std::thread::panicking()) {
            self.spares.put(value);
        }
    }
}

impl<T> Drop for Spares<T> {
    fn drop(&mut self) {
        for place in self.0.iter_mut() {
            let value = std::mem::replace(place.0.get_mut(), ptr::null_mut());
            if !value.is_null() {
                // SAFETY: `put` made it from a box, and nobody else is left who could take it.
                drop(unsafe { Box::from_raw(value) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn a_thread_gets_back_what_it_put() {
        let spares = Spares::<Vec<u32>>::default();
        spares.hold(Default::default).get().push(1);
        let mut first = spares.hold(Default::default);
        assert_eq!(*first.get(), [1]);
        // Another one, while the first is in use.
        assert!(spares.hold(Default::default).get().is_empty());
    }

    #[test]
    fn what_a_panic_has_left_is_not_used_again() {
        let spares = Spares::<Vec<u32>>::default();
        let panicked = thread::scope(|scope| {
            let work = || {
                spares.hold(Default::default).get().push(1);
                let _held = spares.hold(Default::default);
                panic!("in the middle of it");
            };
            scope.spawn(work).join()
        });
        assert!(panicked.is_err());
        assert!(spares.places().all(|place| place.load(Ordering::Relaxed).is_null()));
    }

    #[test]
    fn a_value_has_one_user_at_a_time_and_all_are_dropped() {
        struct Probe(AtomicUsize, Arc<()>);
        static ALIVE: std::sync::LazyLock<Arc<()>> = std::sync::LazyLock::new(|| Arc::new(()));
        impl Default for Probe {
            fn default() -> Self {
                Probe(AtomicUsize::new(0), Arc::clone(&ALIVE))
            }
        }
        let spares = Spares::<Probe>::default();
        thread::scope(|scope| {
            for _ in 0..PLACES + 8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let mut held = spares.hold(Default::default);
                        let probe = held.get();
                        assert_eq!(probe.0.fetch_add(1, Ordering::Relaxed), 0);
                        thread::yield_now();
                        assert_eq!(probe.0.fetch_sub(1, Ordering::Relaxed), 1);
                        assert!(Arc::strong_count(&probe.1) > 1);
                    }
                });
            }
        });
        assert!(Arc::strong_count(&ALIVE) <= PLACES + 1);
        drop(spares);
        assert_eq!(Arc::strong_count(&ALIVE), 1);
    }
}

//! Where windows start. A window at `s` has inputs `t[s .. s+L]` and targets `t[s+1 .. s+L+1]`, so it reads `L + 1` ids.

use crate::error::{Error, Result};
use std::str::FromStr;

/// The largest number of tokens, `max_length` or stride: NumPy's indices are signed 64-bit numbers, and below this
/// limit no sum of two of them overflows a `u64`.
pub const MAX_TOKENS: u64 = i64::MAX as u64;

/// What becomes of the tokens after the last full window. Another rule is another variant here and in `tail_window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// They are never targets; [`Windows::dropped_tokens`] counts them.
    Drop,
    /// One more window at the next start, with fewer targets than `max_length`.
    Pad,
    /// One more full window, moved back so that it ends with the last token.
    Shift,
}

impl Tail {
    /// The rule's name: "drop", "pad" or "shift".
    pub fn name(self) -> &'static str {
        match self {
            Tail::Drop => "drop",
            Tail::Pad => "pad",
            Tail::Shift => "shift",
        }
    }
}

impl FromStr for Tail {
    type Err = Error;

    fn from_str(text: &str) -> Result<Tail> {
        match text {
            "drop" => Ok(Tail::Drop),
            "pad" => Ok(Tail::Pad),
            "shift" => Ok(Tail::Shift),
            _ => Err(Error::value(format!("tail={text:?} is unknown; choose \"drop\", \"pad\" or \"shift\""))),
        }
    }
}

/// One window: its first token, and how many of its `max_length` targets exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Index of the first input token.
    pub start: u64,
    /// Targets, from the first on; the rest is padding. Always at least 1.
    pub valid: u64,
}

/// All windows over `num_tokens` tokens. Made once and checked then, so that nothing can fail afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    num_tokens: u64,
    max_length: u64,
    stride: u64,
    tail: Tail,
    /// Full windows; window `i` of them starts at `i * stride`.
    full: u64,
    /// The window after them, where the rule makes one.
    last: Option<Window>,
}

impl Windows {
    /// The windows of `max_length` targets, `stride` tokens from start to start.
    ///
    /// # Errors
    /// A length or stride of 0, a number above [`MAX_TOKENS`], or too few tokens for one window.
    pub fn new(num_tokens: u64, max_length: u64, stride: u64, tail: Tail) -> Result<Windows> {
        for (name, value, least) in
            [("num_tokens", num_tokens, 0), ("max_length", max_length, 1), ("stride", stride, 1)]
        {
            if value < least || value > MAX_TOKENS {
                return Err(Error::value(format!(
                    "{name}={value} is out of range; it must be between {least} and {MAX_TOKENS}"
                )));
            }
        }
        let windows = Windows::possibly_none(num_tokens, max_length, stride, tail);
        if windows.count() == 0 { Err(windows.too_few_tokens()) } else { Ok(windows) }
    }

    /// The windows of numbers that have been checked; there may be none.
    pub(super) fn possibly_none(num_tokens: u64, max_length: u64, stride: u64, tail: Tail) -> Windows {
        // Starts i * stride exist while i * stride + max_length < num_tokens.
        let full = num_tokens.saturating_sub(max_length).div_ceil(stride);
        let mut windows = Windows { num_tokens, max_length, stride, tail, full, last: None };
        windows.last = windows.tail_window();
        windows
    }

    /// The window that the tail rule adds, where some transition after the last full window is no target yet.
    fn tail_window(&self) -> Option<Window> {
        let last_token = self.num_tokens.checked_sub(1)?;
        if self.full_end() >= last_token {
            return None;
        }
        match self.tail {
            Tail::Drop => None,
            // No overflow: either full is at most 1, or (full - 1) * stride < num_tokens and so stride is, too.
            Tail::Pad => {
                let start = self.full * self.stride;
                let valid = last_token.checked_sub(start)?;
                (valid > 0).then_some(Window { start, valid })
            }
            Tail::Shift => {
                let start = last_token.checked_sub(self.max_length)?;
                Some(Window { start, valid: self.max_length })
            }
        }
    }

    /// The last token that is a target of a full window; 0, which is no target, where there is no window.
    fn full_end(&self) -> u64 {
        self.full.checked_sub(1).map_or(0, |last| last * self.stride + self.max_length)
    }

    fn too_few_tokens(&self) -> Error {
        let (n, length) = (self.num_tokens, self.max_length);
        let noun = if n == 1 { "token" } else { "tokens" };
        let remedy = match (self.tail, n) {
            (_, 0 | 1) => "a window needs at least 2 tokens, an input and its target; give more text".to_string(),
            _ => format!(
                "a full window reads max_length + 1 tokens; use max_length <= {}, more text, or tail=\"pad\"",
                n - 1
            ),
        };
        Error::value(format!("{n} {noun} cannot make a window of max_length={length}: {remedy}"))
    }

    /// How many windows there are; at least 1 where [`Windows::new`] made them.
    pub fn count(&self) -> u64 {
        self.full + u64::from(self.last.is_some())
    }

    /// Window `i`, or `None` past the end.
    pub fn get(&self, i: u64) -> Option<Window> {
        if i < self.full {
            Some(Window { start: i * self.stride, valid: self.max_length })
        } else if i == self.full {
            self.last
        } else {
            None
        }
    }

    /// How many tokens are never a target of any window. The first token is not counted: nothing comes before it.
    pub fn dropped_tokens(&self) -> u64 {
        let full_targets = if self.stride >= self.max_length { self.full * self.max_length } else { self.full_end() };
        // A tail window's targets end at start + valid; those up to full_end are targets already.
        let tail_targets = self.last.map_or(0, |last| last.start + last.valid - last.start.max(self.full_end()));
        self.num_tokens.saturating_sub(1) - full_targets - tail_targets
    }

    /// Tokens there are.
    pub fn num_tokens(&self) -> u64 {
        self.num_tokens
    }

    /// Targets of a full window.
    pub fn max_length(&self) -> u64 {
        self.max_length
    }

    /// Tokens from one start to the next.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// The rule for the tokens after the last full window.
    pub fn tail(&self) -> Tail {
        self.tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAILS: [Tail; 3] = [Tail::Drop, Tail::Pad, Tail::Shift];

    fn all(windows: &Windows) -> Vec<(u64, u64)> {
        (0..windows.count()).map(|i| windows.get(i).unwrap()).map(|w| (w.start, w.valid)).collect()
    }

    fn windows(n: u64, length: u64, stride: u64, tail: Tail) -> Vec<(u64, u64)> {
        all(&Windows::new(n, length, stride, tail).unwrap())
    }

    #[test]
    fn counts_of_the_verdict() {
        for (length, stride, count, dropped) in
            [(4, 1, 5141, 0), (4, 4, 1286, 0), (256, 128, 39, 24), (256, 256, 20, 24)]
        {
            let windows = Windows::new(5145, length, stride, Tail::Drop).unwrap();
            assert_eq!((windows.count(), windows.dropped_tokens()), (count, dropped));
        }
    }

    #[test]
    fn tail_rules() {
        assert_eq!(windows(11, 4, 4, Tail::Drop), [(0, 4), (4, 4)]);
        assert_eq!(windows(11, 4, 4, Tail::Pad), [(0, 4), (4, 4), (8, 2)]);
        assert_eq!(windows(11, 4, 4, Tail::Shift), [(0, 4), (4, 4), (6, 4)]);
        // Nothing is left over: no tail window.
        for tail in TAILS {
            assert_eq!(windows(9, 4, 4, tail), [(0, 4), (4, 4)]);
        }
        // A stride longer than a window may jump over the tail.
        assert_eq!(windows(7, 2, 6, Tail::Pad), [(0, 2)]);
        assert_eq!(windows(7, 2, 6, Tail::Shift), [(0, 2), (4, 2)]);
    }

    #[test]
    fn around_one_window() {
        for tail in [Tail::Drop, Tail::Shift] {
            let message = Windows::new(4, 4, 4, tail).unwrap_err().to_string();
            assert!(message.contains("4 tokens") && message.contains("max_length=4"), "{message}");
            assert!(message.contains("max_length <= 3"), "{message}");
        }
        assert_eq!(windows(4, 4, 4, Tail::Pad), [(0, 3)]);
        assert_eq!(windows(2, 4, 4, Tail::Pad), [(0, 1)]);
        for tail in TAILS {
            assert_eq!(windows(5, 4, 4, tail), [(0, 4)]);
            assert!(Windows::new(0, 4, 4, tail).is_err() && Windows::new(1, 4, 4, tail).is_err());
        }
        assert_eq!(windows(6, 4, 4, Tail::Pad), [(0, 4), (4, 1)]);
        assert_eq!(windows(6, 4, 4, Tail::Shift), [(0, 4), (1, 4)]);
    }

    #[test]
    fn dropped_tokens_are_those_without_a_window() {
        for n in 2..40u64 {
            for length in 1..9 {
                for (stride, tail) in (1..13).flat_map(|s| TAILS.map(|t| (s, t))) {
                    let Ok(windows) = Windows::new(n, length, stride, tail) else { continue };
                    let mut target = vec![false; usize::try_from(n).unwrap()];
                    for (start, valid) in all(&windows) {
                        assert!(start + valid < n && valid >= 1);
                        (start + 1..=start + valid).for_each(|t| target[usize::try_from(t).unwrap()] = true);
                    }
                    let dropped = target[1..].iter().filter(|&&hit| !hit).count();
                    assert_eq!(windows.dropped_tokens(), dropped as u64, "{n} {length} {stride} {tail:?}");
                    assert!(tail == Tail::Drop || stride > length || dropped == 0);
                }
            }
        }
    }

    #[test]
    fn the_largest_numbers_do_not_wrap() {
        for tail in TAILS {
            for (length, stride) in
                [(1, 1), (1, MAX_TOKENS), (MAX_TOKENS - 1, 1), (4, MAX_TOKENS - 5), (4, MAX_TOKENS / 2 + 1)]
            {
                let windows = Windows::new(MAX_TOKENS, length, stride, tail).unwrap();
                let last = windows.get(windows.count() - 1).unwrap();
                assert!(last.start + last.valid < MAX_TOKENS);
                assert!(windows.dropped_tokens() < MAX_TOKENS && windows.get(windows.count()).is_none());
            }
            assert!(Windows::new(MAX_TOKENS, MAX_TOKENS, MAX_TOKENS, Tail::Pad).is_ok());
            for (n, length, stride) in [(u64::MAX, 1, 1), (9, u64::MAX, 1), (9, 1, u64::MAX), (9, 0, 1), (9, 1, 0)] {
                assert!(Windows::new(n, length, stride, tail).is_err());
            }
        }
    }
}

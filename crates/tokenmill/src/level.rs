//! Which vector instructions this processor has.

/// Which instructions are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Only such as every processor has.
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Sse2,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// The fastest of this processor.
    pub(crate) fn best() -> Level {
        Level::available().last().copied().unwrap_or(Level::Scalar)
    }

    /// All that this processor has, slower ones first.
    pub(crate) fn available() -> &'static [Level] {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            const ALL: &[Level] = &[Level::Scalar, Level::Sse2, Level::Avx2, Level::Avx512];
            if !(has!("avx2") && has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("popcnt")) {
                &ALL[..2]
            } else if !(has!("avx512f")
                && has!("avx512bw")
                && has!("avx512dq")
                && has!("avx512vl")
                && has!("avx512vbmi2"))
            {
                &ALL[..3]
            } else {
                ALL
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            // NEON belongs to every 64-bit ARM processor.
            &[Level::Scalar, Level::Neon]
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            &[Level::Scalar]
        }
    }
}

//! What the allocator keeps for itself.

/// Blocks of 2 MiB and more go back to the system when they are freed, for the rest of the process.
///
/// glibc raises this limit to the largest block that it has seen, up to 32 MiB, and keeps twice as much free memory for
/// each thread: counting 1.2 GB within 200 MB came to a peak of 290 MB, and comes to 165 MB so. It is called only where
/// memory is to be bounded, as the setting is that of the whole process.
pub(crate) fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both set a number, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 2 << 20;

//! Which start of this machine this is.

/// The same in all programs on this machine since its start; none where the system does not say.
pub(crate) fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty() && id.len() <= 64)
}

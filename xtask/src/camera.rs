//! placeholder
/// later
pub(crate) fn test() -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}

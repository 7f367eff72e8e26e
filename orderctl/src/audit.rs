//! placeholder
#[derive(Debug, clap::Args)]
pub struct AuditArgs {}
pub async fn run(_: &AuditArgs) -> anyhow::Result<()> { Ok(()) }

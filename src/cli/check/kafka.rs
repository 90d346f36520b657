//! Brokers, topics and permissions.

use crate::{cluster, config::Config, finding::Findings};

pub(super) fn look(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    if config.kafka.brokers.is_empty() {
        findings.warn("kafka.brokers", "empty: the spool is the store, and there is nobody to ask", "name the brokers");
    } else {
        cluster::look(config, findings, &|| false)?;
    }
    Ok(())
}

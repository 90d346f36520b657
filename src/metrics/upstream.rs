//! What is counted per forwarded push, with every counter resolved at start.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::{CallbackLabels, Metrics};

/// What a forwarded push came to: the label `result` of `cardhook_upstream_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamResult {
    /// The application answered, with whatever status below 500.
    Answered,
    /// No connection, a broken one, or no place among the requests under way.
    Refused,
    /// No whole answer in time.
    Late,
    /// Status 5xx.
    ErrorStatus,
    /// An answer beyond the limit.
    TooLarge,
}

impl UpstreamResult {
    /// Every result, in the order of the declaration.
    pub const ALL: [Self; 5] = [Self::Answered, Self::Refused, Self::Late, Self::ErrorStatus, Self::TooLarge];

    /// The label's value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Late => "late",
            Self::ErrorStatus => "error_status",
            Self::TooLarge => "too_large",
        }
    }
}

/// The counters of one account's upstream.
#[derive(Debug, Clone)]
pub struct UpstreamMetrics([Counter; UpstreamResult::ALL.len()]);

impl UpstreamMetrics {
    /// Counts one outcome.
    pub fn count(&self, result: UpstreamResult) {
        if let Some(counter) = self.0.get(result as usize) {
            counter.inc();
        }
    }
}

impl Metrics {
    /// The counters of an account's upstream, which stand at 0 from now on.
    #[must_use]
    pub fn of_upstream(&self, account: &Arc<str>) -> UpstreamMetrics {
        let labels = |result: UpstreamResult| CallbackLabels { account: Arc::clone(account), result: result.label() };
        UpstreamMetrics(UpstreamResult::ALL.map(|result| self.upstream.get_or_create_owned(&labels(result))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_counts_under_its_own_label() {
        let metrics = Metrics::new();
        let upstream = metrics.of_upstream(&"shop".into());
        for result in UpstreamResult::ALL {
            let line =
                |count| format!("cardhook_upstream_total{{account=\"shop\",result=\"{}\"}} {count}\n", result.label());
            assert!(metrics.text().contains(&line(0)), "{result:?}");
            upstream.count(result);
            assert!(metrics.text().contains(&line(1)), "{result:?}");
        }
    }
}

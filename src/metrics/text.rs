//! The two texts of a scrape: OpenMetrics 1.0, and Prometheus 0.0.4 for readers that ask for nothing newer.
//!
//! The client library writes OpenMetrics only. The older text differs in three things: a counter's HELP and TYPE bear its
//! samples' name, with `_total`; there is no UNIT; nothing stands at the end. Does not depend on which metrics there are.

/// The text formats of `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Prometheus,
}

impl Format {
    /// The format for a request's `Accept` headers: OpenMetrics where it is asked for, and not less than plain text.
    #[must_use]
    pub fn accepted<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let (mut open_metrics, mut plain) = (0.0_f32, 0.0);
        for range in accept.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let place = match parts.next().map(str::to_ascii_lowercase).as_deref() {
                Some("application/openmetrics-text") => &mut open_metrics,
                Some("text/plain") => &mut plain,
                Some(_) | None => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let quality: f32 = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
            *place = quality.max(*place);
        }
        if open_metrics > 0.0 && open_metrics >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The answer's `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// An OpenMetrics text as Prometheus text 0.0.4.
pub(super) fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 1024);
    // HELP stands before TYPE, which tells how both are to be named.
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        match metadata(line) {
            Some(("HELP", rest)) => help = rest.split_once(' '),
            Some(("TYPE", rest)) => {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, "unknown"));
                let suffix = if kind == "counter" { "_total" } else { "" };
                let kind = if kind == "unknown" { "untyped" } else { kind };
                if let Some((_, words)) = help.take().filter(|(of, _)| *of == name) {
                    text.extend(["# HELP ", name, suffix, " ", words, "\n"]);
                }
                text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            Some(_) => {}
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// `HELP`, `TYPE`, `UNIT` or `EOF`, and what stands behind it; `None` for a sample.
fn metadata(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("# ")?;
    Some(rest.split_once(' ').unwrap_or((rest, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it_and_do_not_like_plain_text_more() {
        let prometheus_2_and_3 = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
                                  version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, expected) in [
            (prometheus_2_and_3, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("text/html, Application/OpenMetrics-Text; version=1.0.0", Format::OpenMetrics),
            ("application/openmetrics-text; q=0", Format::Prometheus),
            ("application/openmetrics-text; q=0.3, text/plain; version=0.0.4; q=0.9", Format::Prometheus),
            ("text/plain", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(std::iter::once(accept)), expected, "{accept}");
        }
        assert_eq!(
            Format::accepted(["text/plain;q=0.1", "application/openmetrics-text"].into_iter()),
            Format::OpenMetrics
        );
        assert_eq!(Format::accepted(std::iter::empty()), Format::Prometheus);
    }

    #[test]
    fn a_counter_is_named_as_its_samples_and_all_else_stays() {
        let open_metrics = "# HELP a Ups. # TYPE b\n# TYPE a counter\na_total{x=\"# HELP\"} 1\n# HELP b Now.\n# TYPE b gauge\n\
                            # UNIT b seconds\nb 1.5\n# HELP c_seconds Late.\n# TYPE c_seconds histogram\n\
                            c_seconds_sum 0.0\nc_seconds_bucket{le=\"+Inf\"} 0\n# TYPE d unknown\nd 1\n# EOF\n";
        let expected = "# HELP a_total Ups. # TYPE b\n# TYPE a_total counter\na_total{x=\"# HELP\"} 1\n# HELP b Now.\n\
                        # TYPE b gauge\nb 1.5\n# HELP c_seconds Late.\n# TYPE c_seconds histogram\n\
                        c_seconds_sum 0.0\nc_seconds_bucket{le=\"+Inf\"} 0\n# TYPE d untyped\nd 1\n";
        assert_eq!(prometheus(open_metrics), expected);
    }
}

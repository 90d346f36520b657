//! `/metrics` as scrapers read it: both text formats, by Prometheus's own parser (contract §5).

use crate::support::{
    cardhook::Setup,
    consume::python,
    wechat::{Account, Mode, fixture},
};

#[test]
fn both_texts_say_the_same_to_prometheus_s_own_parser() {
    let service = Setup::without_brokers().serve();
    assert!(Account::of(Mode::Secure).post(service.public, &fixture("user_get_card")).is_success());
    let texts = python("read_metrics.py", &[&service.admin.to_string()]);
    let [open_metrics, prometheus] = &texts[..] else { panic!("{texts:?}") };
    assert_eq!(open_metrics["content_type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(prometheus["content_type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(open_metrics["types"], prometheus["types"], "no family loses its type");
    let accepted = "cardhook_callbacks_total{account=secure,result=accepted}";
    for text in &texts {
        assert_eq!(text["types"]["cardhook_callbacks"], "counter");
        assert_eq!(text["types"]["cardhook_answer_seconds"], "histogram");
        assert_eq!(text["types"]["cardhook_spool_records"], "gauge");
        assert_eq!(text["samples"][accepted], 1.0);
        assert_eq!(text["samples"]["cardhook_config_last_reload_successful{}"], 1.0);
        let [open, most] =
            ["process_open_fds{}", "process_max_fds{}"].map(|name| text["samples"][name].as_f64().unwrap());
        assert!(0.0 < open && open < most, "{open} of {most}");
    }
    let names = |text: &serde_json::Value| text["samples"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(open_metrics), names(prometheus));
}

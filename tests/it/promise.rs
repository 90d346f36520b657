//! `docs/delivery.md` names tests that exist.

use std::path::Path;

use crate::support::project;

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *text += &std::fs::read_to_string(path).unwrap();
        }
    }
}

#[test]
fn every_test_that_the_promise_names_is_there() {
    let promise = std::fs::read_to_string(project("docs/delivery.md")).unwrap();
    let mut code = String::new();
    sources(&project("src"), &mut code);
    sources(&project("tests/it"), &mut code);
    let named: Vec<&str> = promise
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|quoted| quoted.rsplit(['…', ':']).next().filter(|last| last.len() > 30 && last.contains('_')))
        .collect();
    assert!(named.len() >= 14, "{named:?}");
    for test in named {
        assert!(code.contains(&format!("fn {test}(")), "there is no test {test}");
    }
}

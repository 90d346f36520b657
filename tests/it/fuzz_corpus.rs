//! Every fuzz target over its committed corpus: the targets stay true, and what fuzzing has found once stays found.
//!
//! `fuzz/README.md` says how the corpus was grown.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::project;

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Checks every input of a target's corpus and names the one that fails.
fn run(target: &str, check: fn(&[u8])) {
    let mut inputs: Vec<_> =
        std::fs::read_dir(project("fuzz/corpus").join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "no corpus");
    for input in inputs {
        let data = std::fs::read(&input).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| check(&data))).is_ok(), "fails on {}", input.display());
    }
}

#[test]
fn every_query_of_the_corpus_is_read_by_the_rules() {
    run("query", targets::query::check);
}

#[test]
fn every_ciphertext_of_the_corpus_opens_or_not_as_it_should() {
    run("cipher", targets::cipher::check);
}

#[test]
fn every_callback_of_the_corpus_is_verified_and_opened_by_the_contract() {
    run("envelope", targets::envelope::check);
}

#[test]
fn every_document_of_the_corpus_becomes_an_event_that_lost_nothing() {
    run("event", targets::event::check);
}

#[test]
fn every_record_of_the_corpus_is_valid_and_reads_back() {
    run("record", |data| targets::record::check(data, true));
}

#[test]
fn every_document_of_the_corpus_reads_as_a_second_parser_reads_it() {
    run("differential", targets::differential::check);
}

#[test]
fn every_damaged_spool_of_the_corpus_is_read_and_served_without_harm() {
    run("spool", targets::spool::check);
}

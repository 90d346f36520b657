//! Tests of reading pushes: helpers here are shared by the module's other tests.
use crate::protocol::{Child, Document, Value};

pub(super) fn document<'a>(children: &[(&'a str, &'a str)]) -> Document<'a> {
    let child = |(tag, text): &(&'a str, &'a str)| Child { tag: (*tag).into(), value: Value::Text((*text).into()) };
    Document { children: children.iter().map(child).collect() }
}

pub(super) fn nested<'a>(tag: &'a str, inner_xml: &'a str) -> Child<'a> {
    Child { tag: tag.into(), value: Value::Elements(inner_xml.into()) }
}

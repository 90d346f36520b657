//! The public sample bodies beside the project, where they are: each card body has its type and its fields.

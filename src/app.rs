//! Wires the parts together: `build(config) → App`, `run_until(shutdown)`. The only place that does.

//! Logs: set up once, from `[log]`. Never a query string, a body, a code or an openid in a line.

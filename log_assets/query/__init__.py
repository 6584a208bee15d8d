"""Query: SQL of `athena_sql/` on the engine that is set. Filled in below by the port's interface."""

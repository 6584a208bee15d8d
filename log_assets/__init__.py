"""log_assets: captures encrypted web logs, compacts each hour losslessly, registers it and lets people query it.

The house, from roof to ground; imports point downwards only (a test holds both this drawing and that):

    __main__                `python -m log_assets`
    commands/               all that a terminal sees
    web/                    what a browser reaches: a guard, and Dagster's webserver behind it
    definitions             the only place that wires Dagster's parts together
    defs/                   all that knows Dagster
    ports                   the settings' URLs → adapters, each imported when it is asked for
    settings                four URLs and a key, from the environment and `.env`
    steps/                  the use cases: capture, transform, compact, publish, audit, restore, tidy
    query/                  SQL on DuckDB, Athena or Trino
    source/ catalog/        where windows come from; which generation of an hour is published
    lake/                   objects, and what their keys are called
    records/                token → payload → row → lines: pure, bytes in and bytes out
    aws retries             what every client of AWS shares; how a call that failed is made again
    hour                    the hour's one identity, and the clock's type
    errors                  the family of errors a user may meet

Each package's docstring is the sign on its door: what belongs there and what does not. `athena_sql/`, beside this
package, is the single truth of the schema. docs/architecture.md tells how an hour travels through it all, and why so.
"""

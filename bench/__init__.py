"""The benchmark: this project against what people write today, in one run on one machine. `make bench` runs it.

Here belongs what is measured (`data`), the peers as their own users would write them (`script`, `with_dlt`,
`with_polars`), what no program can do without (`floor`), this project's own path (`ours`), and the measuring. Nothing
in `log_assets` may need it. Ratios of one run are quoted, never times of two: machines differ, and are shared.
"""

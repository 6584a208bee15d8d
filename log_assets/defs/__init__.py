"""defs: all that knows Dagster: what exists (assets), what must hold (checks), when it runs (sensors, jobs).

Here belongs how the steps look from Dagster: partitions, metadata, run requests, and every private name of Dagster's
(`private`). Not here: what a step does (`steps`), which adapter a URL picks (`ports`), or the wiring (`definitions`).
"""

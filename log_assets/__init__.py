"""log_assets: captures encrypted web logs, compacts each hour losslessly, registers it and lets people query it.

The house, from roof to ground; imports point downwards only:

    definitions, cli            wiring: Dagster's and the command line's
    assets, checks, automation  Dagster: what exists, what must hold, when it runs
    resources, settings         four URLs and a key → adapters
    steps                       the use cases
    source, lake, catalog, query   the ports, one file an adapter
    aws                         what every client of AWS shares
    records                     token, payload, row, lines: pure
    hour, errors                the vocabulary
"""

"""Commands: all that a terminal sees: what is typed, what is printed, and what runs until Ctrl+C.

Here belongs the wording of output and errors for a person at a terminal, and the processes that `up` starts. Not here:
what a step does (`steps`), or what a browser sees (`defs`). A command imports what it needs when it runs, so that
`--help` answers at once and `poll` runs without Dagster.
"""

"""web: what a browser reaches: Dagster's webserver, and the guard that stands in front of it.

Here belongs who may ask for what over HTTP, and how it is served. Not here: what a terminal sees (`commands`), what
Dagster's pages show (`defs`), or who somebody is: a login is a proxy's in front (deploy/compose-login.yaml).
"""

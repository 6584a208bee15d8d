"""The ports as Dagster's resource: a plain object that run configuration cannot override.

A `ConfigurableResource` takes any of its fields from a launched run's configuration, also as
`{"env": "ANY_VARIABLE"}`: whoever may launch a run could then point a URL elsewhere, or print a secret. This one has no
configuration to override: a run that tries is refused before it starts.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from log_assets.ports import Ports

PORTS = "ports"
"""The resource's name: what assets, ops and the sensor call their argument of type `dg.ResourceParam[Ports]`."""


def resources(ports: Ports) -> Mapping[str, dg.ResourceDefinition]:
    """What `ports` is called in Dagster."""
    described = "Source, lake, catalog, query engine, key and worker processes, as the settings name them."
    return {PORTS: dg.ResourceDefinition(lambda _: ports, config_schema={}, description=described)}

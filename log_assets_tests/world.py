"""A pipeline with a Dagster instance of its own, run in process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from log_assets.definitions import build_defs
from log_assets.defs.keys import HOURS_JOB
from log_assets.defs.private import RANGE_END_TAG, RANGE_START_TAG
from log_assets.defs.sensors import Rules
from log_assets.hour import Hour
from log_assets_tests.kit import H0, Kit

QUICK = Rules(refresh=timedelta(0), backoff=(timedelta(minutes=1),), attempts=2)


class World:
    """A pipeline's folder, its settings in the environment, and a Dagster instance of its own."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.source = folder / "source"
        self.source.mkdir()
        self.kit = Kit(folder / "home")
        os.environ.update(
            {
                "SOURCE_URL": self.source.as_uri(),
                "LOG_ASSETS_HOME": str(folder / "home"),
                "START_HOUR": H0.plus(-5),
                "REFRESH_MINUTES": "0",
            }
        )

    def definitions(self) -> dg.Definitions:
        return build_defs(rules=QUICK)

    def run(
        self, job: str, hours: Sequence[Hour], tags: dict[str, str] | None = None, **options: Any
    ) -> dg.ExecuteInProcessResult:
        spans: dict[str, str] = {}
        if len(hours) > 1:
            spans = {RANGE_START_TAG: hours[0], RANGE_END_TAG: hours[-1]}
        return (
            self.definitions()
            .resolve_job_def(job)
            .execute_in_process(
                instance=self.instance,
                tags={**spans, **(tags or {})},
                partition_key=hours[0] if len(hours) == 1 else None,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                **options,
            )
        )

    def tick(self, cursor: str | None = None) -> tuple[list[dg.RunRequest], dg.SensorResult]:
        definitions = self.definitions()
        repository = definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance, cursor=cursor, definitions=definitions, resources=definitions.resources
        ) as context:
            result = repository.get_sensor_def("stale_hours")(context)
        assert isinstance(result, dg.SensorResult)
        return [request for request in result.run_requests or [] if request.job_name == HOURS_JOB], result

    def materializations(self, asset: dg.AssetKey, hour: Hour | None = None) -> Sequence[dg.EventLogRecord]:
        wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[hour] if hour else None)
        return self.instance.fetch_materializations(wanted, limit=1000).records

    def metadata(self, asset: dg.AssetKey, hour: Hour) -> dict[str, Any]:
        materialization = self.materializations(asset, hour)[0].asset_materialization
        assert materialization is not None
        return {name: value.value for name, value in materialization.metadata.items()}

    def checks(self, name: str) -> dict[str, dg.AssetCheckEvaluation]:
        """The newest evaluation of a check, by partition."""
        found: dict[str, dg.AssetCheckEvaluation] = {}
        for event in self.instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION), limit=5000, ascending=True
        ):
            evaluation = event.event_log_entry.asset_check_evaluation
            if evaluation is not None and evaluation.check_name == name:
                found[str(evaluation.partition)] = evaluation
        return found

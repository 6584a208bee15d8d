"""Whether Dagster's daemon and the sensor are alive, as JSON: `doctor` asks in a process of its own, so that it needs
no Dagster itself, and tells when Dagster cannot even be loaded.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from log_assets.defs.keys import SENSOR

_SENSOR_DAEMON = "SENSOR"


def state(instance: dg.DagsterInstance, now: datetime) -> dict[str, Any]:
    """What is known of them.

    `heartbeat` and `tick` are seconds since the sensor daemon's last sign and the sensor's last tick, None when there
    was none; `stopped`, whether a person switched the sensor off; `error`, why the last tick failed, or empty.
    """
    heartbeat = instance.get_daemon_heartbeats().get(_SENSOR_DAEMON)
    found: dict[str, Any] = {
        "heartbeat": None if heartbeat is None else now.timestamp() - heartbeat.timestamp,
        "tick": None,
        "stopped": False,
        "error": "",
    }
    for sensor in instance.all_instigator_state():
        if sensor.instigator_name != SENSOR:
            continue
        found["stopped"] = sensor.status.value == "STOPPED"
        for tick in instance.get_ticks(sensor.instigator_origin_id, sensor.selector_id, limit=1):
            found["tick"] = now.timestamp() - tick.timestamp
            found["error"] = (tick.error.message.strip().splitlines() or [""])[0] if tick.error else ""
    return found


if __name__ == "__main__":
    with dg.DagsterInstance.get() as _instance:
        print(json.dumps(state(_instance, datetime.now(UTC))))

"""The private names of Dagster's that tests need: deploy/'s files are held against Dagster's own schema and commands.

Beside `log_assets/defs/private.py` the only place where they may stand. Way out for all of them: a public command that
validates a dagster.yaml.
"""

from dagster._config import process_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._daemon.cli import create_dagster_daemon_cli

__all__ = ["ComputeIOType", "InstanceRef", "create_dagster_daemon_cli", "process_config"]

"""S3 and Glue (moto), Trino, and Athena over it, on this machine: `make aws-local`; prints settings to paste."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import boto3
from moto.server import ThreadedMotoServer

from log_assets_tests.athena_server import WorkGroup, athena
from log_assets_tests.aws_calls import Tap
from log_assets_tests.maven import NoJava
from log_assets_tests.trino_server import trino

BUCKET = "log-assets"
REGION: Final = "eu-central-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}


@contextmanager
def moto() -> Iterator[str]:
    """The APIs of S3, Glue and IAM on a free port of 127.0.0.1: their URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    assert server._server is not None
    server._server.app = Tap(server._server.app)
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def main() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    os.environ.update(CREDENTIALS)
    try:
        with (
            moto() as endpoint,
            tempfile.TemporaryDirectory() as folder,
            trino(Path(folder), endpoint) as trino_url,
            athena(trino_url) as (server, athena_endpoint),
        ):
            os.environ["AWS_ENDPOINT_URL"] = endpoint
            boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
            server.workgroups["logs"] = WorkGroup(f"s3://{BUCKET}/athena-results/")
            settings = CREDENTIALS | {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ENDPOINT_URL_ATHENA": athena_endpoint,
                "LAKE_URL": f"s3://{BUCKET}/lake",
                "CATALOG_URL": "glue://web_logs",
                "QUERY_URL": "athena://logs",
                "TRINO_URL": trino_url,
            }
            for name, value in settings.items():
                print(f"export {name}={value}", flush=True)
            print("# all of it is gone after Ctrl+C; QUERY_URL=$TRINO_URL asks Trino itself", flush=True)
            stop.wait()
    except NoJava as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main()

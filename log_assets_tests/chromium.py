"""A Chromium that is told what to do over its own debugging protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil
from websockets.sync.client import ClientConnection, connect

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1500,1000",
]  # fmt: skip
# A name of someone else's that leads to this machine, as a rebound one does.
REBOUND = "rebound.example"


def executable() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Tab:
    """A page that is open, and what stands in it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, count(1)
        self._told("Page.enable")

    def open(self, url: str) -> None:
        self._told("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({json.dumps(url)}) && document.readyState == 'complete'")

    def run(self, script: str) -> Any:
        """What an expression of the page's own comes to; of a promise, once it has."""
        found = self._told(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 60) -> Any:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not (found := self.run(condition)):
            assert time.monotonic() < end, (condition, self.run("document.body.innerText"))
            time.sleep(0.1)
        return found

    def click(self, text: str, kind: str = "button") -> None:
        """Click the last element whose text begins so, once it is there and can be clicked."""
        ready = f"one => one.innerText.trim().startsWith({json.dumps(text)}) && !one.disabled"
        shown = f"[...document.querySelectorAll({json.dumps(kind)})].filter({ready})"
        self.wait(f"{shown}.length > 0")
        self.run(f"{shown}.at(-1).click()")

    def _told(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(timeout=60))).get("id") != number:
            pass
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found


@contextmanager
def tab(chromium: str, folder: Path) -> Iterator[Tab]:
    """A tab of a browser of its own; REBOUND leads to 127.0.0.1 in it."""
    profile = folder / "driven"
    command = [chromium, *FLAGS, "--remote-debugging-port=0", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"]
    command += ["--remote-allow-origins=*", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ) as process:
        try:
            file, end = profile / "DevToolsActivePort", time.monotonic() + 30
            while not file.exists() or not file.read_text():
                assert time.monotonic() < end
                time.sleep(0.1)
            pages = httpx.get(f"http://127.0.0.1:{file.read_text().split()[0]}/json").json()
            (url,) = [page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"]
            with connect(url, max_size=None) as socket:
                yield Tab(socket)
        finally:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            process.terminate()
            _, alive = psutil.wait_procs(family, 10)
            for member in alive:
                member.kill()

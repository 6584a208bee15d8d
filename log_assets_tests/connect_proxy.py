"""A proxy that notes which hosts are asked for by CONNECT, and lets none through; or leads each to one address."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class ConnectProxy:
    """What was asked for, as ``host:port``, in order; and where it leads to, if anywhere."""

    url: str
    leads_to: tuple[str, int] | None = None
    hosts: list[str] = field(default_factory=list)


@contextmanager
def connect_proxy(leads_to: tuple[str, int] | None = None) -> Iterator[ConnectProxy]:
    """A proxy on a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = ConnectProxy(f"http://127.0.0.1:{listener.getsockname()[1]}", leads_to)
        threading.Thread(target=_serve, args=(listener, made), daemon=True).start()
        yield made
        # Wakes the thread that accepts.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, proxy: ConnectProxy) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(connection, proxy), daemon=True).start()


def _connect(connection: socket.socket, proxy: ConnectProxy) -> None:
    with connection, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head and (some := connection.recv(4096)):
            head += some
        proxy.hosts.append(head.split(b" ")[1].decode())
        if proxy.leads_to is None:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(proxy.leads_to) as target:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pass_on, args=(target, connection), daemon=True)
            back.start()
            pass_on(connection, target)
            back.join()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Everything that comes from `source`, until it ends."""
    with contextlib.suppress(OSError):
        while some := source.recv(65536):
            target.sendall(some)
        target.shutdown(socket.SHUT_WR)

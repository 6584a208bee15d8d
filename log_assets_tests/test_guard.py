"""The guard in front of Dagster's real webserver: whatever another page can make a browser send, nothing gets done."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPMessage
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from log_assets.defs.keys import SENSOR
from log_assets.errors import SettingError
from log_assets.records.token import Keyring
from log_assets.settings import WITHOUT_KEY, Settings
from log_assets.web.guard import LOOPBACK, refusal
from log_assets_tests.ui import LAUNCH, REPOSITORY, Ui, environment_of, running, typed

NAMED = "logs.example.com"
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
HTML = ("Accept", "text/html,application/xhtml+xml")
Header = tuple[str, str]


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`log-assets web` in a folder whose .env holds the key, known by another name as well."""
    folder = tmp_path_factory.mktemp("ui")
    environment = environment_of(folder)
    typed(folder, environment, "init")
    with running(folder, environment | {"ALLOWED_HOSTS": f"{NAMED}, other.example.com"}, "web") as found:
        yield found


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    text: str


def sent(ui: Ui, method: str, path: str, *headers: Header, body: str = "") -> Answer:
    """The answer to a request with just these headers, and a Host unless one is given (an empty one: none)."""
    connection = HTTPConnection("127.0.0.1", ui.port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if "Host" not in dict(headers):
        connection.putheader("Host", f"127.0.0.1:{ui.port}")
    for name, value in headers:
        if value:
            connection.putheader(name, value.replace("PORT", str(ui.port)))
    if body:
        connection.putheader("Content-Length", str(len(body.encode())))
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    with contextlib.closing(connection):
        return Answer(answer.status, answer.headers, answer.read().decode("latin-1"))


def asked(query: str) -> str:
    return json.dumps({"query": query})


def kind(content: str) -> Header:
    return ("Content-Type", content)


Attempt = tuple[str, str, str, list[Header], str, set[int]]


def attempts(mutation: str) -> Iterator[Attempt]:
    """Every way in which a mutation may be tried: method, path, headers, body, and how it is refused."""
    in_url = "/graphql?" + urlencode({"query": mutation})
    several = "/graphql?" + urlencode({"query": f"query A {{ version }} {mutation}", "operationName": ""})
    body = asked(mutation)
    own = ("Origin", "http://127.0.0.1:PORT")
    preflight = [("Access-Control-Request-Method", "POST"), ("Origin", "null")]

    yield "an image or a script", "GET", in_url, [("Sec-Fetch-Site", "cross-site")], "", {403}
    yield "GET of an old browser", "GET", in_url, [], "", {405}
    yield "GET from the UI's own page", "GET", in_url, [own, ("Sec-Fetch-Site", "same-origin")], "", {405}
    yield "a link", "GET", in_url, [HTML, ("Sec-Fetch-Site", "none")], "", {200}
    yield "a link of another page", "GET", in_url, [HTML, *NAVIGATION], "", {403}
    yield "a frame", "GET", "/", [HTML, *NAVIGATION[:2], ("Sec-Fetch-Dest", "iframe")], "", {403}
    yield "HEAD", "HEAD", in_url, [], "", {405}
    yield "HEAD for a page", "HEAD", in_url, [HTML], "", {405}
    yield "several operations", "GET", several, [], "", {405}
    yield "a body with GET", "GET", "/graphql", [JSON], body, {405}
    yield "a form", "POST", in_url, [FORM], "", {415}
    yield "a form with fields", "POST", "/graphql", [FORM], urlencode({"query": mutation}), {415}
    yield "a form of plain text", "POST", "/graphql", [kind("text/plain")], body, {415}
    yield "plain text with more", "POST", "/graphql", [kind("text/plain; x=application/json")], body, {415}
    yield "a form with files", "POST", in_url, [kind("multipart/form-data; boundary=x")], "--x--", {415}
    yield "GraphQL's own type", "POST", "/graphql", [kind("application/graphql")], mutation, {415}
    yield "two types", "POST", "/graphql", [kind("text/plain"), JSON], body, {415}
    yield "two types, the other way", "POST", "/graphql", [JSON, kind("text/plain")], body, {415}
    yield "no type", "POST", in_url, [], "", {415}
    yield "another type's name, in the URL", "POST", in_url, [kind("Application/JSON")], "{}", {400}
    yield "a beacon", "POST", in_url, [("Origin", "null")], body, {403}
    for origin in FOREIGN:
        yield f"Origin: {origin}", "POST", "/graphql", [JSON, ("Origin", origin)], body, {403}
    yield "two Origins", "POST", "/graphql", [JSON, own, ("Origin", "http://evil.example")], body, {403}
    for site in ("cross-site", "same-site", "whatever", "same-origin, cross-site"):
        yield f"from {site}", "POST", "/graphql", [JSON, ("Sec-Fetch-Site", site)], body, {403}
    yield "posted by a navigation", "POST", "/graphql", [JSON, *NAVIGATION], body, {403}
    for host in ("evil.example:PORT", "127.0.0.1.evil.example:PORT", "127.1:PORT", "[::2]:PORT"):
        rebound = [JSON, ("Host", host), ("Origin", f"http://{host}"), ("Sec-Fetch-Site", "same-origin")]
        yield f"Host: {host}", "POST", "/graphql", [JSON, ("Host", host)], body, {403}
        yield f"rebound to {host}", "POST", "/graphql", rebound, body, {403}
    for host in (
        "",
        "localhost.",
        "127.0.0.1@evil.example",
        "127.0.0.1:1:2",
        "127.0.0.1/x",
        "*",
        "[127.0.0.1",
        "[::1]:x",
    ):
        yield f"Host: {host!r}", "POST", "/graphql", [JSON, ("Host", host)], body, {400}
    yield "two Hosts", "POST", "/graphql", [JSON, ("Host", "127.0.0.1:PORT"), ("Host", "evil.example")], body, {400}
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        yield method, method, in_url, [JSON], body, {405}
    yield "asked first", "OPTIONS", "/graphql", preflight, "", {403}
    for path in ("//graphql", "/graphql/", "/GraphQL"):
        yield path, "GET", in_url.replace("/graphql", path, 1), [], "", {200, 404}
    yield "another spelling", "GET", in_url.replace("/g", "/%67", 1), [], "", {405}
    for name, more in {
        "materialization": "",
        "check": "&check_name=hour_is_sound&passed=true",
        "observation": "",
    }.items():
        path = f"/report_asset_{name}/raw_logs?partition=2023-03-10-01{more}"
        yield f"{name} by a form", "POST", path, [FORM], "", {415}
        yield f"{name} by nothing", "POST", path, [], "", {415}
        yield f"{name} by a link", "GET", path, [HTML], "", {200, 405}
        yield f"{name} from elsewhere", "POST", path, [JSON, ("Origin", "http://evil.example")], "{}", {403}


NAVIGATION = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
FOREIGN = [
    "null",
    "http://evil.example",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://localhost:PORT",
    "http://127.0.0.1:PORT.evil.example",
    "http://127.0.0.1:PORT/",
    "http://user@127.0.0.1:PORT",
    "file://",
    "chrome-extension://127.0.0.1:PORT",
    f"https://{NAMED}",
    "127.0.0.1:PORT",
]


@pytest.mark.parametrize("mutation", ["launch", "stop"])
def test_nothing_gets_done_but_by_the_ui(ui: Ui, mutation: str) -> None:
    """All of it leaves everything as it was; and the mutation works, asked for as the UI does."""
    text = LAUNCH if mutation == "launch" else ui.stop_sensor()
    before = ui.state()
    for what, method, path, headers, body, statuses in attempts(text):
        answer = sent(ui, method, path, *headers, body=body)
        assert answer.status in statuses, (what, answer.status, answer.text)
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert ui.state() == before
    ui.ask(text)
    assert ui.state() != before
    ui.start_sensor()


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        (("Host", "evil.example"), "ALLOWED_HOSTS"),
        (("Host", ""), "names no host"),
        (("Origin", "http://evil.example"), "ALLOWED_HOSTS"),
        (("Sec-Fetch-Site", "cross-site"), "another web page"),
    ],
)
def test_what_is_refused_is_told_in_one_line(ui: Ui, header: Header, hint: str) -> None:
    answer = sent(ui, "GET", "/", header)
    assert hint in answer.text
    assert answer.text.count("\n") == 1
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "evil" not in answer.text


@pytest.mark.parametrize("name", [*sorted(LOOPBACK), NAMED, "OTHER.example.com", "LocalHost"])
def test_the_ui_is_served_under_its_names(ui: Ui, name: str) -> None:
    """On this machine, through a tunnel from another port, and behind a proxy that ends TLS."""
    query = asked("{ version }")
    for host, origin in (
        (f"{name}:{ui.port}", f"http://{name}:{ui.port}"),
        (f"{name}:8080", f"http://{name}:8080"),
        (name, f"http://{name}"),
        (name, f"https://{name}"),
        (f"{name}:443", f"https://{name}"),
        (name, ""),
    ):
        page = [("Host", host), *([("Origin", origin)] if origin else [])]
        assert sent(ui, "POST", "/graphql", JSON, *page, body=query).status == 200, (host, origin)
        assert sent(ui, "GET", "/assets", ("Host", host)).status == 200
    json_of = kind("application/json ; charset=utf-8")
    assert sent(ui, "POST", "/graphql", json_of, ("Host", name), body=query).status == 200


@pytest.mark.parametrize("path", ["/", "/assets", "/runs/x", "/server_info", "/favicon.png", "/logs/none/out"])
def test_pages_can_be_opened_and_linked_to(ui: Ui, path: str) -> None:
    wanted = 404 if path.startswith("/logs") else 200
    assert sent(ui, "GET", path).status == wanted
    assert sent(ui, "HEAD", path).status == wanted
    assert sent(ui, "GET", path, HTML, *NAVIGATION).status == wanted
    assert sent(ui, "GET", path, ("Sec-Fetch-Site", "same-origin")).status == wanted
    assert sent(ui, "GET", path, ("Sec-Fetch-Site", "cross-site")).status == 403


def test_no_page_may_hold_the_ui_in_a_frame_or_its_answers(ui: Ui) -> None:
    for path in ("/", "/graphql", "/server_info", "/favicon.png", "/logs/none/out"):
        answer = sent(ui, "GET", path, HTML)
        policies = answer.headers.get_all("Content-Security-Policy")
        assert policies is not None
        assert "frame-ancestors 'none'" in policies
        # Dagster's own stays.
        assert any("script-src 'nonce-" in one for one in policies) is (path == "/")
        for name, value in {
            "X-Frame-Options": "DENY",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            assert answer.headers.get_all(name) == [value], (path, name)
        assert "Server" not in answer.headers
    assert sent(ui, "GET", "/", ("Host", "evil.example")).headers["X-Frame-Options"] == "DENY"


def opened(ui: Ui, origin: str | None) -> ClientConnection:
    own = Origin(origin.replace("PORT", str(ui.port))) if origin else None
    return connect(f"ws://127.0.0.1:{ui.port}/graphql", subprotocols=[Subprotocol("graphql-ws")], origin=own)


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:PORT"])
def test_a_websocket_is_for_subscriptions_and_runs_no_mutation(ui: Ui, origin: str | None) -> None:
    before = ui.state()
    with opened(ui, origin) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(timeout=30)) == {"type": "connection_ack"}
        socket.send(json.dumps({"type": "start", "id": "1", "payload": {"query": LAUNCH}}))
        assert json.loads(socket.recv(timeout=30))["type"] == "error"
    assert ui.state() == before


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        *(("127.0.0.1:PORT", origin, None) for origin in FOREIGN),
        ("evil.example:PORT", None, None),
        ("evil.example:PORT", "http://evil.example:PORT", None),
        ("127.0.0.1:PORT", None, "cross-site"),
        ("127.0.0.1:PORT", "http://127.0.0.1:PORT", "same-site"),
    ],
)
def test_no_other_page_opens_a_websocket(ui: Ui, host: str, origin: str | None, site: str | None) -> None:
    headers = [("Host", host), ("Origin", origin or ""), ("Sec-Fetch-Site", site or "")]
    shake = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    answer = sent(ui, "GET", "/graphql", *headers, *shake, ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
    assert answer.status == 403


def test_a_refused_websocket_is_told_why(ui: Ui) -> None:
    with pytest.raises(InvalidStatus) as caught:
        opened(ui, "http://evil.example")
    assert caught.value.response.status_code == 403
    assert b"ALLOWED_HOSTS" in bytes(caught.value.response.body or b"")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "QUERY"])
@pytest.mark.parametrize("path", ["/graphql", "/", "/report_asset_check/raw_logs"])
def test_no_other_method_reaches_dagster(method: str, path: str) -> None:
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    found = refusal({"type": "http", "method": method, "path": path, "headers": headers}, LOOPBACK)
    assert found is not None
    assert found.status == 405


def test_the_images_health_check_is_answered(ui: Ui) -> None:
    text = (Path(__file__).parent.parent / "deploy/Containerfile").read_text()
    (command,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", text, re.MULTILINE)
    program, *arguments = json.loads(command.replace(":3000/", f":{ui.port}/"))
    assert program == "python"
    subprocess.run([sys.executable, *arguments], check=True)
    nowhere = [one.replace(str(ui.port), "1") for one in arguments]
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([sys.executable, *nowhere], check=True, capture_output=True)


NAMES = ["127.0.0.1", "localhost", "[::1]", NAMED, "evil.example"]
PORTS = ["", ":80", ":443", ":3000"]


@pytest.mark.parametrize("host", ["".join(one) for one in product(NAMES, PORTS)])
def test_an_origin_is_own_if_it_is_the_very_host_and_port(host: str) -> None:
    """Held against the same in other words: written out with its port, an origin is the host."""
    for scheme, name, port in product(("http", "https"), NAMES, PORTS):
        default = {"http": ":80", "https": ":443"}[scheme]
        written = name + (port or default)
        whole = host if host.rpartition("]")[2].count(":") else host + default
        allowed = "evil" not in host and written == whole
        given = [(b"host", host.encode()), (b"origin", f"{scheme}://{name}{port}".encode())]
        found = refusal({"type": "http", "method": "GET", "path": "/", "headers": given}, LOOPBACK | {NAMED})
        assert (found is None) is allowed, (host, scheme, name, port)


@given(
    st.sampled_from(["http", "websocket"]),
    st.lists(
        st.tuples(
            st.sampled_from([b"host", b"origin", b"sec-fetch-site", b"content-type", b"accept"]),
            st.sampled_from([b"127.0.0.1", b"http://127.0.0.1", b"same-origin", b"application/json", b"text/html"])
            | st.binary(max_size=20),
        ),
        max_size=6,
    ),
    st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
    st.sampled_from(["/", "/graphql"]),
)
def test_whatever_is_sent_is_judged(kind: str, headers: list[tuple[bytes, bytes]], method: str, path: str) -> None:
    """And what passes names one allowed host, and no other origin or site."""
    scope: dict[str, Any] = {"type": kind, "method": method, "path": path, "headers": headers}
    if refusal(scope, LOOPBACK) is None:
        found = {name: [value.lower() for other, value in headers if other == name] for name, _ in headers}
        (host,) = found[b"host"]
        assert host.rsplit(b":", 1)[0] in (b"127.0.0.1", b"localhost", b"[::1]") or host in (b"[::1]",)
        assert set(found.get(b"origin", [])) <= {b"http://" + host, b"https://" + host}
        assert set(found.get(b"sec-fetch-site", [])) <= {b"same-origin", b"none", b""}
        assert kind == "websocket" or method != "POST" or found[b"content-type"] == [b"application/json"]


def test_read_only_shows_and_changes_nothing(tmp_path: Path) -> None:
    environment = environment_of(tmp_path)
    typed(tmp_path, environment, "init")
    with running(tmp_path, environment, "web", "--read-only") as ui:
        before = ui.state()
        assert ui.ask(LAUNCH)["launchRun"]["__typename"] == "UnauthorizedError"
        assert ui.ask(ui.stop_sensor())["stopSensor"]["__typename"] == "UnauthorizedError"
        for name in ("materialization", "check", "observation"):
            body = json.dumps({"partition": "2023-03-10-01", "check_name": "hour_is_sound", "passed": True})
            assert sent(ui, "POST", f"/report_asset_{name}/raw_logs", JSON, body=body).status == 401
        assert ui.state() == before


def test_the_web_server_and_its_children_have_no_key(ui: Ui) -> None:
    """Not even in the memory of the process that loads the definitions: Dagster alone would read `.env` there."""
    key = dotenv_values(ui.folder / ".env")["f_key"]
    assert key
    children = ui.process.children(recursive=True)
    assert children
    for process in (ui.process, *children):
        assert "f_key" not in process.environ()
    for child in children:
        assert WITHOUT_KEY.encode() in memory(child.pid)
        assert key.encode() not in memory(child.pid)


def memory(process: int) -> bytes:
    """What a process has written into its memory."""
    found = []
    with Path(f"/proc/{process}/mem").open("rb", 0) as file:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(one, 16) for one in span.split("-"))
                with contextlib.suppress(OSError):
                    file.seek(start)
                    found.append(file.read(end - start))
    return b"".join(found)


def test_a_tick_asked_for_in_the_ui_says_who_evaluates_them(ui: Ui) -> None:
    found = ui.ask(
        """mutation($it: SensorSelector!) { sensorDryRun(selectorData: $it, cursor: "") {
            ... on DryRunInstigationTick { evaluationResult {
                skipReason runRequests { runKey } error { message } } } } }""",
        it=REPOSITORY | {"sensorName": SENSOR},
    )["sensorDryRun"]["evaluationResult"]
    assert found["error"] is None
    assert not found["runRequests"]
    assert "the daemon does" in found["skipReason"]


@pytest.mark.parametrize("source", ["environment", ".env"])
def test_the_web_servers_settings_hold_no_key(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Keyring.generate()
    if source == ".env":
        (tmp_path / ".env").write_text(f"f_key={key}\nREFRESH_MINUTES=7\n")
    else:
        monkeypatch.setenv("f_key", key)
        monkeypatch.setenv("REFRESH_MINUTES", "7")
    assert Settings.load().has_key
    monkeypatch.delenv("f_key", raising=False)
    monkeypatch.setenv(WITHOUT_KEY, "1")
    if source == "environment":
        monkeypatch.setenv("f_key", key)
    settings = Settings.load()
    assert (settings.has_key, settings.refresh_minutes) == (False, 7)
    with pytest.raises(SettingError, match=r"the web server is given no key.* daemon"):
        settings.keyring()


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("", ()),
        ("Logs.Example.com", ("logs.example.com",)),
        (" a.example , 10.0.0.1,,[fe80::1] ", ("a.example", "10.0.0.1", "[fe80::1]")),
    ],
)
def test_allowed_hosts_are_names(value: str, hosts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", value)
    assert Settings.load().allowed_hosts == hosts


@pytest.mark.parametrize("value", ["*", "https://logs.example.com", "logs.example.com:443", "a b", "::1", "a/b"])
def test_what_is_no_name_is_no_allowed_host(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", value)
    with pytest.raises(SettingError, match=r"^ALLOWED_HOSTS is malformed: .* without scheme, port or \*"):
        Settings.load()

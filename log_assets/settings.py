"""Settings: four URLs and a key, from the environment and `.env`; the environment wins."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self, get_args
from urllib.parse import quote

from dotenv import load_dotenv
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from log_assets.errors import HourError, SettingError
from log_assets.hour import Hour

if TYPE_CHECKING:
    from log_assets.records.token import Keyring

DOTENV = ".env"
DEMO_SOURCE = "demo://"
DEFAULT_DAYS = 7

WITHOUT_KEY = "LOG_ASSETS_WITHOUT_KEY"
"""Set by the web server for itself and all that it starts: `f_key` reaches none of them, from wherever it may come."""


def _hour(value: object) -> Hour | None:
    if value is None or value == "":
        return None
    try:
        return Hour(str(value))
    except HourError:
        raise ValueError("it is no hour of UTC: write it as YYYY-MM-DD-HH, like 2023-03-10-01") from None


_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]", re.ASCII)


def _hosts(value: object) -> tuple[str, ...]:
    # The default comes here too, as it is.
    given = value.split(",") if isinstance(value, str) else ()
    names = tuple(name.strip().lower() for name in given if name.strip())
    if not all(_HOST.fullmatch(name) for name in names):
        raise ValueError("write names with commas between, without scheme, port or *, like logs.example.com")
    return names


def _folder(variable: str, path: Path) -> Path:
    """An absolute folder: Dagster's children would take a relative one for another, or refuse it.

    Raises:
        SettingError: it begins with something that a shell alone would have replaced.
    """
    try:
        path = path.expanduser()
    except RuntimeError:
        raise SettingError(f"{variable} names the home of a user who is not there: write the whole path") from None
    if str(path).startswith("$"):
        raise SettingError(f"{variable} begins with a $, which {DOTENV} replaces only as ${{NAME}}")
    return path.absolute()


class Settings(BaseSettings):
    """The settings as they stand; `Settings.load()` makes them.

    The field's alias is the environment variable; its description is the line in the README's table.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True, arbitrary_types_allowed=True)

    source_url: str = Field(
        "", alias="SOURCE_URL", description="where logs come from; init writes it down: demo://, unless one is set"
    )
    f_key: SecretStr | None = Field(
        None, alias="f_key", description="the source's Fernet key; several, newest first, with commas between"
    )
    lake_url: str = Field("", alias="LAKE_URL", description="where objects go; default: a folder under LOG_ASSETS_HOME")
    catalog_url: str = Field(
        "", alias="CATALOG_URL", description="where partitions are registered; default: SQLite under LOG_ASSETS_HOME"
    )
    query_url: str = Field("duckdb://", alias="QUERY_URL", description="what runs SQL; default: DuckDB, in process")
    home: Path = Field(
        Path(".log_assets"), alias="LOG_ASSETS_HOME", description="the folder for all that has no other place"
    )
    dagster_home: Path = Field(
        Path(), alias="DAGSTER_HOME", description="Dagster's own folder; default: dagster under LOG_ASSETS_HOME"
    )
    start_hour: Annotated[Hour | None, BeforeValidator(_hour)] = Field(
        None, alias="START_HOUR", description="the first partition, like 2023-03-10-01; init sets it to a week ago"
    )
    refresh_minutes: int = Field(
        15, alias="REFRESH_MINUTES", ge=0, description="how often the hour in progress is compacted; 0: at its close"
    )
    source_allow_http: bool = Field(
        False, alias="SOURCE_ALLOW_HTTP", description="1 allows a source without https on another host"
    )
    source_per_second: float = Field(
        5.0,
        alias="SOURCE_PER_SECOND",
        gt=0,
        description="requests a second to a source with history, at most",
    )
    workers: int | None = Field(
        None, alias="WORKERS", ge=1, description="processes that read and compact; default: as many as there are cores"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)] = Field(
        (),
        alias="ALLOWED_HOSTS",
        description="names under which the UI may be asked for, besides this machine's own; with commas between",
    )
    # Nobody's to set, so it has no description.
    without_key: bool = Field(False, alias=WITHOUT_KEY)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings,)

    @classmethod
    def load(cls) -> Self:
        """Read `.env` of the working directory into the environment, then the environment.

        `.env` goes into the environment itself, so that AWS variables in it reach every client and child alike.

        Raises:
            SettingError: a setting is malformed; the text names the variable, never its value.
        """
        file = Path.cwd() / DOTENV
        try:
            load_dotenv(file, override=False)
        except UnicodeDecodeError:
            raise SettingError(f"{file} is not in UTF-8: save it in UTF-8") from None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds a NUL"
            raise SettingError(f"{file} cannot be read ({why}): repair it, or remove it") from None
        if os.environ.get(WITHOUT_KEY):
            os.environ.pop("f_key", None)
        # boto3 knows this name alone; others, the AWS command line among them, the one without DEFAULT, and prefer it.
        if region := os.environ.get("AWS_REGION"):
            os.environ["AWS_DEFAULT_REGION"] = region
        # An empty variable is one that isn't set: compose files and unit files write them so.
        empty = [name for name in cls.variables() if os.environ.get(name) == ""]
        for name in empty:
            del os.environ[name]
        try:
            settings = cls()
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise SettingError(
                f"{first['loc'][0]} is malformed: {first['msg'].removeprefix('Value error, ')}"
            ) from None
        home = _folder("LOG_ASSETS_HOME", settings.home)
        given = settings.dagster_home
        return settings.model_copy(
            update={
                "home": home,
                "dagster_home": _folder("DAGSTER_HOME", given) if given != Path() else home / "dagster",
                "lake_url": settings.lake_url or (home / "lake").as_uri(),
                "catalog_url": settings.catalog_url or f"sqlite://{quote(str(home / 'catalog.db'))}",
            }
        )

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Every environment variable that somebody may set, with its description."""
        fields = cls.model_fields.items()
        return {field.alias or name: field.description for name, field in fields if field.description}

    @property
    def must_be_captured(self) -> bool:
        """Whether a capturer has to run all the time: a rolling window, which has no history to ask for later."""
        url = self.source_url
        return url.startswith(("http:", "https:")) and not ("{start}" in url and "{end}" in url)

    @property
    def keeps_history(self) -> bool:
        """Whether hours can be fetched later; of a folder, when their files come."""
        return bool(self.source_url) and not self.must_be_captured

    @classmethod
    def secrets(cls) -> frozenset[str]:
        """The variables that are secrets as a whole; of others, a URL may hold one."""
        fields = cls.model_fields.items()
        return frozenset(field.alias or name for name, field in fields if SecretStr in get_args(field.annotation))

    @property
    def is_demo(self) -> bool:
        return self.source_url.startswith(DEMO_SOURCE)

    def first_hour(self, now: datetime) -> Hour:
        """`START_HOUR`, or midnight UTC a week before `now`."""
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return self.start_hour or Hour.of(midnight - timedelta(days=DEFAULT_DAYS))

    def dagster_folder(self) -> Path:
        """`dagster_home`; raises `SettingError` when Dagster could not use it."""
        # Dagster puts it, as it is, into the URL of its databases.
        if found := re.search(r"\?|%[0-9A-Fa-f]{2}", str(self.dagster_home)):
            raise SettingError(
                f"Dagster's folder {self.dagster_home} holds a {found[0]}, which Dagster takes for a part of a URL: "
                "set DAGSTER_HOME to a folder without it"
            )
        return self.dagster_home

    def keyring(self) -> Keyring:
        """Raises `SettingError` when `f_key` is missing or malformed."""
        if self.f_key is None and self.without_key:
            raise SettingError(
                "the web server is given no key: what needs one is done by the daemon, in runs and ticks"
            )
        if self.f_key is None:
            where = "run log-assets init" if self.is_demo else f"put f_key=… into {DOTENV} or the environment"
            raise SettingError(f"f_key is not set, so nothing can be decrypted (capture goes on without it): {where}")
        from log_assets.records.token import Keyring

        return Keyring.parse(self.f_key.get_secret_value())

    @property
    def has_key(self) -> bool:
        return self.f_key is not None

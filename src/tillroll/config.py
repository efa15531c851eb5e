"""The settings in force: flags before the environment before one TOML file before the defaults.

The only reader of the environment. A setting has one name everywhere: `freshness_s` is the flag `--freshness-s` where a
command has it, the variable `TILLROLL_FRESHNESS_S`, and the key `freshness_s` of the file. `events_keep` is there the
key `keep` of the table `[events]`.
"""

from __future__ import annotations

import difflib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, get_type_hints

import msgspec

from tillroll.core.kept import Keep, KeepError
from tillroll.core.rejection import CAPACITY
from tillroll.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX: Final = "TILLROLL_"
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
CONFIG_FILE: Final = "tillroll.toml"
FRESHNESS_S: Final = 60.0
_SECRETS: Final = frozenset({"send_tokens", "read_tokens", "manage_tokens", "token"})
_TABLES: Final = frozenset({"events"})  # of the file: `[events] keep` is `events_keep`
# Empty, they would let anyone in.
_GUARDS: Final = frozenset({"tokens_file", "send_tokens", "read_tokens", "manage_tokens"})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting there is, with its default. What each means is its description."""

    data: Annotated[
        str,
        msgspec.Meta(
            min_length=1, description="The store: a directory, or dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE"
        ),
    ] = "./tillroll-data"
    host: Annotated[str, msgspec.Meta(min_length=1, description="The address the server listens on")] = "127.0.0.1"
    port: Annotated[
        int, msgspec.Meta(ge=0, le=65_535, description="The port the server listens on; 0 takes a free one")
    ] = 8080
    open_to_all: Annotated[
        bool, msgspec.Meta(description="Listen beyond loopback without tokens: anyone may connect")
    ] = False
    tokens_file: Annotated[
        str,
        msgspec.Meta(description="A file of lines `send TOKEN`, `read TOKEN`, `manage TOKEN` or `send,read TOKEN`"),
    ] = ""
    send_tokens: Annotated[
        tuple[str, ...], msgspec.Meta(description="Tokens that may send events; in the environment separated by commas")
    ] = ()
    read_tokens: Annotated[
        tuple[str, ...], msgspec.Meta(description="Tokens that may read; in the environment separated by commas")
    ] = ()
    manage_tokens: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Tokens that may make and drop reports; in the environment separated by commas"),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Origins whose pages may call the server, such as https://shop.example; "
            "in the environment separated by commas"
        ),
    ] = ()
    peer_connections_max: Annotated[
        int,
        msgspec.Meta(ge=0, description="Connections that one address may have to the server; 0 is half of all"),
    ] = 0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], msgspec.Meta(description="debug, info, warning or error")
    ] = "info"
    log_json: Annotated[bool, msgspec.Meta(description="Log one JSON object a line")] = False
    url: Annotated[str, msgspec.Meta(description="The server to query instead of a store")] = ""
    token: Annotated[str, msgspec.Meta(description="The token that is shown to a server")] = ""
    merchants: Annotated[
        str,
        msgspec.Meta(description="A CSV file of lines id,name: merchant names for the page; read when it changes"),
    ] = ""
    audit_at: Annotated[
        str, msgspec.Meta(description="When `serve` audits the store every day: HH:MM in UTC; empty is never")
    ] = ""
    zone: Annotated[
        str,
        msgspec.Meta(description="The default time zone of the page and of `report`: an IANA name, or UTC"),
    ] = "UTC"
    queue: Annotated[
        str,
        msgspec.Meta(description="The address of the SQS queue that `serve` puts events on and `work` takes them from"),
    ] = ""
    dead_letters: Annotated[
        str, msgspec.Meta(description="The address of the SQS queue that rejected messages go to")
    ] = ""
    fold_function: Annotated[
        str, msgspec.Meta(description="On AWS, the function that the batch function calls when a fold is due")
    ] = ""
    freshness_s: Annotated[
        float, msgspec.Meta(gt=0, le=3_600, description="The oldest that a report may be on AWS; longer is cheaper")
    ] = FRESHNESS_S
    count_write_units: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            description="On AWS, the write units a second that counting a report of one's own may use; 0 is no limit",
        ),
    ] = 0
    events_keep: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Fields that the journal keeps besides the contract's, such as country or customer.country; "
            "in the environment separated by commas"
        ),
    ] = ()
    rejected_max: Annotated[
        int, msgspec.Meta(ge=1, description="How many rejected events are kept; beyond it the answer tells the sender")
    ] = CAPACITY.rejections
    rejected_bytes_max: Annotated[
        int, msgspec.Meta(ge=1, description="The bytes that rejected events may use, as they are stored")
    ] = CAPACITY.stored_bytes


_NAMES: Final = Settings.__struct_fields__
_LISTS: Final = frozenset(name for name in _NAMES if isinstance(getattr(Settings(), name), tuple))


class Origin(NamedTuple):
    """Where a setting's value came from, for people."""

    setting: str
    value: object
    origin: str


class Config(NamedTuple):
    """The settings in force, and where each came from."""

    settings: Settings
    origins: dict[str, str]

    def files_with_secrets(self) -> set[str]:
        """Return the files that tokens were read from, or are to be."""
        named = {self.settings.tokens_file} if self.settings.tokens_file else set()
        origins = {self.origins[name] for name in _SECRETS if getattr(self.settings, name)}
        return named | {origin for origin in origins if not origin.startswith((PREFIX, "--"))}

    def shown(self) -> list[Origin]:
        """Return every setting with its value and origin, a secret as only whether it is set."""
        rows = []
        for name, origin in self.origins.items():
            value = getattr(self.settings, name)
            if name in _SECRETS and value:
                value = "(set)"
            rows.append(Origin(name, value, origin))
        return rows


def load(flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Return the settings in force.

    `flags` are what the command line gave by setting name, None for a flag that was not given; `config` names the file.
    `environ` stands in for the environment. A file that was named must exist; `tillroll.toml` here need not.

    Raises:
        ConfigError: a key is unknown, or a value is not what the setting takes.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    path = given.pop("config", None) or environ.get(CONFIG_VARIABLE)
    values: dict[str, object] = {}
    origins = dict.fromkeys(_NAMES, "default")
    layers = [
        _read_file(Path(str(path)) if path else None),
        _read_environment(environ),
        {name: (_parted(name, value), f"--{name.replace('_', '-')}") for name, value in given.items()},
    ]
    for layer in layers:
        for name, (value, origin) in layer.items():
            values[name] = _convert(name, value, origin)
            if name in _GUARDS and not values[name]:
                remedy = "Make a token with `tillroll token`, or leave the setting out"
                raise ConfigError(name, f"{origin} sets it, but it is empty", remedy)
            origins[name] = origin
    return Config(msgspec.convert(values, Settings), origins)


def _read_file(path: Path | None) -> dict[str, tuple[object, str]]:
    if path is None:
        path = Path(CONFIG_FILE)
        if not path.exists():
            return {}
    try:
        content = msgspec.toml.decode(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"the configuration file cannot be read ({error.strerror})"
        raise ConfigError(str(path), problem, "Name another") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"this is not TOML ({error})", "Lines are written: port = 8080") from error
    flat: dict[str, object] = {}
    for key, value in content.items():
        table = value if isinstance(value, dict) and key in _TABLES else None
        flat |= {key: value} if table is None else {f"{key}_{name}": each for name, each in table.items()}
    for key in flat:
        if key not in _NAMES:
            raise ConfigError(key, f"unknown setting in {path}", _nearest(key, _NAMES))
    return {key: (value, str(path)) for key, value in flat.items()}


def _read_environment(environ: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    """Return the settings the environment gives.

    A variable of our prefix that resembles a setting is taken for a misspelt one. Others are let be: orchestrators
    put variables such as TILLROLL_SERVICE_HOST beside a service of our name.
    """
    variables = {f"{PREFIX}{name.upper()}": name for name in _NAMES}
    found: dict[str, tuple[object, str]] = {}
    for variable, text in environ.items():
        name = variables.get(variable)
        if name is not None:
            found[name] = (_parted(name, text), variable)
        elif variable.startswith(PREFIX) and difflib.get_close_matches(variable, variables, 1, 0.9):
            raise ConfigError(variable, "unknown setting", _nearest(variable, variables))
    return found


def _parted(name: str, value: object) -> object:
    """Return a value as its setting takes it: a list, which a text gives parted by commas."""
    if name in _LISTS and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _convert(name: str, value: object, origin: str) -> object:
    strict = not isinstance(value, str)
    try:
        converted = msgspec.convert({name: value}, Settings, strict=strict)
    except msgspec.ValidationError as error:
        problem = str(error).partition(" - at ")[0]
        wanted = descriptions()[name]
        raise ConfigError(name, f"{value!r} from {origin}: {problem}", f"It is: {wanted}") from error
    if name == "events_keep":
        try:
            Keep(converted.events_keep)
        except KeepError as error:
            raise ConfigError(name, f"{error.problem}, from {origin}", error.remedy) from error
    return getattr(converted, name)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 3, 0.5)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"There are {', '.join(known)}"


@cache
def descriptions() -> Mapping[str, str]:
    """Return what each setting means."""
    described = {}
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        described[name] = next(meta.description for meta in hint.__metadata__)
    return described

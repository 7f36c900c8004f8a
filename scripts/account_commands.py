"""`quarterhour account <command>`: one for each kind of command, made from the contract (`schemas.commands`).

`add_funds` is `add-funds`; `amount_micros` is `--amount-usd 100.00`, `ends_us` is `--ends-at` (RFC 3339), a list is an
option given several times, limits are `--rate-limits name=number`, the fields of an inner structure are options too.
"""

from __future__ import annotations

import inspect as signatures
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any

import msgspec
import typer
from msgspec import inspect
from rich.console import Console

from schemas.catalog import micros_of_usd
from schemas.errors import ConfigurationError
from schemas.instants import micros_of_text
from schemas.settings import Settings
from scripts.account_client import AccountClient, new_id, show_answer
from streams.doors.accounts.kinds import KINDS

GIVEN_ELSEWHERE = ("admit_late",)
"""Kinds that are worked out and given by a command of their own: `quarterhour late admit`."""
Read = Callable[[Any], Any]
IdOption = Annotated[
    str | None, typer.Option("--id", help="idempotency key: the same again counts once; default: a random one, printed")
]
PersonOption = Annotated[
    str | None, typer.Option("--person", help="act as this user; default: QUARTERHOUR_TOKEN, else an operator")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print the answer as JSON")]
WorkspaceArgument = Annotated[str, typer.Argument(help="whose account")]


class Option:
    """One option of a command: where its value goes, how it is read, and what typer is told."""

    def __init__(self, path: tuple[str, ...], field: inspect.Field) -> None:
        self.path, self.required = path, field.required
        self.name, self.annotation, self._read = _spelled(field.name, _plain(field.type))

    def parameter(self) -> signatures.Parameter:
        """As typer takes it."""
        flag = f"--{self.name.replace('_', '-')}"
        default: Any = signatures.Parameter.empty if self.required else None
        annotation: Any = self.annotation if self.required else self.annotation | None
        kind = signatures.Parameter.KEYWORD_ONLY
        return signatures.Parameter(
            self.name, kind, default=default, annotation=Annotated[annotation, typer.Option(flag)]
        )

    def put(self, fields: dict[str, Any], value: Any) -> None:
        """Put a given value where it belongs; what was not given is left out."""
        if value is None or (value == [] and not self.required):
            return
        for part in self.path[:-1]:
            fields = fields.setdefault(part, {})
        try:
            fields[self.path[-1]] = self._read(value)
        except ValueError as error:
            raise ConfigurationError(f"--{self.name.replace('_', '-')} {value!r}: {error}") from None


def add_commands(app: typer.Typer) -> None:
    """Add a command for each kind."""
    for kind, body in KINDS.items():
        if kind in GIVEN_ELSEWHERE:
            continue
        app.command(kind.replace("_", "-"), help=_help(kind, body))(_command(kind, body))


def give(
    workspace: str, kind: str, fields: dict[str, Any], command_id: str | None, person: str | None, json: bool
) -> int:
    """Give a command and tell what came of it; the exit code."""
    console = Console(stderr=json)
    key = command_id or new_id()
    if command_id is None:
        console.print(f"id {key}", highlight=False)
    answer = AccountClient(Settings(), person).give(workspace, kind, fields, key)
    if json:
        typer.echo(msgspec.json.encode(answer.content).decode())
    else:
        show_answer(console, answer, workspace, key)
    return answer.exit_code


def options_of(body: Any) -> list[Option]:
    """The options of a kind of command, those of inner structures among them."""
    return _options(inspect.type_info(body), ())


def _options(struct: inspect.Type, path: tuple[str, ...]) -> list[Option]:
    assert isinstance(struct, inspect.StructType)
    found: list[Option] = []
    for field in struct.fields:
        kind = _plain(field.type)
        if isinstance(kind, inspect.StructType):
            found += _options(kind, (*path, field.name))
        else:
            found.append(Option((*path, field.name), field))
    return found


def _command(kind: str, body: Any) -> Callable[..., None]:
    options = options_of(body)

    def command(workspace: str, id: str | None, person: str | None, json: bool, **given: Any) -> None:
        fields: dict[str, Any] = {}
        for option in options:
            option.put(fields, given[option.name])
        raise typer.Exit(give(workspace, kind, fields, id, person, json))

    only = signatures.Parameter.KEYWORD_ONLY
    parameters = [
        signatures.Parameter("workspace", signatures.Parameter.POSITIONAL_OR_KEYWORD, annotation=WorkspaceArgument),
        *(option.parameter() for option in sorted(options, key=lambda option: not option.required)),
        signatures.Parameter("id", only, default=None, annotation=IdOption),
        signatures.Parameter("person", only, default=None, annotation=PersonOption),
        signatures.Parameter("json", only, default=False, annotation=JsonOption),
    ]
    command.__signature__ = signatures.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _spelled(name: str, kind: inspect.Type) -> tuple[str, Any, Read]:
    """An option's name, what typer takes it for, and how its value becomes the field's."""
    if name.endswith("_micros"):
        name = f"{name.removesuffix('_micros')}_usd"
        if isinstance(kind, inspect.VarTupleType):
            return name, list[str], lambda amounts: [micros_of_usd(amount) for amount in amounts]
        return name, str, micros_of_usd
    if name.endswith("_us"):
        return f"{name.removesuffix('_us')}_at", str, micros_of_text
    if isinstance(kind, inspect.LiteralType):
        choices = Enum(name, {str(value): str(value) for value in kind.values}, type=str)  # type: ignore[misc]
        return name, choices, lambda choice: choice.value
    if isinstance(kind, inspect.VarTupleType):
        inner: type = int if isinstance(_plain(kind.item_type), inspect.IntType) else str
        return name, list[inner], list  # type: ignore[valid-type]  # made from the contract
    if isinstance(kind, inspect.DictType):
        return name, list[str], _limits
    return name, int if isinstance(kind, inspect.IntType) else str, lambda value: value


def _plain(kind: inspect.Type) -> inspect.Type:
    """A type without its None."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind


def _limits(given: list[str]) -> dict[str, int]:
    limits: dict[str, int] = {}
    for limit in given:
        name, _, number = limit.partition("=")
        if not name or not number.isascii() or not number.isdigit():
            raise ValueError("a limit is name=number, e.g. requests_per_second=50")
        limits[name] = int(number)
    return limits


def _help(kind: str, body: Any) -> str:
    words = " ".join((signatures.getdoc(body) or "").split())
    sample = {str: "x", int: "1", list[str]: "x", list[int]: "50"}
    parts = [f"quarterhour account {kind.replace('_', '-')} acme"]
    for option in options_of(body):
        if option.required:
            parts.append(f"--{option.name.replace('_', '-')} {_sample(option, sample)}")
    return f"{words}\n\nExample: {' '.join(parts)}"


def _sample(option: Option, sample: dict[Any, str]) -> str:
    if option.name.endswith("_usd"):
        return "100.00"
    if isinstance(option.annotation, type) and issubclass(option.annotation, Enum):
        return str(next(iter(option.annotation)).value)
    return {"app": "helper", "owner": "olga@acme.example", "user": "ben@acme.example"}.get(
        option.name, sample[option.annotation]
    )

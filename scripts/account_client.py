"""Speaking to the account API: a request, its answer, and how a person is told of it.

Exit codes: 0 obeyed, 1 refused or not understood, 3 taken but not confirmed yet.
"""

from __future__ import annotations

import getpass
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from schemas.signin import Person, issue
from scripts.commands import running_address, signing_key_of
from scripts.doors import ACCOUNTS_API
from scripts.report import usd

PENDING_EXIT = 3
_LIFETIME = timedelta(minutes=5)
_TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said."""

    status: int
    content: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """See the module."""
        if self.content.get("outcome") == "pending":
            return PENDING_EXIT
        return 0 if self.status == 200 and self.content.get("outcome") == "accepted" else 1


class AccountClient:
    """The account API, spoken to by one person: whom the settings' token names, else an operator of this machine."""

    def __init__(self, settings: Settings, person: str | None = None) -> None:
        self._base = settings.accounts_url or running_address(settings, ACCOUNTS_API)
        self._token = self._token_of(settings, person)

    def _token_of(self, settings: Settings, person: str | None) -> str:
        if settings.token and person is None:
            return settings.token
        who = Person(person, "user") if person else Person(f"{getpass.getuser()}@cli", "operator")
        return issue(who, signing_key_of(settings), datetime.now(UTC), _LIFETIME)

    def give(self, workspace: str, kind: str, fields: dict[str, Any], command_id: str) -> Answer:
        """Give a command."""
        headers = {"Idempotency-Key": command_id}
        return self._ask("POST", f"v1/workspaces/{workspace}/commands/{kind}", headers, fields)

    def answer(self, workspace: str, command_id: str) -> Answer:
        """Ask what a command led to."""
        return self._ask("GET", f"v1/workspaces/{workspace}/answers/{command_id}", {}, None)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None) -> Answer:
        url = f"{self._base.rstrip('/')}/{path}"
        signed = {**headers, "Authorization": f"Bearer {self._token}"}
        encrypted = url.startswith("https://")  # reading all certificates takes longer than the request
        try:
            response = httpx.request(method, url, json=body, headers=signed, timeout=_TIMEOUT_SECONDS, verify=encrypted)
            content = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise ConfigurationError(f"the account API at {self._base} does not answer: {error}") from None
        return Answer(response.status_code, content if isinstance(content, dict) else {"error": str(content)})


def new_id() -> str:
    """A command id nobody had before."""
    return f"cli-{secrets.token_hex(8)}"


def show_answer(console: Console, answer: Answer, workspace: str, command_id: str) -> None:
    """Tell a person what came of a command."""
    said = answer.content
    if said.get("outcome") == "accepted":
        again = ", as when it was first given" if said["repeated"] else ""
        kind, sequence = said["record"]["kind"], said["sequence"]
        console.print(f"[green]done[/green]{again}: {kind}, ledger record {sequence} of {workspace}")
        for table in _tables(said):
            console.print(table)
    elif said.get("outcome") == "pending":
        console.print("[yellow]accepted, not yet confirmed[/yellow]; it counts once. Ask again with:")
        console.print(f"quarterhour account answer {workspace} {command_id}", markup=False, soft_wrap=True)
    else:
        where = f" (ledger record {said['sequence']})" if "sequence" in said else ""
        console.print("[red]not done[/red]: ", end="")
        console.print(f"{said.get('error', answer.status)}{where}", markup=False, highlight=False, soft_wrap=True)


def _tables(said: dict[str, Any]) -> list[Table]:
    balances = Table("free", "paid, shared", "paid, of apps", "owed", title="balances, USD", title_justify="left")
    names = ("free_micros", "paid_shared_micros", "paid_apps_micros", "due_micros")
    balances.add_row(*(usd(said["balances"][name]) for name in names))
    lines = Table("account", "amount", "balance", title="lines, USD", title_justify="left")
    for line in said["record"]["lines"]:
        lines.add_row(escape(line["account"]), usd(line["amount_micros"]), usd(line["balance_micros"]))
    return [lines, balances] if said["record"]["lines"] else [balances]

"""The page's way to the account API: a command given with the person's token, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import httpx

_TIMEOUT_SECONDS = 10
Outcome = Literal["accepted", "pending", "refused", "away", "unknown"]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a command: a sentence for people. `away`: nobody answered; under the same key it counts once."""

    outcome: Outcome
    words: str
    sequence: int = 0


class AccountApi:
    """Speaks to the account API at `address`; without one there are no actions."""

    def __init__(self, address: str, transport: httpx.BaseTransport | None = None) -> None:
        self.address = address
        self._client = httpx.Client(timeout=_TIMEOUT_SECONDS, transport=transport) if address else None

    @property
    def is_there(self) -> bool:
        """Whether an address is set."""
        return self._client is not None

    def give(self, token: str, workspace: str, kind: str, key: str, fields: dict[str, Any]) -> Told:
        """Give a command under an idempotency key."""
        path = f"v1/workspaces/{quote(workspace, safe='')}/commands/{kind}"
        return self._ask("POST", path, token, {"Idempotency-Key": key}, fields)

    def ask_again(self, token: str, workspace: str, key: str) -> Told:
        """What a command led to, as far as it was heard lately."""
        path = f"v1/workspaces/{quote(workspace, safe='')}/answers/{quote(key, safe='')}"
        return self._ask("GET", path, token, {}, None)

    def _ask(self, method: str, path: str, token: str, headers: dict[str, str], body: dict[str, Any] | None) -> Told:
        if self._client is None:
            return Told("away", "No account API is set here (QUARTERHOUR_ACCOUNTS_URL), so nothing can be changed.")
        url = f"{self.address.rstrip('/')}/{path}"
        try:
            signed = {**headers, "Authorization": f"Bearer {token}"}
            response = self._client.request(method, url, json=body, headers=signed)
            content = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return _AWAY
        return _told(response.status_code, content if isinstance(content, dict) else {})


_AWAY = Told("away", "The account API does not answer. Nothing is lost: send the form again, it counts once.")


def _told(status: int, content: dict[str, Any]) -> Told:
    error = str(content.get("error", "")) or f"The account API answered {status}."
    match content.get("outcome"), status:
        case "accepted", _:
            sequence = int(content.get("sequence", 0))
            return Told("accepted", f"Done, in ledger record {sequence}.", sequence)
        case "pending", _:
            return Told("pending", "Accepted, not yet confirmed.")
        case _, 404:
            return Told("unknown", error)
        case _, status if status >= 500:
            return Told("away", f"{error} Nothing is lost: send the form again, it counts once.")
        case _:
            return Told("refused", error)

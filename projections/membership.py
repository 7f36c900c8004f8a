"""What a person is to a workspace (W1-W3), as the ledger says, and so what the person may see of it.

Nobody is told that a workspace exists that the person is no part of.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from clickhouse_connect.driver.client import Client

from projections.sql import read_sql

Role = Literal["operator", "owner", "member", "invited", "stranger"]


class Need(Enum):
    """What a page or an operation shows, and so who may have it."""

    SIGNED_IN = "nothing of a workspace, or of each only what the person is part of: everybody who signed in"
    PART = "that there is the workspace: its people, invited ones too"
    APP_SEEN = "an app without figures of billing: its owner and collaborators too"
    APP = "an app's usage, cost and charges: its owner too"
    WHOLE = "the whole workspace: its owners"
    OPERATOR = "all workspaces: operators"


@dataclass(frozen=True, slots=True)
class Standing:
    """A person in a workspace: a role, the apps owned, the apps worked on."""

    role: Role
    owns: frozenset[str] = frozenset()
    works_on: frozenset[str] = frozenset()

    @property
    def sees_all(self) -> bool:
        """Whether plan and usage of every app are open (W2)."""
        return self.role in ("operator", "owner")

    def meets(self, need: Need, app: str = "") -> bool:
        """Whether the person may have what needs this; `app` names the app it is about, if any."""
        match need:
            case Need.SIGNED_IN:
                return True
            case Need.OPERATOR:
                return self.role == "operator"
            case Need.PART:
                return self.role != "stranger"
            case Need.WHOLE:
                return self.sees_all
            case Need.APP:
                return self.sees_all or (self.role == "member" and app in self.owns)
            case Need.APP_SEEN:
                return self.sees_all or (self.role == "member" and app in self.owns | self.works_on)


OPERATOR = Standing("operator")
STRANGER = Standing("stranger")


def standing(client: Client, workspace: str, user: str) -> Standing:
    """What the ledger says the person is to the workspace; a stranger where it knows neither."""
    row = client.query(read_sql("reading/standing.sql"), parameters={"workspace": workspace, "user": user}).first_row
    role, owned, worked_on = row
    if role not in ("owner", "member", "invited"):
        return STRANGER
    return Standing(role, frozenset(owned), frozenset(worked_on))


def workspaces_of(client: Client, user: str) -> dict[str, Role]:
    """The workspaces a person is part of, by name, with the role."""
    query = "SELECT workspace, role FROM people WHERE user = {user:String} ORDER BY workspace"
    return dict(client.query(query, parameters={"user": user}).result_rows)

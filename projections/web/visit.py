"""Somebody on a page: who, where, what was asked, and what the page reads for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

from projections import account
from projections.account import AccountView
from projections.membership import Standing
from projections.profile import Profile, profile
from projections.web.caught import Catcher
from projections.web.gate import Signed
from schemas.catalog import Catalog


class NoSuchPage(Exception):
    """Nothing has this name; the message says what."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who may see a page, and what was asked."""

    client: Client
    catalog: Catalog
    path: Mapping[str, str]
    query: Mapping[str, str]
    signed: Signed
    standing: Standing
    now: datetime
    catcher: Catcher

    @property
    def workspace(self) -> str:
        """The workspace of the path."""
        return self.path["workspace"]

    def account(self) -> AccountView:
        """Its account view."""
        view = account.account_view(self.client, self.workspace, self.catalog)
        if view is None:
            raise NoSuchPage(f"The ledger knows no workspace {self.workspace}.")
        return view

    def profile(self) -> Profile:
        """Its profile."""
        found = profile(self.client, self.workspace, self.catalog)
        if found is None:
            raise NoSuchPage(f"The ledger knows no workspace {self.workspace}.")
        return found

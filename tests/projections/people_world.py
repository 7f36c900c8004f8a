"""A workspace with one person of every role, two apps of two owners, and a second workspace; loaded into ClickHouse."""

from __future__ import annotations

from schemas.commands import (
    AcceptInvitation,
    AddFunds,
    CreateApp,
    CreateWorkspace,
    InviteCollaborator,
    InviteUser,
    PublishApp,
    RemoveUser,
    SetAlerts,
    SetAutoPayment,
)
from tests.projections.whole_world import DAY, HOUR, MINUTE, T0, USD, WholeWorld

EVERYBODY = ("olga", "wanda", "anton", "bea", "cole", "max", "ivy", "gone", "otto", "sam")
"""Operator; owner; owner of shop; owner of lab; collaborator on shop; member; invited; removed; owner of another
workspace; nobody."""


def people_world() -> WholeWorld:
    """`acme` as said above, with usage of shop and lab; `other` of otto."""
    world = WholeWorld()
    world.order(T0, CreateWorkspace("wanda", "wanda@example.com"))
    for user in ("anton", "bea", "cole", "max", "ivy", "gone"):
        world.order(T0, InviteUser(user, f"{user}@example.com"))
    for user in ("anton", "bea", "cole", "max", "gone"):
        world.order(T0, AcceptInvitation(), role="user", name=user)
    for app, owner in (("shop", "anton"), ("lab", "bea")):
        world.order(T0, CreateApp(app), role="user", name=owner)
        world.order(T0 + MINUTE, PublishApp(app))
    world.order(T0 + MINUTE, InviteCollaborator("shop", "cole", "tester"))
    world.order(T0 + MINUTE, RemoveUser("gone"))
    world.order(T0 + MINUTE, AddFunds(100 * USD, "wire-1"))
    world.order(T0 + MINUTE, AddFunds(200 * USD, "wire-2", "shop"))
    world.order(T0 + 2 * MINUTE, SetAutoPayment(50 * USD, 100 * USD, "card"))
    world.order(T0 + 2 * MINUTE, SetAlerts((40 * USD,), (20,)))
    for hours in range(1, 4):
        world.say(T0 + hours * HOUR, app="shop")
        world.say(T0 + hours * HOUR, app="lab")
    world.order(T0, CreateWorkspace("otto"), workspace="other")
    world.say(T0 + HOUR, workspace="other", app="theirs")
    world.tick(T0 + DAY)
    assert world.refusals() == []
    return world

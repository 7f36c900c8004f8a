"""What the contributor's guide says to change has the effect it says: the price of its one line (P1, P2)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.catalog import DEFAULT_CATALOG, load_catalog
from schemas.errors import ConfigurationError
from streams.accounts.policy import policy_of
from tests.accounts.story import CENT, Story, Teller, create
from tests.guides.blocks import GUIDES

FROM_US = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
STANDARD = '  { unit = "conversation", from = "2000-01-01T00:00:00Z", usd = "0.20" },\n'


def line_of_the_guide() -> str:
    """The one line that is data."""
    text = (GUIDES / "contributor.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^```toml\n(.*\n)```$", text, re.MULTILINE)
    return str(line)


def catalog_with(line: str, folder: Path) -> Path:
    """A copy of the catalog, the line below the price of the first plan."""
    shipped = DEFAULT_CATALOG.read_text(encoding="utf-8")
    before, after = shipped.split(STANDARD, 1)
    path = folder / "catalog.toml"
    path.write_text(f"{before}{STANDARD}{line}{after}", encoding="utf-8")
    return path


def test_p2_the_price_of_the_guide_is_charged_from_its_date_on(tmp_path: Path) -> None:
    story = Story(policy_of(load_catalog(catalog_with(line_of_the_guide(), tmp_path))))
    teller = Teller()
    story.tell(create(time_us=FROM_US - 10))
    before, on, back = story.tell(
        teller.unit("u1", FROM_US - 1), teller.unit("u2", FROM_US), teller.unit("u3", FROM_US - 1)
    )
    assert [record.charges[0].price_micros for record in (before, on, back)] == [20 * CENT, 25 * CENT, 20 * CENT]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("from", "since"), "from"),
        (("0.25", "0.2500001"), "usd"),
        (("0.25", "-0.25"), "usd"),
        (("conversation", "conversatoin"), "unit"),
    ],
)
def test_p1_a_slip_in_the_line_is_refused_by_name(tmp_path: Path, wrong: tuple[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load_catalog(catalog_with(line_of_the_guide().replace(*wrong), tmp_path))

"""The engine's configuration: what is durable, what the one user may touch.

chDB has one user, `default`, with every right. The grants here leave it the database and take away files, URLs, other
servers, backups, users and shutdown, for every door alike: nothing in this project needs them. They do not cover
the expression ``file('...')`` and the table function ``Python()``, see `admission`.
"""

from __future__ import annotations

from pathlib import Path

_TABLE_ENGINE_NAMES = """MergeTree ReplacingMergeTree SummingMergeTree AggregatingMergeTree CollapsingMergeTree
    VersionedCollapsingMergeTree CoalescingMergeTree Memory Null Log TinyLog StripeLog Buffer Merge Set Join
    Dictionary GenerateRandom"""
_GRANTS = (
    "GRANT CHECK, SHOW, SELECT, INSERT, ALTER, CREATE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, KILL QUERY, dictGet, "
    "INTROSPECTION, SYSTEM FLUSH, SYSTEM VIEWS, SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM DROP CACHE, "
    "SYSTEM RELOAD DICTIONARY ON *.*",
    *(f"GRANT TABLE ENGINE ON {engine}" for engine in _TABLE_ENGINE_NAMES.split()),
    "GRANT SET DEFINER ON *",
)
_FSYNC = """
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>"""
# Small inserts all day: by default every column of every part gets statistics, and parts are merged five at a time;
# that was a fifth of what a batch of LOADER's cost.
_MERGE_TREE = """
  <merge_tree>
    <auto_statistics_types></auto_statistics_types>
    <merge_selector_base>10</merge_selector_base>{fsync}
  </merge_tree>"""
_USERS = """<clickhouse>
  <profiles><default><implicit_select>0</implicit_select></default></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>{grants}</grants>
    </default>
  </users>
</clickhouse>
"""


def write_config(directory: Path, fsync: bool) -> Path:
    """Write the engine's two configuration files into `directory`; returns the one to start it with.

    With `fsync` each acknowledged insert is on the disk, not in the page cache, and outlives a power cut too.
    """
    users = directory / "users.xml"
    users.write_text(_USERS.format(grants="".join(f"<query>{grant}</query>" for grant in _GRANTS)))
    config = directory / "config.xml"
    merge_tree = _MERGE_TREE.format(fsync=_FSYNC if fsync else "")
    config.write_text(f"<clickhouse>{merge_tree}\n  <users_config>{users}</users_config>\n</clickhouse>\n")
    return config

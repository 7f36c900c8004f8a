"""A soak of METER on a real Kafka: `python -m scripts.soak --minutes 10 --transport batch --seed 1 --out FILE`.

Steady load, workers joined, left, killed and paused at random; at the end everything is counted again by a batch
recount. Exits with 1 when anything is missing, extra or in conflict. Run it from a checkout: the recount is the tests'.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import platform
import secrets
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.soaking.broker import Broker
from scripts.soaking.disturbance import Disturbance
from scripts.soaking.load import BATCH_RECORDS, Load, soak_settings
from scripts.soaking.trial import Trial
from scripts.stack.kafka_artifacts import KAFKA_VERSION, kafka_artifacts

PARTITIONS = 4
DRAIN_SECONDS = 180


@dataclasses.dataclass(frozen=True)
class Soak:
    """How long, how fast, how disturbed."""

    minutes: float
    transport: str
    seed: int
    events_per_second: float = 1_000
    session_seconds: int = 6
    mean_seconds: float = 5.0


async def soak(plan: Soak, directory: Path) -> dict[str, Any]:
    """Run one soak in a folder and give the result as it is written; `faults` is empty when all is exact."""
    broker = Broker(kafka_artifacts(), directory)
    await broker.start()
    try:
        settings = soak_settings(
            broker.bootstrap, partitions=PARTITIONS, transport=plan.transport, session_seconds=plan.session_seconds
        )
        async with Trial(broker, settings, directory, Load(plan.seed, PARTITIONS)) as trial:
            return await _disturbed(plan, trial)
    finally:
        broker.stop()


async def _disturbed(plan: Soak, trial: Trial) -> dict[str, Any]:
    began = time.monotonic()
    disturbance = Disturbance(trial.crew, plan.seed, plan.session_seconds, plan.mean_seconds)
    async with asyncio.TaskGroup() as both:
        both.create_task(trial.publish_steadily(plan.events_per_second, plan.minutes * 60))
        both.create_task(disturbance.go_on_for(plan.minutes * 60))
    if not trial.crew.running():
        trial.crew.join()
    loaded = time.monotonic()
    verdict = await trial.finish(DRAIN_SECONDS)
    drained = time.monotonic()
    exits = await trial.crew.leave()
    crew = trial.crew
    gaps, records_read = crew.gaps_filled()
    return {
        "plan": dataclasses.asdict(plan),
        "kafka": KAFKA_VERSION,
        "python": platform.python_version(),
        "partitions": PARTITIONS,
        "batch_records": BATCH_RECORDS,
        "faults": verdict.faults(trial.load.repeats),
        "crashes": crew.crashes(),
        "rebalances": len(crew.generations()),
        "disturbances": dict(disturbance.done),
        "workers": len(crew.workers),
        "last_exits": exits,
        "states_recovered": crew.recoveries(),
        "states_kept": crew.states_kept(),
        "most_batches_in_flight": crew.most_in_flight(),
        "gaps_filled": gaps,
        "records_read_by_position": records_read,
        "records_published": trial.published,
        "repeats_published": trial.load.repeats,
        "load_seconds": round(loaded - began, 1),
        "drain_and_judge_seconds": round(drained - loaded, 1),
        **{name: value for name, value in dataclasses.asdict(verdict).items() if name != "examples"},
    }


def main(
    minutes: Annotated[float, typer.Option(help="how long the load lasts")] = 10,
    transport: Annotated[str, typer.Option(help="batch or stock")] = "batch",
    seed: Annotated[int | None, typer.Option(help="of load and disturbance; default: a new one")] = None,
    rate: Annotated[float, typer.Option(help="events a second")] = 1_000,
    out: Annotated[Path | None, typer.Option(help="where to write the result as JSON")] = None,
    keep: Annotated[Path | None, typer.Option(help="keep logs and data in this folder")] = None,
) -> None:
    """Soak METER on a real Kafka and count everything again."""
    plan = Soak(minutes, transport, secrets.randbelow(2**31) if seed is None else seed, rate)
    typer.echo(f"seed {plan.seed}, {transport} transport, {minutes:g} min")
    with tempfile.TemporaryDirectory(prefix="quarterhour-soak-") as temporary:
        result = asyncio.run(soak(plan, keep or Path(temporary)))
    text = json.dumps(result, indent=2)
    typer.echo(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
    raise typer.Exit(1 if result["faults"] or result["crashes"] else 0)


if __name__ == "__main__":
    typer.run(main)

"""Trace contexts: read as W3C says, derived so that a repeat has the same, and nothing imported while they are off."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from threading import Event

import pytest

from schemas import traces, tracing
from schemas.logs import JsonLines
from schemas.settings import Settings
from schemas.traces import TraceContext
from schemas.tracing import Tracer, new_tracer

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = TraceContext(TRACE, SPAN)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"00-{TRACE}-{SPAN}-01", GIVEN),
        (f"00-{TRACE}-{SPAN}-03", GIVEN),
        (f"01-{TRACE}-{SPAN}-01-more", GIVEN),  # of a later version what is known counts
        (f"00-{TRACE}-{SPAN}-00", None),  # not sampled
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_as_w3c_says(text: str, found: TraceContext | None) -> None:
    assert traces.parsed(text) == found
    assert traces.of_headers([("other", None), ("traceparent", text.encode())]) == found
    assert traces.of_event(json.dumps({"id": "e", "traceparent": text}).encode()) == found


@pytest.mark.parametrize("value", [b"", b"{}", b'{"traceparent": 7}', b'{"traceparent"', b'\xff"traceparent"'])
def test_an_event_that_carries_none_or_nonsense_has_none(value: bytes) -> None:
    assert traces.of_event(value) is None


def test_what_is_written_is_read_again() -> None:
    assert traces.of_headers([GIVEN.header]) == GIVEN


def test_law_2_a_step_repeated_has_the_same_span_and_another_step_has_another() -> None:
    steps = {
        GIVEN.step(topic, partition, offset, process)
        for topic in ("a", "b")
        for partition in (0, 1)
        for offset in (0, 1)
        for process in ("meter", "loader")
    }
    assert len(steps) == 16
    assert {step.trace_id for step in steps} == {TRACE}
    assert GIVEN.step("a", 0, 1, "meter") == GIVEN.step("a", 0, 1, "meter") in steps


def test_logs_carry_the_trace_also_after_the_error_that_ends_it() -> None:
    form = JsonLines("meter")
    record = logging.LogRecord("a", logging.INFO, "", 0, "told", None, None)
    assert "trace_id" not in form.format(record)
    with traces.current(GIVEN):
        assert json.loads(form.format(record))["trace_id"] == TRACE
    assert "trace_id" not in form.format(record)
    with pytest.raises(ZeroDivisionError), traces.current(GIVEN):
        raise ZeroDivisionError
    assert json.loads(form.format(record))["trace_id"] == TRACE


def test_the_current_span_of_a_program_that_uses_opentelemetry_is_found() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    assert traces.of_this_task() is None
    with TracerProvider().get_tracer("test").start_as_current_span("answering") as span:
        found = traces.of_this_task()
        assert found is not None
        assert (int(found.trace_id, 16), int(found.span_id, 16)) == (
            span.get_span_context().trace_id, span.get_span_context().span_id,
        )  # fmt: skip


def test_off_is_the_default_and_imports_nothing() -> None:
    program = (
        "import sys, streams.workers.meter, streams.doors.ingest.__main__, projections.loader.__main__\n"
        "from schemas.settings import Settings; from schemas.tracing import new_tracer\n"
        "assert new_tracer('meter', Settings()) is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_share_of_new_traces_is_the_setting() -> None:
    def begun(ratio: float) -> int:
        tracer = new_tracer("ingest", Settings(otel_endpoint="http://127.0.0.1:9", otel_sample_ratio=ratio))
        assert isinstance(tracer, Tracer)
        try:
            return sum(tracer.begins() is not None for _ in range(50))
        finally:
            tracer.close()

    assert (begun(0.0), begun(1.0)) == (0, 50)


def test_a_collector_that_never_answers_does_not_keep_a_process_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = Tracer("meter", "http://127.0.0.1:9", 0.0)
    answered, ended = Event(), Event()

    def shutdown() -> None:
        answered.wait(20)
        ended.set()

    monkeypatch.setattr(tracing, "TIMEOUT_SECONDS", 0.05)
    with monkeypatch.context() as patched:
        patched.setattr(tracer._processor, "shutdown", shutdown)
        tracer.close()
    assert not ended.is_set()
    answered.set()
    tracer._processor.shutdown()  # type: ignore[no-untyped-call]

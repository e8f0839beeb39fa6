"""What is read of wrk's report."""

from __future__ import annotations

import pytest

from bench.open_loop import Answered
from bench.wrk import answered

REPORT = """\
Running 2s test @ http://127.0.0.1:8000
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.21ms    2.02ms  33.15ms   93.28%
    Req/Sec    39.62k     4.28k   43.90k    85.00%
  Latency Distribution
     50%  650.00us
     75%    0.91ms
     90%    2.13ms
     99%    1.39s
  78851 requests in 2.00s, 42.18MB read
{errors}Requests/sec:  39418.02
Transfer/sec:     21.09MB
"""


def test_times_are_in_milliseconds_whatever_wrk_writes_them_in() -> None:
    found = answered(REPORT.format(errors=""))

    assert found == Answered(rate=39418.02, p50_ms=0.65, p99_ms=1390, requests=78851, failed=0)


@pytest.mark.parametrize(
    ("errors", "failed"),
    [
        ("  Non-2xx or 3xx responses: 40\n", 40),
        ("  Socket errors: connect 0, read 3, write 2, timeout 1\n", 6),
        (
            "  Socket errors: connect 1, read 0, write 0, timeout 0\n  Non-2xx or 3xx responses: 40\n",
            41,
        ),
    ],
)
def test_what_was_refused_broken_or_given_up_has_failed(errors: str, failed: int) -> None:
    assert answered(REPORT.format(errors=errors)).failed == failed


def test_another_report_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="something else"):
        answered("unable to connect to 127.0.0.1:8000 Connection refused\n")

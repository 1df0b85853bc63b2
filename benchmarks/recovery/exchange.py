"""One request, and the connection on which it is answered: rightly, or as a fault has it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.recovery import wire
from benchmarks.recovery.log import Clock, Entry
from benchmarks.recovery.model import Request, said
from benchmarks.recovery.world import Fault, Kind

_FIRST_TOKEN = 0.5
"""Part of the time of an answer that passes before its first token."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """See the module; ``entry`` is kept up to date."""

    request: Request
    entry: Entry
    clock: Clock
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self, fault: Fault | None, latency: float) -> None:
        """Say what the model says, as far as the fault lets it.

        Args:
            fault: what the request meets.
            latency: seconds from now to the whole answer, when nothing is wrong.

        Raises:
            ConnectionError: the client has left.
        """
        if fault is not None and fault.kind is Kind.RESET:
            self.writer.transport.abort()
        elif fault is not None and fault.kind is Kind.HANG:
            await self._hang()
        elif self.request.streamed:
            await self._stream(fault, latency)
        else:
            await self._answer_whole(fault, latency)

    async def send(self, data: bytes) -> None:
        """Put bytes on the connection; the first ones are the answer's beginning.

        Raises:
            ConnectionError: the client has left.
        """
        if self.writer.is_closing():
            raise ConnectionResetError
        if self.entry.answered is None:
            self.entry.answered = self.clock()
        self.writer.write(data)
        await self.writer.drain()

    async def _answer_whole(self, fault: Fault | None, latency: float) -> None:
        await asyncio.sleep(latency + _slowness(fault))
        body = wire.completion(said(self.request, fault))
        kind = fault.kind if fault else None
        if kind is Kind.HTML:
            await self.send(wire.html(200))
        elif kind is Kind.ERROR_IN_SUCCESS:
            await self.send(wire.response(200, wire.error_in_success()))
        elif kind is Kind.MALFORMED:
            await self.send(wire.response(200, wire.broken(body)))
        elif fault is not None and kind in (Kind.CUT, Kind.STALL):
            whole = wire.response(200, body)
            await self.send(whole[: int(len(whole) * fault.position)])
            await self._break_off(fault)
        else:
            await self.send(wire.response(200, body))

    async def _stream(self, fault: Fault | None, latency: float) -> None:
        kind = fault.kind if fault else None
        before = latency * _FIRST_TOKEN + _slowness(fault)
        if kind is Kind.HTML:
            await asyncio.sleep(before)
            await self.send(wire.html(200))
            return
        answer = said(self.request, fault)
        contents = wire.content_events(answer)
        await self.send(wire.STREAM_HEAD + wire.event(wire.role_event(answer)))
        await asyncio.sleep(before)
        if kind is Kind.ERROR_IN_SUCCESS:
            await self.send(wire.event(wire.error_in_success()) + wire.STREAM_END)
            return
        events = [*contents, *wire.final_events(answer, with_usage=self.request.with_usage)]
        if kind is Kind.MALFORMED:
            events[len(contents) // 2] = wire.broken(events[len(contents) // 2])
        breaks_off = fault is not None and kind in (Kind.CUT, Kind.STALL)
        end = int(len(events) * fault.position) if fault is not None and breaks_off else len(events)
        for place, data in enumerate(events[:end]):
            await self.send(wire.event(data))
            if place < len(contents):
                self.entry.content = self.entry.content or not answer.refusal
                await asyncio.sleep(latency * (1 - _FIRST_TOKEN) / len(contents))
        if fault is not None and breaks_off:
            await self._break_off(fault)
        else:
            await self.send(wire.STREAM_END)

    async def _break_off(self, fault: Fault) -> None:
        if fault.kind is Kind.STALL:
            await self._hang()
        self.writer.close()

    async def _hang(self) -> None:
        while await self.reader.read(4096):
            pass
        self.entry.gone = True
        self.writer.close()


def _slowness(fault: Fault | None) -> float:
    return fault.amount if fault is not None and fault.kind is Kind.SLOW else 0.0

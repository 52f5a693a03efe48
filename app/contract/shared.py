"""A client whose callers share one connection, so that none of them waits for its turn.

Laws of this file:
1. Commands leave in the order they are given, and answers come in that order.
2. Whoever stops waiting harms nobody: the answer is dropped when it comes.
3. A connection that broke, or on which an answer is late, is closed. All who wait for it ask again
   on a new one, as every command here may be repeated.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Any

import hiredis
import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

RETRIES = 3
BROKEN = (redis.ConnectionError, redis.TimeoutError)
# After a fail-over an open connection leads to what was the primary, and a new one to what is.
ASK_ELSEWHERE = (*BROKEN, ReadOnlyError)
# uvloop calls the use of a closed connection a RuntimeError.
TROUBLES = (*BROKEN, OSError, RuntimeError)


class Line:
    """One connection for as long as it lasts; belongs to one event loop."""

    def __init__(self, connection: AbstractConnection, timeout_s: float) -> None:
        self._clock = asyncio.get_running_loop()
        self._connection = connection
        self._timeout_s = timeout_s
        self._failed = False
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._looking: asyncio.TimerHandle | None = None
        self._unsent: list[bytes] = []
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._sending = asyncio.create_task(self._send())

    @property
    def is_open(self) -> bool:
        """Whether commands may be sent."""
        return self._connection.is_connected and not self._failed

    async def ask(self, command: tuple[Any, ...]) -> Any:
        """Send a command and return its answer; raises what the store answers, or one of BROKEN."""
        name, *rest = command  # some names are two words
        packed = hiredis.pack_command((*name.split(), *rest))
        answer: asyncio.Future[Any] = self._clock.create_future()
        self._waiting.append((self._clock.time(), answer))
        self._unsent.append(packed)
        self._more.set()
        if self._looking is None:
            self._look_in(self._timeout_s)
        return await answer

    def _look_in(self, seconds: float) -> None:
        self._looking = self._clock.call_later(seconds, self._look)

    def _look(self) -> None:
        """Give the connection up when who waits longest waits for too long."""
        self._looking = None
        if not self._waiting:
            return
        left_s = self._waiting[0][0] + self._timeout_s - self._clock.time()
        if left_s > 0:
            self._look_in(left_s)
        else:
            self._fail(redis.TimeoutError("the answer is late"))
            self._reading.cancel()

    async def aclose(self) -> None:
        """Close the connection; who still waits gets an error."""
        self._fail(redis.ConnectionError("the connection was closed"))
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _send(self) -> None:
        """Send what was asked for since the last time, all in one."""
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                unsent, self._unsent = self._unsent, []
                await self._connection.send_packed_command(unsent, check_health=False)
        except TROUBLES as error:
            self._fail(_broken(error))
            self._reading.cancel()

    async def _read(self) -> None:
        try:
            while True:
                self._settle(await self._next())
        except TROUBLES as error:
            self._fail(_broken(error))
        finally:
            self._sending.cancel()
            if self._looking is not None:
                self._looking.cancel()
            await self._connection.disconnect(nowait=True)

    async def _next(self) -> Any:
        try:
            return await self._connection.read_response(timeout=math.inf, disconnect_on_error=False)
        except redis.ResponseError as refused:
            return refused

    def _settle(self, reply: Any) -> None:
        self._failed |= isinstance(reply, ReadOnlyError)
        _answer(self._waiting.popleft()[1], reply)
        if self._failed and not self._waiting:
            self._reading.cancel()

    def _fail(self, error: Exception) -> None:
        self._failed = True
        while self._waiting:
            _, answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # who asked may have left by now


def _answer(asked: asyncio.Future[Any], reply: Any) -> None:
    if asked.done():
        return
    if isinstance(reply, Exception):
        asked.set_exception(reply)
    else:
        asked.set_result(reply)


def _broken(error: Exception) -> Exception:
    """Return what the store's clients call a trouble of a connection."""
    if isinstance(error, BROKEN):
        return error
    if isinstance(error, TimeoutError):
        return redis.TimeoutError("the answer is late")
    return redis.ConnectionError(str(error))


class SharedClient(redis.asyncio.Redis):
    """Understands what its base class does; only pipelines and subscriptions connect themselves."""

    def __init__(self, *args: Any, timeout_s: float = 5.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self._timeout_s = timeout_s
        self._line: Line | None = None
        self._connecting = asyncio.Lock()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Return the answer to a command, through short outages of the store too."""
        try:
            reply = await self._ask(args)
        except ASK_ELSEWHERE:
            again = Retry(ExponentialBackoff(cap=0.2, base=0.02), RETRIES, ASK_ELSEWHERE)
            reply = await again.call_with_retry(lambda: self._ask(args), _nothing)
        options.pop("keys", None)
        callback: Callable[..., Any] | None = self.response_callbacks.get(args[0])
        return reply if callback is None else callback(reply, **options)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        line, self._line = self._line, None
        if line is not None:
            await line.aclose()
        await super().aclose(close_connection_pool)
        await self.connection_pool.disconnect()

    async def _ask(self, command: tuple[Any, ...]) -> Any:
        line = self._line
        if line is None or not line.is_open:
            line = await self._opened()
        return await line.ask(command)

    async def _opened(self) -> Line:
        async with self._connecting:
            if self._line is None or not self._line.is_open:
                pool: Any = self.connection_pool
                connection = pool.make_connection()
                try:
                    async with asyncio.timeout(self._timeout_s):
                        await connection.connect()
                except TimeoutError as error:
                    raise redis.TimeoutError("the store does not answer") from error
                self._line = Line(connection, self._timeout_s)
            return self._line


async def _nothing(_error: Exception) -> None:
    """Leave it to the next try to connect anew."""

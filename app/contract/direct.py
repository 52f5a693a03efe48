"""A blocking client's commands without all that it adds to each, which takes as long as the rest.

Laws of this file:
1. A connection is used by one thread at a time, and by no one after an answer was missed.
2. What the store refuses is raised; whatever else goes wrong, the client asks again, as every
   command here may be repeated.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import hiredis
import redis
from redis.exceptions import ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Callable

# After a fail-over an open connection leads to what was the primary.
ASK_AGAIN = (redis.ConnectionError, redis.TimeoutError, ReadOnlyError, OSError)


class Direct:
    """Runs commands on connections of a client, and by the client itself where one is broken.

    Safe to share by threads. The connections are closed with the client.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._ask_client: Callable[..., Any] = client.execute_command
        self._pool: Any = client.connection_pool
        self._idle: deque[Any] = deque()

    def execute(self, *command: Any) -> Any:
        """Return the answer to a command whose name is one word, through short outages too."""
        connection = self._connection()
        try:
            return self._ask(connection, hiredis.pack_command(command))
        except ASK_AGAIN:
            return self._ask_client(*command)

    def _connection(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._pool.get_connection()

    def _ask(self, connection: Any, packed: bytes) -> Any:
        sound = False
        try:
            connection.send_packed_command([packed], check_health=False)
            answer = connection.read_response()
            sound = True
        except redis.ResponseError as refused:
            sound = not isinstance(refused, ReadOnlyError)
            raise
        finally:
            self._put_back(connection, sound=sound)
        return answer

    def _put_back(self, connection: Any, *, sound: bool) -> None:
        if sound:
            self._idle.append(connection)
        else:
            connection.disconnect()
            self._pool.release(connection)

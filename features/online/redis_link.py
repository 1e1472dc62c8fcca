"""The link to Redis: one server or a cluster, bounded waits, a circuit breaker, one error.

Waits are bounded by a socket timeout without retries. After a few outages in a row calls fail at
once, and once a second one of them tries again.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from pybreaker import CircuitBreaker, CircuitBreakerError
from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import Connection
from redis.crc import key_slot
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from features.online.contract import OnlineError
from features.online.redis_scripts import Script

TIMEOUT_S = 0.05  # for connecting, and for each wait for the server
MAX_CONNECTIONS = 8  # to each server
OUTAGES_IN_A_ROW = 3  # after which calls fail at once
PROBE_EVERY_S = 1.0
OUTAGES = (ConnectionError, TimeoutError, OSError, ClusterDownError, RedisClusterException)

SLOT_COUNT = 16384  # of every Redis Cluster

Command = tuple[Any, ...]
T = TypeVar("T")


class RedisLink:
    """Connections to what a URL names, made when needed. One thread at a time; survives a fork."""

    def __init__(self, url: str) -> None:
        """redis(s)://[user:password@]host:port[/db]; with +cluster or commas, a cluster.

        Options of redis-py may follow, as in ?socket_timeout=0.2, and take the place of the limits.
        """
        self.clustered = is_cluster(url)
        self.breaker = CircuitBreaker(
            fail_max=OUTAGES_IN_A_ROW,
            reset_timeout=PROBE_EVERY_S,
            exclude=[lambda error: not isinstance(error, OUTAGES)],
            throw_new_error_on_trip=False,
        )
        self._url = url
        address = url.partition("?")[0].rpartition("@")[2].rpartition("//")[2]  # no password
        self._name = f"Redis at {address}"
        self._client: Redis | RedisCluster | None = None
        self._connection: Connection | None = None
        self._process_id = 0

    @property
    def client(self) -> Redis | RedisCluster:
        """The client; a cluster's asks the cluster for its nodes when it is made."""
        if self._client is None:
            self._client = _cluster(self._url) if self.clustered else _server(self._url)
        return self._client

    def call(self, doing: str, function: Callable[..., T], *args: Any) -> T:
        """Calls something that uses the client; raises OnlineError, saying what it was doing."""
        try:
            return cast(T, self.breaker.call(function, *args))
        except CircuitBreakerError as error:
            text = f"{self._name} could not {doing}: it has failed, next try within a second"
            raise OnlineError(text) from error
        except (RedisError, RedisClusterException, OSError) as error:
            raise OnlineError(f"{self._name} could not {doing}: {error}") from error

    def ask(self, doing: str, commands: Sequence[Command]) -> list[Any]:
        """The replies to commands, in one round trip to each server; raises OnlineError."""
        return self.call(doing, self._ask, commands)

    def run(self, doing: str, script: Script, calls: Sequence[Command]) -> list[Any]:
        """A script's replies, one a call of (number of keys, *keys, *arguments)."""
        return self.call(doing, self._run, script, calls)

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        return _sound(self._exchange(commands))

    def _run(self, script: Script, calls: Sequence[Command]) -> list[Any]:
        commands = [("EVALSHA", script.digest, *each) for each in calls]
        replies = self._exchange(commands)
        unknown = [at for at, each in enumerate(replies) if isinstance(each, NoScriptError)]
        if unknown:
            self.client.script_load(script.text)  # in a cluster, to every server
            again = self._exchange([commands[at] for at in unknown])
            for at, reply in zip(unknown, again, strict=True):
                replies[at] = reply
        return _sound(replies)

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        client = self.client
        if isinstance(client, RedisCluster):
            with client.pipeline() as pipeline:
                for each in commands:
                    pipeline.execute_command(*each)
                return pipeline.execute(raise_on_error=False)
        connection = self._held(client)
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [_reply(connection) for _ in commands]
        except BaseException:
            connection.disconnect()  # replies may be under way
            client.connection_pool.release(connection)
            self._connection = None
            raise

    def _held(self, client: Redis) -> Connection:
        """The connection of this process, held on to: taking one from the pool costs a third more.

        One that the server has closed is opened again.
        """
        if self._connection is None or self._process_id != os.getpid():
            self._connection = client.connection_pool.get_connection()
            self._process_id = os.getpid()
        elif _is_stale(self._connection):
            self._connection.disconnect()
        return self._connection


def is_cluster(url: str) -> bool:
    """Whether a URL names a Redis Cluster."""
    return url.partition("://")[0].endswith("+cluster") or "," in url


def trips(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Rows in parts, so that no round trip keeps a server busy for longer than a wait may last."""
    return (rows[at : at + size] for at in range(0, len(rows), size))


def slot_of(key: bytes) -> int:
    """Where a cluster keeps a key."""
    return int(key_slot(key))


def _is_stale(connection: Connection) -> bool:
    try:
        return bool(connection.can_read())  # though nothing was asked
    except (ConnectionError, OSError):
        return True


def _reply(connection: Connection) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:  # of this command alone
        return error


def _sound(replies: list[Any]) -> list[Any]:
    for each in replies:
        if isinstance(each, Exception):
            raise each
    return replies


def _limits() -> dict[str, Any]:
    return {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": MAX_CONNECTIONS,
    }


def _server(url: str) -> Redis:
    return Redis.from_url(url, **_limits())


def _cluster(url: str) -> RedisCluster:
    scheme, _, rest = url.partition("://")
    places, mark, options = rest.partition("?")
    account, at, hosts = places.rpartition("@")
    first, *others = hosts.split(",")
    nodes = [urlsplit(f"//{each.rpartition('//')[2]}") for each in others]
    startup = [ClusterNode(each.hostname, each.port or 6379) for each in nodes]
    plain = scheme.removesuffix("+cluster")
    start = f"{plain}://{account}{at}{first}{mark}{options}"
    return RedisCluster(url=start, startup_nodes=startup, **_limits())

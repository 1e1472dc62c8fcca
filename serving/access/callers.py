"""Callers: who a call is from, by its key, its token or its client certificate.

What a caller has proven is kept, by a hash of it, so that it costs its cryptography once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from enum import StrEnum
from hashlib import sha256
from typing import Any

import grpc

from serving.access.declaration import ANY_CHANNEL, Declaration, DeclaredCaller, Rate
from serving.access.keys import PREFIX, holder
from serving.access.rate import Bucket
from serving.access.rights import Right, rights_of
from serving.access.tokens import ExpiredError, Tokens

MOST_PROVEN = 4096  # keys and tokens that are remembered
PROOFS_PER_S, PROOFS_AT_ONCE = 300.0, 300
"""Tokens that are checked, each a part of a millisecond: forged ones do not take all our time."""
NEVER = float("inf")
SPIFFE_ID = "peer_spiffe_id"  # in gRPC's auth_context, of a certificate with one URI that is one


class Stranger(StrEnum):
    """Why nobody is known, for metrics and logs; the caller is told the same of all."""

    ANONYMOUS = "no-credentials"
    UNKNOWN = "unknown-credentials"
    EXPIRED = "expired-credentials"
    UNCHECKED = "unchecked-credentials"  # there are more new tokens than we look at


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may call."""

    name: str
    rights: frozenset[str]
    channels: frozenset[str] | None  # that they may speak for; None: any
    bucket: Bucket | None = None


ANYBODY = Caller("", frozenset(Right), None)
"""Where access is not declared."""


class Callers:
    """All who may call, as one access file declares them."""

    def __init__(
        self, declaration: Declaration, tokens: Tokens | None, before: "Callers | None" = None
    ) -> None:
        """Who was here before has as much left of a rate that has not changed."""
        held = before.buckets if before is not None else {}
        self.buckets: dict[tuple[str, str], Bucket] = {}
        self._by_key: list[tuple[str, tuple[Caller, float]]] = []
        self._by_certificate: dict[str, Caller] = {}
        self._by_subject: dict[str, Caller] = {}
        self._tokens = tokens
        self._proven: dict[bytes, tuple[Caller, float]] = {}
        self._proofs = Bucket(PROOFS_PER_S, PROOFS_AT_ONCE)
        for each in declaration.callers:
            self._add(each, self._bucket(("caller", each.name), each.rate, held))
        self.channel_buckets: dict[str, Bucket] = {}
        for channel, rate in declaration.rates.items():
            bucket = self._bucket(("channel", channel), rate, held)
            assert bucket is not None  # there is a rate
            self.channel_buckets[channel] = bucket

    def _bucket(
        self, name: tuple[str, str], rate: Rate | None, held: dict[tuple[str, str], Bucket]
    ) -> Bucket | None:
        if rate is None:
            return None
        bucket = held.get(name)
        if bucket is None or (bucket.per_s, bucket.burst) != (rate.per_s, rate.burst):
            bucket = Bucket(rate.per_s, rate.burst)
        self.buckets[name] = bucket
        return bucket

    def _add(self, declared: DeclaredCaller, bucket: Bucket | None) -> None:
        channels = None if ANY_CHANNEL in declared.channels else frozenset(declared.channels)
        caller = Caller(declared.name, rights_of(declared.roles), channels, bucket)
        self._by_key += [(each.sha256, (caller, _end(each.expires))) for each in declared.keys]
        self._by_certificate |= dict.fromkeys(declared.certificates, caller)
        self._by_subject |= dict.fromkeys(declared.subjects, caller)

    def of(self, context: grpc.aio.ServicerContext, now_s: float) -> Caller | Stranger:
        """Who calls. A key or a token goes before the certificate of the connection."""
        secret = _secret_in(context.invocation_metadata() or ())
        if secret is not None:
            return self.holder(secret, now_s)
        if not self._by_certificate:
            return Stranger.ANONYMOUS
        ids: Any = context.auth_context().get(SPIFFE_ID)
        if not ids:
            return Stranger.ANONYMOUS
        return self._by_certificate.get(ids[0].decode(), Stranger.UNKNOWN)

    def holder(self, secret: str, now_s: float) -> Caller | Stranger:
        """Who calls with this key or token."""
        digest = sha256(secret.encode("utf-8", "surrogateescape")).digest()
        held = self._proven.get(digest)
        if held is None:
            proven = self._prove(secret, digest.hex(), now_s)
            if isinstance(proven, Stranger):
                return proven
            if len(self._proven) >= MOST_PROVEN:
                del self._proven[next(iter(self._proven))]
            held = self._proven[digest] = proven
        caller, until_s = held
        return caller if now_s < until_s else Stranger.EXPIRED

    def _prove(self, secret: str, hash: str, now_s: float) -> tuple[Caller, float] | Stranger:
        if secret.startswith(PREFIX):
            return holder(hash, self._by_key) or Stranger.UNKNOWN
        if self._tokens is None:
            return Stranger.UNKNOWN
        if self._proofs.take(now_s):
            return Stranger.UNCHECKED
        try:
            subject, until_s = self._tokens.read(secret)
        except ExpiredError:
            return Stranger.EXPIRED
        except ValueError:
            return Stranger.UNKNOWN
        caller = self._by_subject.get(subject)
        return Stranger.UNKNOWN if caller is None else (caller, until_s)


def _secret_in(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """The key or token that came with a call."""
    for name, value in metadata:
        if name == "authorization":
            scheme, _, secret = str(value).partition(" ")
            return secret if scheme.lower() == "bearer" else ""
        if name == "x-api-key":
            return str(value)
    return None


def _end(expires: date | None) -> float:
    if expires is None:
        return NEVER
    return datetime.combine(expires, time_of_day(), UTC).timestamp()

"""Tokens: what a JWT says of who calls, once its signature and its claims hold."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum

import jwt

LEEWAY_S = 5  # by which clocks may differ
LONGEST_BYTES = 8192  # of a token that is looked at


class Algorithm(StrEnum):
    """What may sign a token: none whose key could also be known to who checks it."""

    RS256 = "RS256"
    PS256 = "PS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


class TokensError(ValueError):
    """No keys that could have signed a token."""


class ExpiredError(ValueError):
    """A token that was good once."""


class Tokens:
    """Those of one issuer."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: bytes,
        algorithms: Sequence[Algorithm],
        claims: Mapping[str, str],
    ) -> None:
        """`keys` is a JWKS file; raises TokensError."""
        self._issuer, self._audience, self._claims = issuer, audience, claims
        self._algorithms = [str(each) for each in algorithms]
        self._keys = _keys_of(keys, self._algorithms)

    def read(self, token: str) -> tuple[str, float]:
        """Whom it speaks of, and until when (Unix time). Raises ValueError, or ExpiredError."""
        if len(token) > LONGEST_BYTES:
            raise ValueError("is too long")
        try:
            key = self._keys[jwt.get_unverified_header(token).get("kid")]
            said = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise ExpiredError("has expired") from None
        except (jwt.InvalidTokenError, KeyError, TypeError) as error:
            raise ValueError(type(error).__name__) from None
        if any(said.get(name) != value for name, value in self._claims.items()):
            raise ValueError("claims differ")
        return said["sub"], float(said["exp"]) + LEEWAY_S


def _keys_of(content: bytes, algorithms: Sequence[str]) -> dict[str | None, jwt.PyJWK]:
    """By their ids; the only one also stands for tokens that name none."""
    try:
        found = [jwt.PyJWK(each) for each in json.loads(content)["keys"]]
    except (ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
        raise TokensError(f"is no JWKS file: {type(error).__name__}") from None
    fit = [each for each in found if each.algorithm_name in algorithms]
    if not fit:
        raise TokensError(f"holds no key for one of {', '.join(algorithms)}")
    by_id: dict[str | None, jwt.PyJWK] = {each.key_id: each for each in fit}
    return by_id | ({None: fit[0]} if len(fit) == 1 else {})

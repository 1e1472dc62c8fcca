"""The port: held from the first moment of start-up, listened to only once answers are ready."""

import socket


class StartError(RuntimeError):
    """The server cannot start; the text says what to do."""


def hold(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that has the port and does not listen: who calls early is refused at once.

    A shared port may be listened to by several processes (SO_REUSEPORT) while it is held; another
    has to be released first. Raises StartError where somebody else listens.
    """
    try:
        holder = _bound(host, port)  # fails where anybody listens, sharing or not
        if shared:
            holder.close()
            holder = _bound(host, port, socket.SO_REUSEPORT)
    except OSError as error:
        raise taken(host, port) from error
    return holder


def taken(host: str, port: int) -> StartError:
    """The error of a port that cannot be listened to."""
    text = f"cannot listen on {host}:{port}: is another server running there? Try --port 0"
    return StartError(text)


def _bound(host: str, port: int, *options: int) -> socket.socket:
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        # Connections of a server that has just ended do not keep its port.
        for option in (socket.SO_REUSEADDR, *options):
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound

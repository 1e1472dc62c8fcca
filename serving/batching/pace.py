"""The pace: how long so many take together, learnt from how long so many took just now."""

WEIGHT = 0.2  # of the latest against all before
BELIEVED_S = (
    1.0  # without news; then anything is tried, or one slow batch would refuse all after it
)


class Pace:
    """Seconds as a straight line over a number. Times are the event loop's."""

    def __init__(self, usual: int) -> None:
        """`usual` is a number that is often reached; knows nothing yet."""
        self._usual = usual
        self._alone_s = 0.0
        self._more_s = 0.0  # added by the time that the number is `usual`
        self._until_time = float("-inf")  # it is believed

    def seconds(self, number: int, now: float) -> float:
        """How long so many will probably take; 0 where nothing is known."""
        if now > self._until_time:
            return 0.0
        return self._alone_s + self._more_s * number / self._usual

    def learn(self, number: int, took_s: float, now: float) -> None:
        """So many took so long: normalized least mean squares, with a line that never falls."""
        if now > self._until_time:
            self._alone_s, self._more_s = took_s, 0.0
        else:
            share = number / self._usual
            step_s = WEIGHT * (took_s - self.seconds(number, now)) / (1 + share * share)
            self._alone_s = max(0.0, self._alone_s + step_s)
            self._more_s = max(0.0, self._more_s + step_s * share)
        self._until_time = now + BELIEVED_S

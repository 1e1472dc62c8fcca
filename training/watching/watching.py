"""The watch: reads registry and history, and gives every trigger, fired or not."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from features.artefact import ArtefactError
from features.record import tick
from features.settings import FeatureSettings, Home
from features.vocabulary import load_vocabulary
from training.data.split import Split, count_rows, take_snapshot
from training.preparing import Note
from training.publishing import Champion, Publisher
from training.settings import WatchSettings
from training.watching.distributions import Distributions, distributions
from training.watching.intents import compare_intents
from training.watching.triggers import (
    Trigger,
    calibration,
    drift,
    never_trained,
    schedule,
    volume,
)

REFERENCE = "reference.json"
FEWEST = 200  # interactions: fewer tell nothing of a distribution
NEVER = "1970-01-01T00:00:00+00:00"  # of versions that tell nothing of their data
JUST = timedelta(microseconds=1)  # the smallest step from one interaction to the next


def keep_reference(
    home: Home, artefact: Path, kept: Path, *, since: datetime, until: datetime
) -> None:
    """Notes how interactions were distributed in the time on which the model was judged."""
    found = distributions(home, artefact, since=since, before=until + JUST)
    (kept / REFERENCE).write_text(json.dumps(found) + "\n")


def watch(
    features: FeatureSettings, settings: WatchSettings, now: datetime, note: Note
) -> list[Trigger]:
    """All triggers as they stand; raises TrainingError where there is no history."""
    home = Home(features.home, features.tracking_url, features.tenant)
    vocabulary = load_vocabulary(features.vocabulary)
    snapshot = take_snapshot(home, vocabulary, test_share=0.5)
    publisher = Publisher(home)
    versions, champion = publisher.versions(), publisher.champion()
    if not versions:
        return [never_trained()]
    seen = datetime.fromisoformat(versions[0].tags.get("lineage.newest_time", NEVER))
    since, until = seen + JUST, snapshot.newest_time + JUST
    trained = datetime.fromtimestamp(versions[0].created_ms / 1000, UTC)
    new = count_rows(home, since=since, before=until) if until > since else 0
    triggers = [schedule(trained, now, settings), volume(new, settings)]
    if champion is None or new < FEWEST:
        note(f"{new} new interactions are too few to tell whether anything drifts.")
        return triggers
    try:
        then = _reference(publisher, champion)
        triggers += drift(
            then, distributions(home, champion.directory, since=since, before=until), settings
        )
        first = tick(seen) + 1
        window = Split(validation_tick=first, test_tick=first, end_tick=tick(until) + 1)
        intents = compare_intents(
            home, champion, vocabulary, window=window, max_records=features.max_records
        )
        return [*triggers, calibration(intents, settings)]
    except (ArtefactError, OSError) as error:
        note(f"Drift is not known: model {champion.version}: {error}")
        return triggers


def _reference(publisher: Publisher, champion: Champion) -> Distributions:
    found: Distributions = json.loads((publisher.kept(champion.version) / REFERENCE).read_text())
    return found

"""Does regret pay? Real streams, replayed with the scores any retraining schedule would have had."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from monitor.config.model import RetrainSection
from monitor.decide import decide
from monitor.records import Score

FOLDER = (Path(__file__).resolve().parents[2] / "../shared/data/closed_loop").resolve()
needs_data = pytest.mark.skipif(not FOLDER.is_dir(), reason="the closed-loop matrices of shared/data are not here")


@dataclass(frozen=True)
class Stream:
    """`score[t + 1, j]`: the score in window j, turned so that more is better, of a model retrained after window t."""

    score: np.ndarray
    known: np.ndarray       # the window by whose end the labels of each window are known
    sd: float

    @classmethod
    def read(cls, name):
        facts = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        with np.load(FOLDER / f"{name}.npz") as arrays:
            sign = 1 if facts["higher_is_better"] else -1
            return cls(sign * arrays["score"], arrays["label_avail_window"], facts["reference_sd"])

    def rehearsal(self, champion, window):
        """Gain and placebo: challengers know only what was labelled before the window they are scored on."""
        scores = [
            Score(metric="metric_sd", method="score", value=self.sd),
            Score(metric="challenger_gain", value=float(self.score[window, window] - self.score[champion, window])),
        ]
        placebo = float(self.score[window, window] - self.score[window - 1, window]) if window > 1 else None
        return (*scores, Score(metric="challenger_placebo", value=placebo))

    def value(self, schedule):
        """Sum over windows, in reference sd, of what retraining after these windows gains over never doing so."""
        champion, total = 0, 0.0
        for window in range(len(self.known)):
            total += (self.score[champion, window] - self.score[0, window]) / self.sd
            champion = window + 1 if window in schedule else champion
        return total


def replay(made, stream, price):
    """Windows after which a retrain is asked for; each is done at once and brings a new reference."""
    limits = RetrainSection(pipeline="ci", cooldown="0s", budget="9999 per 1d", min_labels=0)
    model = made.model({"name": "pays", "metric": "regret", "above": price, "action": "retrain"}, retrain=limits)
    past, champion, schedule = made.history(), 0, []
    for now in range(len(stream.known)):
        due = [j for j in range(now) if stream.known[j] == now]
        due += [now] if stream.known[now] == now else []
        for j in [j for j in due if made.window(j).start >= past.reference.since]:
            one = made.snapshot(j, *stream.rehearsal(champion, j), reference_id=past.reference.id)
            decision = decide(model, past, one, made.window(now).end, newest=j == due[-1])
            past = made.after(past, one, decision)
            if decision.request:
                schedule.append(now)
                champion = now + 1
                reference = replace(made.REFERENCE, id=f"ref-{champion}", since=made.window(now).end)
                past = made.history(reference=reference, firing=past.firing, episode=past.episode)
    return schedule


def ask(made, stream, gains, price):
    """How often a retrain is asked for where each request is paid and changes nothing."""
    limits = RetrainSection(pipeline="ci", cooldown="0s", budget="9999 per 1d", min_labels=0)
    model = made.model({"name": "pays", "metric": "regret", "above": price, "action": "retrain"}, retrain=limits)
    past, asked = made.history(), 0
    for j, (gain, placebo) in enumerate(gains):
        one = made.snapshot(j, *made.gain(gain, sd=stream.sd, placebo=placebo))
        decision = decide(model, past, one, one.window.end, newest=True)
        past = made.after(past, one, decision, paid_until=one.window.end if decision.request else past.paid_until)
        asked += decision.request
    return asked


@needs_data
@pytest.mark.parametrize("name", ["bike_sharing", "elec2", "flights_nyc13", "car_loan"])
@pytest.mark.parametrize("price", [1.0, 2.0, 3.0])
def test_retraining_by_regret_beats_never_retraining(made, name, price):
    """At every price its gain is greater than what its retrains cost, and it asks for few of them."""
    stream = Stream.read(name)
    schedule = replay(made, stream, price)
    assert stream.value(schedule) > price * len(schedule) > 0
    assert len(schedule) <= len(stream.known) / 6


@needs_data
@pytest.mark.parametrize("name", ["bike_sharing_null", "car_loan_null"])
def test_without_change_in_time_requests_are_rare_and_still_pay(made, name):
    """With the order of time destroyed more data is all there is to gain; what it asks for is worth its price."""
    stream = Stream.read(name)
    schedule = replay(made, stream, 2.0)
    assert len(schedule) <= len(stream.known) / 10
    assert stream.value(schedule) > 2.0 * len(schedule)


@needs_data
@pytest.mark.parametrize("name", ["bike_sharing_null", "car_loan_null"])
@pytest.mark.parametrize("price", [1.0, 2.0, 3.0])
def test_noise_seldom_asks_for_a_retrain(made, name, price):
    """Where the model in service knows all but one window of what the challenger knows, it asks at most once."""
    stream = Stream.read(name)
    noise = [float(stream.score[j, j] - stream.score[j - 1, j]) for j in range(2, len(stream.known))]
    assert ask(made, stream, [(gain, gain) for gain in noise], price) <= 1

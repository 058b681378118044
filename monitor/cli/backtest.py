"""`driftd backtest`: replay the log, and show what would have fired, when and why, and what would have paid."""

from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.fired_words import fired_words
from monitor.cli.options import config_option, json_option, load_config, model_option, open_workers, quiet_logs
from monitor.cli.status_and_history import the_model
from monitor.cli.terminal import in_zone, moment, number, print_json, print_table, progress, say, span
from monitor.config.values import Budget
from monitor.errors import UsageError
from monitor.records import Action, Json, Verdict, Window

if TYPE_CHECKING:
    from monitor.backtest.price_search import Suggestion
    from monitor.backtest.replay import Backtest
    from monitor.backtest.simulation import Rehearsal

YES = 3
STAND_IN = 2.0      # sd × windows: the price of a trigger without a price, until one is proposed
_WEIGHT = (Action.HOLD, Action.ALERT, Action.SUPPRESS, Action.RETRAIN, Action.ROLLBACK)
_PAIRS = tuple[float, float] | None


class Rate(click.ParamType[Budget]):
    """A number of retrains in a span of time."""

    name = "RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Budget:
        try:
            return value if isinstance(value, Budget) else Budget.parse(value)
        except ValueError:
            self.fail(f'{value!r} is not a rate, expected a text such as "4 per year"')


@click.command()
@config_option
@model_option
@json_option
@click.option("--rehearse", is_flag=True, help="Fit a challenger for each retrain, and compare policies.")
@click.option("--suggest", is_flag=True, help="Propose the price of a retrain from how often you want one.")
@click.option("--about", type=Rate(), help='For --suggest: how often, "4 per year"; default: `about` of the trigger.')
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the rehearsal: FILE.html, FILE.svg, FILE.png.")
def backtest(
    config_file: Path | None, model: str | None, as_json: bool, rehearse: bool, suggest: bool, about: Budget | None,
    picture: Path | None,
) -> int:
    """Replay the log with this configuration: what would have fired, when and why.

    Nothing is recorded or sent. A label counts from the time it became known. An accepted request is taken to bring
    the challenger of that moment with the next window. Ends with 3 if a retrain would have been asked for.
    """
    from monitor.backtest.replay import backtest as play

    quiet_logs()
    _require_fit(about, suggest, picture)
    suggest, rehearse = suggest or about is not None, rehearse or suggest or picture is not None or about is not None
    loaded = load_config(config_file, stand_in=STAND_IN if suggest else None)
    name = the_model(loaded, model)
    with open_workers(loaded) as workers, progress(f"backtest of {name}") as report:
        result = play(loaded, name, workers, report, rehearsed=rehearse)
    told, proposed = _rehearsed(result), None
    if told and suggest:
        from monitor.backtest.price_search import suggest as propose

        proposed = propose(result, told, about)
    if told and picture:
        from monitor.backtest.chart import draw

        draw(told, name, loaded.config.models[name].timezone, picture)
    if as_json:
        print_json(**_document(result, told, proposed))
    else:
        _print(result, told, proposed, loaded.config.models[name].timezone)
    return YES if any(not retrain.suppressed_by for retrain in result.retrains) else 0


def _require_fit(about: Budget | None, suggest: bool, picture: Path | None) -> None:
    if about is not None and not suggest:
        raise UsageError("--about goes with --suggest")
    if picture is not None and picture.suffix not in (".html", ".svg", ".png"):
        raise UsageError(f"--picture {picture}: expected a name that ends in .html, .svg or .png")


def _rehearsed(result: "Backtest") -> "Rehearsal | None":
    from monitor.backtest.simulation import rehearsal

    return rehearsal(result.played, result.world, result.snapshots) if result.world else None


def _document(result: "Backtest", told: "Rehearsal | None", proposed: "Suggestion | None") -> Json:
    document = result.to_json()
    if told:
        document |= told.to_json()
    return document | {"suggestion": proposed.to_json()} if proposed else document


def weightiest(result: "Backtest") -> dict[Window, Verdict]:
    """Return one verdict for each window, in order: the strongest of its revisions, the newest of equals."""
    chosen: dict[Window, Verdict] = {}
    for verdict in result.verdicts:
        before = chosen.get(verdict.window)
        if before is None or _WEIGHT.index(verdict.action) >= _WEIGHT.index(before.action):
            chosen[verdict.window] = verdict
    return dict(sorted(chosen.items(), key=lambda pair: (pair[0].start, pair[0].start_id)))


def _print(
    result: "Backtest", told: "Rehearsal | None", proposed: "Suggestion | None", zone: tzinfo
) -> None:
    verdicts = weightiest(result)
    scores = {snapshot.window: snapshot.scores for snapshot in result.snapshots}
    rows = [
        (span(window, zone), verdict.action, fired_words(result.played.triggers, verdict, scores.get(window, ())),
         ", ".join(verdict.guards))
        for window, verdict in verdicts.items()
    ]
    print_table((in_zone("window", zone), "verdict", "fired", "suppressed by"), rows)
    say()
    _print_triggers(result, len(verdicts))
    say("", *outcome(result, zone))
    if told:
        _print_policies(told, zone)
    if proposed:
        _print_suggestion(proposed, told.metric if told else "")


def outcome(result: "Backtest", zone: tzinfo) -> list[str]:
    """Return how many windows there were, what was asked for and why, and what was assumed, in sentences."""
    verdicts = weightiest(result)
    asked = [retrain for retrain in result.retrains if not retrain.suppressed_by]
    fired = sum(bool(verdict.fired) for verdict in verdicts.values())
    times = "once" if len(asked) == 1 else f"{len(asked)} times" if asked else "never"
    counts = (f"{len(verdicts)} windows: something fired in {fired}, a retrain was asked for {times}, "
              f"suppressed {len(result.retrains) - len(asked)} times")
    return [
        counts, result.assumes, *([""] if asked else []),
        *(f"asked {moment(one.at, zone)}: {one.trigger}: {one.why}" for one in asked),
    ]


def _print_triggers(result: "Backtest", windows: int) -> None:
    rows = [
        (trigger.trigger, trigger.action, f"{trigger.fired} of {windows}",
         trigger.false_alarms.rate if trigger.false_alarms else "–",
         str(trigger.asked) if trigger.action == "retrain" else "",
         ", ".join(f"{guard} {count}" for guard, count in trigger.suppressed_by.items()))
        for trigger in result.triggers
    ]
    headings = ("trigger", "action", "fired in", "by chance", "asked", "suppressed by")
    print_table(headings, rows, right=headings[2:5])


def _print_policies(told: "Rehearsal", zone: tzinfo) -> None:
    rows = [
        (policy.name, str(policy.retrains), str(len(policy.back) or ""), number(told.mean(policy)),
         _with(policy.net, policy.net_interval), _with(policy.lead, policy.lead_interval, "+"))
        for policy in told.policies
    ]
    say("", "If each retrain had put the challenger of that moment into service, and going back an earlier one:", "")
    headings = ("retrain when", "retrains", "back", f"mean {told.metric}", "net", "lead")
    print_table(headings, rows, right=headings[1:])
    for name, simulated in told.played.items():
        when = ", ".join(f"{moment(told.rounds[at].now, zone)}{' (back)' * (at in simulated.back)}"
                         for at in simulated.schedule) or "never"
        say(f"{name}: {when}")
    say("", "net: gain less the price of the retrains, as a share of the best schedule's in hindsight; a retrain",
        f"costs {number(told.price)} sd × windows, going back {told.back_price} of that. lead: the share of the best",
        "possible gain with as many retrains, less the share of a calendar with as many. 95 % intervals from blocks",
        "of windows.")


def _print_suggestion(proposed: "Suggestion", metric: str) -> None:
    from monitor.backtest.price_search import words

    say("", *words(proposed, metric))
    say("", "Lines for the configuration:", "", *proposed.lines)


def _with(value: float | None, interval: _PAIRS, sign: str = "") -> str:
    """Return a share to two digits with its interval; a dash if there is no value."""
    if value is None:
        return "–"
    between = "" if interval is None else f" ({interval[0]:{sign}.2f}…{interval[1]:{sign}.2f})"
    return f"{value:{sign}.2f}{between}"

"""driftd: the reference digested once, then from a window's file to the numbers."""

from pathlib import Path

from runner import Spec, Values, Work, serve

from benchmarks import ours

PAIRS = {       # work -> methods of numbers, methods of strings
    "psi": (["psi"], ["psi"]),
    "jensenshannon": (["jensenshannon"], ["jensenshannon"]),
    "wasserstein + jensenshannon": (["wasserstein"], ["jensenshannon"]),
    "ks + chisquare": (["ks"], ["chisquare"]),
    "psi + chisquare": (["psi"], ["chisquare"]),
    "jensenshannon + chisquare": (["jensenshannon"], ["chisquare"]),
    "one pass": (["psi", "jensenshannon"], ["psi", "jensenshannon", "chisquare"]),
    "seven exact": (
        ["psi", "jensenshannon", "hellinger", "kl_div", "wasserstein", "ks"],
        ["psi", "jensenshannon", "hellinger", "kl_div", "chisquare"],
    ),
}


QUALITY = ("one pass", "seven exact")     # missing values, ranges and unseen categories too


def prepare(spec: Spec) -> dict[str, Work]:
    kept = ours.keep(Path(spec.reference), spec.numbers, spec.words)

    def work(name: str) -> Work:
        numbers, words = PAIRS[name]
        methods: ours.Methods = {"numerical": numbers, "categorical": words}

        def measure(file: str) -> Values:
            return ours.measure(Path(file), kept, methods, quality=name in QUALITY)

        return Work(lambda file: file, measure)       # reading is part of measuring: columns come one by one

    return {name: work(name) for name in PAIRS}


serve(prepare)

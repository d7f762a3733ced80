"""Helm, as the library that it is made of, in a process of its own: Go's runtime has no place in that of the tests."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from portcullis import ROOT

CHART = ROOT / "deploy/helm/portcullis"


class Refused(Exception):
    """What Helm says of values that it does not take."""


class Helm:
    """The chart, rendered as the release `gate` in the namespace `shop`."""

    def __init__(self):
        self.process = ProcessPoolExecutor(1, mp_context=get_context("spawn"))

    def render(self, values):
        """Each template's text, by its path in the chart."""
        return self.process.submit(_render, values).result(60)

    def lint(self, values):
        """What the linter has to say."""
        return self.process.submit(_lint, values).result(60)

    def stop(self):
        self.process.shutdown()


def _render(values):
    import helm_python

    try:
        with helm_python.Chart.load(CHART) as chart:
            texts = chart.render(values, name="gate", namespace="shop")
    except helm_python.HelmError as error:
        raise Refused(str(error)) from None
    return {name.removeprefix("portcullis/templates/"): text for name, text in texts.items()}


def _lint(values):
    import helm_python

    report = helm_python.lint(CHART, values, strict=True)
    return report["errors"] + [message["error"] for message in report["messages"]]

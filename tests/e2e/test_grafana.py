"""The dashboard of deploy/grafana, held against what the binary exposes, and the table of metrics in the documentation too."""

import itertools
import json
import re

import promql_parser as promql
import pytest
import yaml

from origin import Origin
from portcullis import PASSWORD, ROOT, Portcullis, wait_until

DASHBOARD = json.loads((ROOT / "deploy/grafana/portcullis.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
# What Prometheus puts to everything it reads.
OF_TARGETS = {"job", "instance"}


class Metric:
    def __init__(self, kind):
        self.kind, self.values = kind, {}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory):
    """All metrics, each with its labels and their values: of pools, and of a gate that follows their revocations."""
    folder = tmp_path_factory.mktemp("exposed")
    origin, pools, gate = Origin(), Portcullis(folder / "pools"), None
    try:
        idp, username = pools.idp(), "ada"
        idp.admin_create_user(UserPoolId=pools.pool, Username=username, MessageAction="SUPPRESS")
        idp.admin_set_user_password(UserPoolId=pools.pool, Username=username, Password=PASSWORD, Permanent=True)
        parameters = {"USERNAME": username, "PASSWORD": PASSWORD}
        answer = idp.initiate_auth(ClientId=pools.client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)
        gate = following(folder / "gate", pools, origin)
        token = answer["AuthenticationResult"]["AccessToken"]
        wait_until(lambda: gate.get("/me", token).status_code == 429, "the limit is reached")
        wait_until(lambda: "revocations_age_seconds" in gate.metrics(), "revocations are heard of")
        yield read(pools.metrics() + gate.metrics())
        for each in (gate, pools):
            each.stop()
    finally:
        for each in (gate, pools):
            if each and each.process.poll() is None:
                each.kill()


def following(folder, pools, origin):
    folder.mkdir()
    (folder / "operator.key").write_text(pools.env["AWS_SECRET_ACCESS_KEY"])
    (folder / "operator.key").chmod(0o600)
    issuer = f"{pools.public_url}/{pools.pool}"
    operator = {"access_key_id": pools.env["AWS_ACCESS_KEY_ID"], "secret": {"file": "operator.key"}}
    feed = {"url": f"{issuer}/revocations", "operator": operator}
    (folder / "portcullis.yaml").write_text(yaml.safe_dump({
        "listeners": [{"address": "127.0.0.1:0"}],
        "admin": {"address": "127.0.0.1:0"},
        "issuers": {"staff": {"kind": "cognito", "issuer": issuer, "clients": [pools.client], "revocations": feed}},
        "upstreams": {"origin": {"servers": [origin.url], "health": "/"}},
        "routes": [{
            "name": "me", "match": {"path": "/me"}, "authenticate": {"bearer": {"issuers": ["staff"]}},
            "authorize": "authenticated", "upstream": {"to": "origin"},
            "rate_limits": [{"by": "principal", "requests": 1, "per_seconds": 60}],
        }],
    }))  # fmt: skip
    return Portcullis(folder, command=["serve", "--config", folder / "portcullis.yaml"])


def read(text):
    metrics = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M):
        metrics.setdefault(name, Metric(kind))
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.M):
        for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels):
            metrics[family(name, metrics)].values.setdefault(label, set()).add(value)
    return metrics


def family(name, metrics):
    """The metric that a series is of: a histogram has three."""
    whole = re.sub(r"_(bucket|sum|count)$", "", name)
    return whole if whole in metrics and metrics[whole].kind == "histogram" else name


def parsed(expression):
    """The expression, with a time in place of the one that Grafana chooses."""
    return promql.parse(expression.replace("$__rate_interval", "1m"))


def inner(node):
    """What an expression is made of."""
    if isinstance(node, promql.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql.Call):
        return list(node.args)
    if isinstance(node, promql.MatrixSelector):
        return [node.vector_selector]
    if isinstance(node, (promql.AggregateExpr, promql.ParenExpr)):
        return [node.expr]
    assert isinstance(node, (promql.VectorSelector, promql.NumberLiteral)), f"{type(node)} is not known here"
    return []


def everything(node):
    yield node
    for part in inner(node):
        yield from everything(part)


def labels_of(node, metrics):
    """The labels of what an expression gives."""
    if isinstance(node, promql.VectorSelector):
        return set(metrics[family(node.name, metrics)].values) | OF_TARGETS
    if isinstance(node, promql.AggregateExpr):
        labels = set(node.modifier.labels) if node.modifier else set()
        assert labels <= labels_of(node.expr, metrics), f"{labels} of {node.expr}"
        return labels
    found = [labels_of(part, metrics) for part in inner(node)]
    if isinstance(node, promql.BinaryExpr):
        return found[0]
    return set().union(*found) - ({"le"} if isinstance(node, promql.Call) and node.func.name == "histogram_quantile" else set())


@pytest.mark.parametrize("title, target", QUERIES, ids=[f"{title}-{target['refId']}" for title, target in QUERIES])
def test_queries_ask_for_what_is_exposed(title, target, exposed):
    expression = parsed(target["expr"])
    selectors = [node for node in everything(expression) if isinstance(node, promql.VectorSelector)]
    assert selectors
    for selector in selectors:
        name = family(selector.name, exposed)
        assert name in exposed, selector.name
        metric = exposed[name]
        assert (metric.kind == "histogram") == (name != selector.name), "a histogram is asked for by one of its series"
        matchers = {matcher.name: matcher for matcher in selector.matchers.matchers}
        assert OF_TARGETS <= matchers.keys(), "the dashboard's choice holds for every query"
        for label, matcher in matchers.items():
            assert label in OF_TARGETS or label in metric.values, f"{selector.name} has no {label}"
            if matcher.value.startswith("$"):
                assert matcher.value == f"${label}" and label in VARIABLES and matcher.op == promql.MatchOp.Re
            else:
                assert matcher.value in metric.values[label], f"{selector.name} has no {label}={matcher.value}"
    labels = labels_of(expression, exposed)
    shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    assert shown <= labels, title
    assert labels - shown <= OF_TARGETS, "series that look the same"


@pytest.mark.parametrize("title, target", QUERIES, ids=[f"{title}-{target['refId']}" for title, target in QUERIES])
def test_counters_are_asked_for_their_growth_and_nothing_else_is(title, target, exposed):
    grows = set()
    for node in everything(parsed(target["expr"])):
        if isinstance(node, promql.Call) and node.func.name in ("rate", "increase"):
            grows |= {part.name for arg in node.args for part in everything(arg) if isinstance(part, promql.VectorSelector)}
    for node in everything(parsed(target["expr"])):
        if isinstance(node, promql.VectorSelector):
            counts = exposed[family(node.name, exposed)].kind in ("counter", "histogram")
            assert counts == (node.name in grows), node.name


def test_every_metric_is_on_the_dashboard(exposed):
    asked = {
        family(node.name, exposed)
        for _, target in QUERIES
        for node in everything(parsed(target["expr"]))
        if isinstance(node, promql.VectorSelector)
    }
    assert asked == exposed.keys()


def test_the_documentation_names_every_metric_and_its_labels(exposed):
    text = (ROOT / "docs/operations.md").read_text()
    table = re.search(r"^\| metric \(`portcullis_…`\) .*?\n\n", text, re.M | re.S)[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*)\|", table, re.M)
    documented = {f"portcullis_{name}": set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert documented == {name: set(metric.values) - {"le"} for name, metric in exposed.items()}


def test_variables_ask_for_what_is_exposed(exposed):
    assert VARIABLES["datasource"]["type"] == "datasource" and VARIABLES["datasource"]["query"] == "prometheus"
    for name in VARIABLES.keys() - {"datasource"}:
        query = VARIABLES[name]["query"]["query"]
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()
        selector = promql.parse(selector)
        assert label == name and selector.name in exposed
        assert label in labels_of(selector, exposed) and query == VARIABLES[name]["definition"]


def test_panels_explain_themselves_and_do_not_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        cells = set(cells)
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["description"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_what_is_not_exposed_would_be_found(exposed):
    for wrong in ('sum by (path) (rate(portcullis_requests_total{job=~"$job"}[1m]))', "sum by (route) (portcullis_hash_queue)"):
        with pytest.raises(AssertionError):
            labels_of(promql.parse(wrong), exposed)
    assert family("portcullis_store_seconds_bucket", exposed) == "portcullis_store_seconds"
    assert "portcullis_request_total" not in exposed

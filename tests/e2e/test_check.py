"""Settings and policies that protect nothing, and decisions that cannot be made: refused, denied, and told."""

import json
import re

import pytest
import requests
import yaml

from portcullis import PASSWORD, ROOT, run, wait_until

PETSTORE = ROOT / "policies/petstore"


def reader(gate):
    """The access token of a user who may read."""
    idp = gate.idp()
    idp.admin_create_user(UserPoolId=gate.pool, Username="reader", MessageAction="SUPPRESS")
    idp.admin_set_user_password(UserPoolId=gate.pool, Username="reader", Password=PASSWORD, Permanent=True)
    idp.admin_add_user_to_group(UserPoolId=gate.pool, Username="reader", GroupName="readers")
    auth = {"USERNAME": "reader", "PASSWORD": PASSWORD}
    answer = idp.initiate_auth(ClientId=gate.client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=auth)
    return answer["AuthenticationResult"]["AccessToken"]


def write(folder, change):
    """The sidecar's settings with the pet store's policies, after a change of both."""
    policies = folder / "policies/petstore"
    policies.mkdir(parents=True)
    for file in PETSTORE.iterdir():
        (policies / file.name).write_text(file.read_text())
    settings = yaml.safe_load((ROOT / "config/sidecar.yaml").read_text())
    settings |= {"listeners": [{"address": "127.0.0.1:0"}], "data": "."}
    settings["policies"]["pets"]["path"] = "policies/petstore"
    change(settings, policies)
    file = folder / "portcullis.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def bearer(settings, **more):
    for route in settings["routes"]:
        if route["authenticate"] != "none":
            route["authenticate"]["bearer"] |= more


def other_pool(settings, _):
    settings["issuers"]["staff"]["issuer"] = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Other0001"


def forbid_all(_, policies):
    (policies / "all.cedar").write_text('@id("all") forbid(principal, action, resource);')


def no_policies(_, policies):
    for file in policies.glob("*.cedar"):
        file.unlink()


def twice(settings, _):
    settings["routes"].append(settings["routes"][1] | {"name": "again"})


def doubled(*allow, **beside):
    """A route for `//`, and perhaps others."""

    def change(settings, _):
        settings["routes"][0] |= {"match": {"path": "/site//new"}, "admit": {"allow": list(allow)}}
        settings["routes"] += [settings["routes"][0] | {"name": path, "match": {"path": path}} for path in beside.values()]

    return change


@pytest.mark.parametrize(
    "change, said",
    [
        (other_pool, r"routes\[1\].authorize: nobody can ever be permitted: .*`us-east-1_Other0001\|…`.*; mend"),
        (forbid_all, r"routes\[2\].authorize: nobody can ever be permitted: policy `all` forbids every request; mend"),
        (no_policies, r"routes\[1\].authorize: nobody can ever be permitted: there are no policies; mend"),
        (lambda settings, _: bearer(settings, token_use=["id"], scopes=["a"]), r"token_use: ID tokens have no scope.*take"),
        (lambda settings, _: bearer(settings, claims={"client_id": ["b"]}), r"client_id\[0\]: no token.*`b`.*take it out"),
        (twice, r"routes\[3\].match: takes requests that route `list pets` takes just as specifically"),
        (doubled(), r"routes\[0\].match: never matches: requests with `//` are refused where `admit.allow` has no `empty_segment`"),
        (doubled("empty_segment", other="/site/new"), r"routes\[0\].match: never matches: with `//` read as `/`, its paths are"),
    ],
    ids=["other-pool", "forbid-all", "no-policies", "scopes-of-id-tokens", "another-client", "twice", "empty", "merged"],
)
def test_settings_without_effect_are_refused(tmp_path, change, said):
    file = write(tmp_path, change)
    checked = run("check", "--config", file)
    assert checked.returncode == 1 and re.search(said, checked.stdout), checked.stdout
    served = run("serve", "--config", file)
    assert served.returncode == 1 and re.search(said, served.stderr), served.stderr


def test_a_route_for_what_it_allows_is_taken(tmp_path):
    done = run("check", "--config", write(tmp_path, doubled("empty_segment", other="/site/{rest*}")))
    assert done.returncode == 0, done.stdout


def test_what_is_odd_is_a_warning(tmp_path):
    def change(settings, policies):
        settings["routes"][0] |= {"name": "site", "match": {}}
        (policies / "typo.cedar").write_text(
            '@id("typo") permit(principal in PetStore::UserGroup::"us-east-1_Petstore1|x", action, resource);'
        )

    done = run("check", "--config", write(tmp_path, change))
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[1].startswith("site ") and lines[-1].startswith("no problems in ")
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert any("policy `typo` asks for" in line and "it permits nothing on any route" in line for line in warnings)
    assert any("routes[1].match" in line and "goes to `site`, which asks nobody" in line for line in warnings)
    unedited = run("check", "--config", ROOT / "config/minimal.yaml").stdout
    assert re.search(r"^warning: line \d+: issuers.company.issuer: `login.example.com` is a name for examples", unedited, re.M)
    assert "warning: " not in run("check", "--config", write(tmp_path / "clean", lambda *_: None)).stdout


def test_a_dev_folder_is_without_warnings(own):
    gate = own()
    done = run("check", "--config", gate.data / "portcullis.yaml")
    assert done.returncode == 0 and "warning: " not in done.stdout, done.stdout


def test_an_address_of_another_form_is_told_the_form(tmp_path):
    for option in ("--listen", "--admin"):
        done = run("dev", "--data", tmp_path / "data", option, "8081")
        assert done.returncode != 0 and "`127.0.0.1:8080`" in done.stderr, done.stderr


def counts(gate, name):
    found = re.findall(rf'^portcullis_{name}{{(?:code|result)="(\w+)"}} (\d+)$', gate.metrics(), re.M)
    return {label: int(count) for label, count in found}


def test_decisions_are_counted_by_what_memory_had_to_do_with_them(own):
    gate = own()
    token = reader(gate)
    before = counts(gate, "decision_cache_total")
    assert before == {"hit": 0, "miss": 0, "bypass": 0}
    for _ in range(3):
        assert gate.get("/pets", token).status_code == 200
    assert counts(gate, "decision_cache_total") == {"hit": 2, "miss": 1, "bypass": 0}
    for _ in range(2):
        assert gate.get("/owners/nobody/pets", token).status_code == 200
    assert counts(gate, "decision_cache_total") == {"hit": 3, "miss": 2, "bypass": 0}
    for _ in range(2):
        answer = requests.delete(gate.url + "/pets/1", headers={"authorization": f"Bearer {token}"}, timeout=5)
        assert answer.status_code == 403
    assert counts(gate, "decision_cache_total") == {"hit": 3, "miss": 2, "bypass": 2}, "a policy reads the time"
    assert set(counts(gate, "decision_failures_total").values()) == {0}


ADD = "@id(\"odd\") forbid(principal, action, resource) when { %s };"


@pytest.mark.parametrize(
    "code, schema, policy, query",
    [
        (
            "policy_error", None,
            ADD % "context has token && context.token has auth_time && context.token.auth_time + 9223372036854775807 > 0", "",
        ),
        ("no_policies", None, None, ""),
        ("claims_invalid", ("username?: String", "username?: Long"), "", ""),
        ("input_missing", ("limit?: String", "limit: String"), "", ""),
        (
            "input_ambiguous", None,
            ADD % 'context.queryStringParameters has limit && context.queryStringParameters.limit == "0"', "?limit=1&limit=2",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)  # fmt: skip
def test_what_cannot_be_evaluated_denies_and_is_told(own, code, schema, policy, query):
    gate = own()
    token = reader(gate)
    assert gate.get("/pets", token).status_code == 200
    folder = gate.data / "policies/petstore"
    if schema:
        file = next(folder.glob("*.cedarschema"))
        assert schema[0] in file.read_text()
        file.write_text(file.read_text().replace(*schema))
    if policy is None:
        for file in folder.glob("*.cedar"):
            file.unlink()
    elif policy:
        (folder / "odd.cedar").write_text(policy)
    ask = lambda: gate.get("/pets" + query, token)  # noqa: E731
    denied = wait_until(lambda: [answer for answer in [ask()] if answer.status_code == 403], "the policies are in force")
    problem = denied[0].json()
    assert problem["type"].endswith(f":{code}") or problem.get("code") == code, problem
    assert counts(gate, "decision_failures_total")[code] >= 1
    lines = [json.loads(line) for line in gate.log.read_text().splitlines() if line.startswith("{")]
    told = [line for line in lines if code in json.dumps(line) and "could not be evaluated" in json.dumps(line)]
    assert len(told) == 1, "once in a while"
    assert told[0]["level"] == "WARN" and "pets" in json.dumps(told[0])
    if code == "policy_error":
        assert "odd" in json.dumps(told[0]) and "9223372036854775807" not in json.dumps(told[0])

"""What the tests share: one running gate, and pools and users of their own in it."""

import itertools
from types import SimpleNamespace

import pytest

import table
from origin import Issuer
from portcullis import BINARY, PASSWORD, Portcullis
from postgres import Postgres
from wire import RawOrigin

_numbers = itertools.count(1)

FLOWS = [
    "ALLOW_USER_PASSWORD_AUTH",
    "ALLOW_ADMIN_USER_PASSWORD_AUTH",
    "ALLOW_USER_SRP_AUTH",
    "ALLOW_REFRESH_TOKEN_AUTH",
]


def pytest_terminal_summary(terminalreporter):
    if lines := table.lines():
        terminalreporter.section("protocol × route × event")
        terminalreporter.write("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def issuer():
    """Of tokens for gates that know it by its URL; a file's own."""
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture(scope="session", autouse=True)
def binary():
    assert BINARY.exists(), f"{BINARY} is not built: `make e2e` builds it"


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def gate(request, tmp_path_factory):
    """`portcullis dev`, for tests that only add to it; all of them run on both databases."""
    gate = Portcullis(tmp_path_factory.mktemp(request.param) / "data")
    if request.param == "postgres":
        gate.stop()
        file = gate.data / "portcullis.yaml"
        text, store = file.read_text(), "store: sqlite:pools.db"
        assert store in text
        file.write_text(text.replace(store, f'store: "{request.getfixturevalue("postgres").database()}"'))
        gate.start()
    yield gate
    gate.stop()


@pytest.fixture(scope="module")
def origin():
    """Keeps every byte it gets; modules that need another have their own."""
    origin = RawOrigin()
    yield origin
    origin.stop()


@pytest.fixture
def own(tmp_path):
    """Starts gates for one test alone: `own()` on a fresh folder, or with any arguments of `Portcullis`."""
    started = []

    def start(data=None, **more):
        started.append(Portcullis(data or tmp_path / "data", **more))
        return started[-1]

    yield start
    for gate in started:
        if gate.process.poll() is None:
            gate.kill()


@pytest.fixture(scope="session")
def idp(gate):
    return gate.idp()


@pytest.fixture
def name():
    """Names that no other test uses."""
    return lambda stem="user": f"{stem}{next(_numbers)}"


@pytest.fixture
def pool(idp, name):
    """Makes a pool and a client in it: `pool(**CreateUserPool)`, then `.client(**CreateUserPoolClient)`."""
    made = []

    def make(client=None, **settings):
        pool_id = idp.create_user_pool(PoolName=name("pool"), **settings)["UserPool"]["Id"]
        made.append(pool_id)
        this = SimpleNamespace(id=pool_id)

        def add(**settings):
            settings = {"ExplicitAuthFlows": FLOWS} | settings
            return idp.create_user_pool_client(UserPoolId=pool_id, ClientName=name("client"), **settings)["UserPoolClient"]

        this.add_client = add
        this.client = add(**(client or {}))
        this.client_id = this.client["ClientId"]
        return this

    yield make
    for pool_id in made:
        try:
            idp.delete_user_pool(UserPoolId=pool_id)
        except idp.exceptions.ResourceNotFoundException:
            pass  # The test deleted it itself.


@pytest.fixture
def user(idp, name):
    """Makes a confirmed user with the usual password in a pool and returns the username."""

    def make(pool_id, username=None, password=PASSWORD, **attributes):
        username = username or name()
        given = [{"Name": key.replace("custom_", "custom:"), "Value": value} for key, value in attributes.items()]
        idp.admin_create_user(
            UserPoolId=pool_id, Username=username, UserAttributes=given, MessageAction="SUPPRESS"
        )
        idp.admin_set_user_password(UserPoolId=pool_id, Username=username, Password=password, Permanent=True)
        return username

    return make


@pytest.fixture
def sign_in(idp):
    """Signs in with a password and returns the AuthenticationResult."""

    def make(client_id, username, password=PASSWORD, **more):
        answer = idp.initiate_auth(
            ClientId=client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": password} | more,
        )
        return answer["AuthenticationResult"]

    return make

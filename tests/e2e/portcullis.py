"""The real binary as a test drives it: started on ports of the kernel's choice, ended by its own process id."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("PORTCULLIS_BIN", ROOT / "target/debug/portcullis")).resolve()
PASSWORD = "Correct-Horse-7"
TARGET = "AWSCognitoIdentityProviderService."


def wait_until(check, what, within=10.0):
    """Returns what `check` gives as soon as that is true; fails after `within` seconds."""
    end = time.monotonic() + within
    while True:
        if result := check():
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.01)


class Portcullis:
    """`portcullis dev` on a folder, or `serve` on a file of settings."""

    def __init__(self, data: Path, command=None, ready=True, env=None, open_files=None, binary=None):
        self.data = data
        self.binary = binary or BINARY
        self.command = command or ["dev", "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        self.environment = env or {}
        self.open_files = open_files
        self.process = None
        self.lines = []
        self.start(ready)

    def start(self, ready=True):
        started = time.monotonic()
        self.data.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, *map(str, self.command)],
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment() | self.environment,
                cwd=self.data,
                preexec_fn=self.open_files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, [self.open_files] * 2)),
            )
        first = self.process.stdout.readline()
        assert first, f"it ended with {self.process.wait()}: {self.log.read_text()}"
        bound = json.loads(first)
        self.listeners, self.admin = bound["listen"], bound["admin"]
        self.listen = self.listeners[0]
        self.url, self.admin_url = f"http://{self.listen}", f"http://{self.admin}"
        self.public_url = bound.get("public_url", self.url)
        threading.Thread(target=self._drain, daemon=True).start()
        if ready:
            wait_until(lambda: self.readyz().status_code == 200, "ready")
        self.ready_after = time.monotonic() - started

    def _drain(self):
        for line in self.process.stdout:
            self.lines.append(line.decode())

    @property
    def log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    @property
    def env(self) -> dict:
        """What `source dev.env` gives."""
        words = shlex.split((self.data / "dev.env").read_text(), comments=True)
        return dict(word.split("=", 1) for word in words if "=" in word)

    @property
    def pool(self):
        return self.env["POOL_ID"]

    @property
    def client(self):
        return self.env["CLIENT_ID"]

    def readyz(self):
        return requests.get(f"{self.admin_url}/readyz", timeout=5)

    def metrics(self):
        return requests.get(f"{self.admin_url}/metrics", timeout=5).text

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("SIGTERM did not end it within 15 s") from None
        return self.process.returncode

    # As AWS's SDK

    def idp(self, access_key=None, secret=None, **config):
        env = self.env
        keys = (access_key or env["AWS_ACCESS_KEY_ID"], secret or env["AWS_SECRET_ACCESS_KEY"])
        return sdk(self.url, *keys, region=env["AWS_REGION"], **config)

    # As bytes on the wire

    def raw(self, operation, body, headers=None, **more):
        """Posts an unsigned call; `body` may be text that no SDK would send."""
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": TARGET + operation,
        } | (headers or {})
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return requests.post(self.url + "/", data=data, headers=headers, timeout=20, **more)

    def signed(self, operation, body, access_key=None, secret=None, service="cognito-idp", change=None):
        """Posts a signed call; `change` may alter the headers after they were signed."""
        env = self.env
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        request = AWSRequest(
            "POST",
            self.url + "/",
            headers={"content-type": "application/x-amz-json-1.1", "x-amz-target": TARGET + operation},
            data=data,
        )
        keys = Credentials(access_key or env["AWS_ACCESS_KEY_ID"], secret or env["AWS_SECRET_ACCESS_KEY"])
        SigV4Auth(keys, service, env["AWS_REGION"]).add_auth(request)
        headers = dict(request.headers.items())
        if change:
            change(headers)
        return requests.post(self.url + "/", data=data, headers=headers, timeout=20)

    def get(self, path, token=None, **more):
        headers = more.pop("headers", {})
        if token:
            headers["authorization"] = f"Bearer {token}"
        return requests.get(self.url + path, headers=headers, timeout=10, allow_redirects=False, **more)

    # The development outbox

    def outbox(self):
        path = self.data / "outbox.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def message(self, username, after=0):
        """The newest message to the user that comes after the first `after` ones to them."""

        def newest():
            messages = [m for m in self.outbox() if m["username"] == username]
            return messages[-1] if len(messages) > after else None

        return wait_until(newest, f"a message to {username}")


def sdk(url, access_key, secret, region="us-east-1", **config):
    """AWS's SDK, that asks once."""
    return boto3.session.Session().client(
        "cognito-idp",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, **{"read_timeout": 20} | config),
    )


class Writers:
    """Make users without a pause, each at one of these gates in turn, and keep in mind what was answered."""

    def __init__(self, sdks, pool, stem="written", count=6):
        self.sdks, self.pool, self.stem, self.stopped = sdks, pool, stem, threading.Event()
        # Names and errors, each with its time on the monotonic clock.
        self.made, self.failed = [], []
        self.threads = [threading.Thread(target=self.write, args=(number,), daemon=True) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def write(self, number):
        idp = self.sdks[number % len(self.sdks)]
        for each in itertools.count():
            if self.stopped.is_set():
                return
            name = f"{self.stem}{number}-{each}"
            try:
                idp.admin_create_user(UserPoolId=self.pool, Username=name, MessageAction="SUPPRESS")
                self.made.append((name, time.monotonic()))
            except (ClientError, BotoCoreError) as error:
                self.failed.append((repr(error), time.monotonic()))

    def more(self, count=30):
        """Waits until so many more are answered to all of them together."""
        seen = len(self.made)
        wait_until(lambda: len(self.made) > seen + count, "users are made", within=60)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a call hangs"


def environment():
    """The tests' environment without AWS settings of the machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def run(*command, env=None, timeout=60, cwd=None):
    """Runs the binary to its end."""
    command = [BINARY, *map(str, command)]
    env = environment() | (env or {})
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env, cwd=cwd)


@contextmanager
def refused(exception, message=None):
    """The block's call must raise that exception class of the SDK, with that message if one is given."""
    with pytest.raises(ClientError) as caught:
        yield caught
    error = caught.value.response["Error"]
    assert (error["Code"], type(caught.value).__name__) == (exception, exception), error
    assert caught.value.response["ResponseMetadata"]["RequestId"]
    if message is not None:
        if isinstance(message, re.Pattern):
            assert message.search(error["Message"]), error["Message"]
        else:
            assert error["Message"] == message


def claims(token):
    """What a JWT says, unverified."""
    return json.loads(unpad(token.split(".")[1]))


def unpad(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def secret_hash(username, client, secret):
    mac = hmac.new(secret.encode(), (username + client).encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def attributes(pairs):
    """A user's attributes as a dictionary."""
    return {pair["Name"]: pair["Value"] for pair in pairs}

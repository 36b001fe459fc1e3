"""AWS as boto3 finds it in tests: moto, which counts what it is asked."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.serving import WSGIRequestHandler, make_server

REGION = "us-west-2"
#: Nobody answers there.
NOWHERE = "http://127.0.0.1:1"


class Aws:
    """Secrets Manager, behind a counter."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._asked: Counter[str] = Counter()
        self.url = NOWHERE

    def __call__(self, environ: dict[str, Any], respond: Any) -> Any:
        """Answer one request, as a WSGI application does."""
        self._asked[environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]] += 1
        return self._app(environ, respond)

    @property
    def read(self) -> int:
        """How often a secret was read."""
        return self._asked["GetSecretValue"]

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which boto3 asks here and nowhere else."""
        return {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "the-key-of-the-key",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def keep(self, name: str, content: object) -> None:
        """Have the secret *name* say *content*, as it is or as JSON."""
        text = content if isinstance(content, str) else json.dumps(content)
        client = boto3.client(
            "secretsmanager",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="the-key-of-the-key",
        )
        try:
            client.put_secret_value(SecretId=name, SecretString=text)
        except client.exceptions.ResourceNotFoundException:
            client.create_secret(Name=name, SecretString=text)


class _Silent(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def aws_server() -> Iterator[Aws]:
    """Serve AWS on a port of its own."""
    aws = Aws()
    server = make_server("127.0.0.1", 0, aws, threaded=True, request_handler=_Silent)
    aws.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

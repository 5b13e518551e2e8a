"""What is never told: keys, values, names of users, passwords."""

import pytest
import redis

from tests.measure.kit import Kit
from tests.measure.redis.work import NAME, WORK, client_of, work
from tests.services.redis_server import RedisServer

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("instrumentor")]


def test_keys_values_and_passwords_are_nowhere(
    server: RedisServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """In spans, metrics and on standard error; with the names of both conventions."""
    secret = "hunter2"
    server.say(f"ACL SETUSER {secret} on >{secret} ~* &* +@all -flushall")
    with Kit({"OTEL_SEMCONV_STABILITY_OPT_IN": "database/dup"}) as kit:
        with client_of(server, username=secret, password=secret, client_name=secret) as client:
            work(client, secret)
            client.hset(secret, mapping={secret: secret})
            client.eval(f"return '{secret}'", 1, secret)
            for wrong in ((secret,), (secret, secret), (secret.encode(),), ("CONFIG " + secret,), ("GET",)):
                with pytest.raises(redis.ResponseError):
                    client.execute_command(*wrong)
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.flushall()
            with client.pipeline() as pipe:
                pipe.set(secret, secret).execute_command(secret, secret)
                with pytest.raises(redis.ResponseError):
                    pipe.execute()
        wrong_password = client_of(server, username=secret, password=secret * 2)
        with wrong_password as client, pytest.raises(redis.AuthenticationError):
            client.get(secret)
    assert len(kit.spans) > WORK.total()
    assert not [payload for payload in kit.raw if secret.encode() in payload]
    assert secret not in repr(kit.points(NAME))
    assert secret not in "".join(capfd.readouterr())
    server.say(f"ACL DELUSER {secret}")

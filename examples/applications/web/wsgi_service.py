"""A WSGI application for gunicorn; `gunicorn.conf.py` says how to run it."""

import math
import os

import limits


def app(environ, start_response):
    headers = [("Content-Type", "text/plain")]
    wait = limits.seconds_to_wait(environ["REMOTE_ADDR"])
    if wait:
        start_response("429 Too Many Requests", [*headers, ("Retry-After", str(math.ceil(wait)))])
        return [b"too many requests\n"]
    if environ["REQUEST_METHOD"] == "PUT":
        if not limits.uploads.acquire(blocking=False):
            start_response("503 Service Unavailable", headers)
            return [b"another upload is running\n"]
        try:
            body = environ["wsgi.input"].read()
        finally:
            limits.uploads.release()
        start_response("200 OK", headers)
        return [b"%d bytes\n" % len(body)]
    start_response("200 OK", headers)
    return [b"worker %d\n" % os.getpid()]

"""An ASGI service of several workers with shared limits (`limits.py`). Run:

    pip install sharedkit uvicorn
    python examples/applications/web/asgi_service.py              # two workers; SIGHUP replaces them, the limits stay
    python examples/applications/web/asgi_service.py --reload     # one worker, replaced when a file changes

The main program is uvicorn's supervisor, and keeps the limits open. `uvicorn asgi_service:app --workers 2` works, too:
then the limits last as long as any worker does. `--reload` stops its one worker first, so they start anew.
"""

import asyncio
import math
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import limits


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    wait = limits.seconds_to_wait(scope["client"][0])
    if wait:
        await answer(send, 429, b"too many requests\n", (b"retry-after", b"%d" % math.ceil(wait)))
    elif scope["method"] == "PUT":
        if await limits.uploads.aacquire(blocking=False):
            try:
                size = await upload(receive)
            finally:
                limits.uploads.release()
            await answer(send, 200, b"%d bytes\n" % size)
        else:
            await answer(send, 503, b"another upload is running\n")
    else:
        await answer(send, 200, b"worker %d\n" % os.getpid())


async def answer(send, status, body, *headers):
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def upload(receive):
    size = 0
    while (message := await receive())["type"] == "http.request":
        size += len(message["body"])
        if not message.get("more_body"):
            break
    return size


async def lifespan(receive, send):
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:  # if it is killed, end as well: an orphan would keep the port, and the next start fail
        asyncio.get_running_loop().add_reader(supervisor.sentinel, os.kill, os.getpid(), signal.SIGTERM)
    while True:
        message = await receive()
        ending = message["type"] == "lifespan.shutdown"
        if ending:
            limits.close()
        await send({"type": f"{message['type']}.complete"})
        if ending:
            return


if __name__ == "__main__":
    import uvicorn

    here = str(Path(__file__).parent)
    reload = "--reload" in sys.argv
    uvicorn.run(
        "asgi_service:app", app_dir=here, port=int(os.environ.get("PORT", "8000")),
        workers=None if reload else 2, reload=reload, reload_dirs=[here] if reload else None,
    )  # fmt: skip

# cython: language_level=3
"""One request of a thread, from its first byte until its caller has the result.

A signal handler may raise at any bytecode, even after the server has granted a lock and before this process knows of
it. So every method that takes or gives something is compiled, by `taking` and `giving`: an exception is caught in code
without bytecodes, where no handler runs. Then the taken thing goes back, or the giving is completed, in a new thread,
which no signal interrupts and which may wait for a stopped server.
"""

import inspect
import pickle
from _thread import allocate_lock, get_ident, start_new_thread
from functools import wraps
from time import monotonic

from sharedkit.errors import ClosedError, SharedkitError
from sharedkit.manager import protocol
from sharedkit.manager.stopped_server import StandsStill, Watch
from sharedkit.manager.protocol import RemoteTraceback, content_of, join

cdef int RESULT = protocol.RESULT
cdef int CANCELLED = protocol.CANCELLED
cdef double LONGEST = 3600.0   # seconds of one sleep
cdef int AGAIN = 1000     # how often a release starts again if handlers raise before its first byte is sent
cdef object PLAIN = (SharedkitError, TypeError, ValueError, OverflowError)   # errors of a release itself


cdef tuple snapshot(object tickets):
    """Return the contents of a deque at one moment. With a GIL a copy is one step. Without one, Python refuses a copy
    if another thread changes the deque meanwhile; then it is made again."""
    while True:
        try:
            return tuple(tickets.copy())
        except RuntimeError:
            pass


cdef class Request:
    """Request()
    --

    One request to a server, and its progress.

    `client` is the connection to the server, and `content` the request: ident, method, args and thread. `answer` is the
    message that came, None before. `over`: nothing must be given back, because the server has refused or has ended.
    `in_order`: the connection of a request that was left can be used again. `note` belongs to the caller, which finds
    it again when the request starts again. `still`: the request was left because the server stands still, so it must
    not take effect; `told`: the message about that has been sent. `elsewhere`: `ask` only passes the request to a
    thread, which sends it; `handed_over`: it has done so, and `error` is the exception of that thread.
    """

    cdef public object note
    cdef readonly object client
    cdef readonly object connection
    cdef readonly object content
    cdef readonly object number
    cdef readonly object answer
    cdef readonly bint over
    cdef public bint in_order
    cdef readonly bint still
    cdef readonly bint told
    cdef object patience
    cdef bint elsewhere
    cdef bint handed_over
    cdef object error

    def ask(self, client, ident, method, args, patience, thread, bound=None):
        """Return the result of `method` in the server, or raise its exception, with the traceback there as the cause.

        The arguments are those of `Client.call`.
        """
        if self.elsewhere:
            return self.hand_over(client, ident, method, args, patience, thread or get_ident())
        try:
            return self.ask_in_time(client, ident, method, args, patience, thread, bound)
        except StandsStill as still:
            self.still = True
            self.patience = 0   # wait for nothing
            if self.connection is not None and self.connection.sent:
                try:   # first, because the caller may let the server go on as soon as it learns of this
                    self.connection.offer(join(0, (0, "cancel", (self.number,), 0, ())))
                    self.told = self.connection.sent
                except OSError:   # the connection has ended
                    pass
                if self.told and still.is_over():
                    return self.last_word(client, still)
            self.leave(False)
            self.over = True
            raise

    cdef object hand_over(self, client, ident, method, args, patience, thread):
        """Let another thread send the request in the name of this one, and wait for it up to `patience` seconds. If its
        error comes in that time, it is raised here."""
        self.client, self.patience = client, patience
        done = allocate_lock()
        done.acquire()
        before = tuple(client._calls.leaving)
        try:
            start_new_thread(self._ask_there, (ident, method, args, thread, before, done))
        except (RuntimeError, MemoryError):   # no thread can be started
            return self.ask_in_time(client, ident, method, args, patience, thread, None)
        self.handed_over = True
        self.await_finish(done)
        if self.error is not None:
            raise self.error

    def _ask_there(self, ident, method, args, thread, before, done):
        """Send the request, in the other thread, after the requests that the first thread had left before."""
        cdef Request request = Request()
        try:
            for each in before:
                each.acquire()
                each.release()
            request.ask_in_time(self.client, ident, method, args, None, thread, None)
        except BaseException as error:
            self.error = error
        finally:
            done.release()

    cdef object last_word(self, client, still):
        """Return the server's answer to a call that was left, when the server has just gone on: it may be done."""
        connection = self.connection
        connection.limit(client, monotonic())
        try:
            answer = connection.receive()
            kind, payload = content_of(answer)
        except BaseException as end:
            connection.unlimit()
            if is_end(end):
                self.over = True
                raise client._gone(connection, end) from end
            self.leave(False)
            self.over = True
            raise
        connection.unlimit()
        self.connection = None
        if kind == RESULT:   # the connection will also receive an answer to `cancel`, so it is not used again
            self.answer = answer
            return payload
        self.over = True
        if kind == CANCELLED:
            client._calls.idle_connections.append(connection)
            raise still
        raise payload[0] from RemoteTraceback(payload[1])

    cdef object ask_in_time(self, client, ident, method, args, patience, thread, bound):
        cdef double until = 0
        if bound is not None:
            until = monotonic() + max(0.0, bound)
        calls = client._calls
        leaving = calls.leaving
        while leaving:   # first wait for the requests that this thread has left
            first = next(iter(leaving))
            if bound is None:
                first.acquire()
            else:
                watch = Watch(client, until - monotonic())
                seconds = watch.patience()
                while not first.acquire(True, min(seconds, LONGEST)):
                    seconds = watch.look()
            first.release()
            if first in leaving:   # a signal handler may have made a call and removed it
                leaving.remove(first)
        idle_connections = calls.idle_connections
        # While this connection is in use, a signal handler that makes a call uses another one.
        connection = idle_connections.pop() if idle_connections else None
        if connection is None or connection.epoch != client.epoch:
            connection = client._new_connection(None if bound is None else Watch(client, until - monotonic()))
        number = connection.number + 1
        released = []
        try:
            if client.released:
                take_all(client.released, released)
            forking = snapshot(client.forking) if client.forking else ()   # first: they move to `tickets`
            tickets = snapshot(client.tickets) if client.tickets else ()
            content = ident, method, args, thread or get_ident(), (*forking, *tickets, *released)
            message = join(number, content)
        except BaseException:
            client.released.extend(released)
            idle_connections.append(connection)
            raise
        connection.number = number
        if bound is not None:
            connection.limit(client, until)
        self.client, self.content, self.patience = client, content[:4], patience
        self.connection, self.number, self.answer, self.over = connection, number, None, False
        try:
            connection.send(message)
            answer = connection.receive()
            if len(answer) < 8:
                raise EOFError("what listens there is not a sharedkit server")
            self.answer = answer
        except BaseException as end:
            connection.unlimit()
            if not connection.sent:
                client.released.extend(released)
            if not connection.begun and not is_end(end):
                self.connection = None
                idle_connections.append(connection)
            elif is_end(end):
                self.over = True
                raise client._gone(connection, end) from end
            raise
        self.connection = None
        if bound is not None:
            connection.unlimit()
        idle_connections.append(connection)
        for ticket in tickets:
            try:
                client.tickets.remove(ticket)
            except ValueError:   # another thread has sent it, too
                pass
        kind, payload = content_of(answer) if answer[0] else pickle.loads(memoryview(answer)[8:])
        if kind == RESULT:
            return payload
        self.over = True
        if kind == CANCELLED:
            raise ClosedError("it was closed while this call waited")
        error, trace = payload
        raise error from RemoteTraceback(trace)

    def keep(self):
        """Keep the result: it is not given back, whatever is raised from now on."""
        self.over = True

    cdef bint unsent(self):
        """Return whether the server cannot know of the request."""
        return self.answer is None and self.connection is None and not self.over and not self.handed_over

    cdef void leave(self, bint give) noexcept:
        """Finish the request in the server: complete it if `give`, else undo it.

        Another thread does this, because no signal handler interrupts it. The caller waits for it up to `patience`
        seconds; a further signal ends only this wait. In any case, the next request of this thread comes after it.
        """
        if self.over or self.handed_over or self.unsent() or (give and self.answer is not None):
            return
        try:
            done = allocate_lock()
            done.acquire()
            try:
                start_new_thread(self.client._finish, (self, give, done))
            except (RuntimeError, MemoryError):   # no thread can be started
                self.client._finish(self, give, done)
            if self.await_finish(done) and self.in_order:
                self.client._calls.idle_connections.append(self.connection)
        except BaseException:   # the first exception matters to the caller
            pass

    cdef bint await_finish(self, done) except -1:
        """Wait for the other thread up to `patience` seconds, and return whether it has ended."""
        cdef bint came = False
        try:
            came = done.acquire(True, -1 if self.patience is None else self.patience)
        finally:
            if not came:
                self.client._calls.leaving.append(done)
        return came


cdef int take_all(queue, list taken) except -1:
    """Move the contents of the deque to the end of the list; other threads may do the same."""
    try:
        while True:
            taken.append(queue.popleft())
    except IndexError:
        return 0


cdef bint is_end(error):
    """Return whether the error comes from a connection; a signal handler can raise a TimeoutError, too."""
    return isinstance(error, EOFError) or type(error) is OSError or (
        isinstance(error, OSError) and error.errno is not None
    )


def call(client, ident, method, args, patience, thread, bound=None):
    """Call `Request.ask`; the request is left if it raises."""
    cdef Request request = Request()
    try:
        return request.ask(client, ident, method, args, patience, thread, bound)
    except BaseException:
        request.leave(False)
        raise


def taking(function):
    """Decorate a method that takes something through its request: if the method raises, it has taken nothing."""

    def method(self, *args, **kwargs):
        cdef Request request = Request()
        try:
            return function(self, request, *args, **kwargs)
        except BaseException:
            request.leave(False)
            raise

    return dressed(method, function)


def giving(function):
    """Decorate a method that gives something through its request: once begun, it is completed, even if it raises.

    If a handler raises before the request is sent, the method runs again, only to hand the request to a thread.
    """

    def method(self, *args, **kwargs):
        cdef Request request = Request()
        cdef int _times
        try:
            return function(self, request, *args, **kwargs)
        except PLAIN:
            request.leave(True)
            raise
        except BaseException:
            request.elsewhere = True
            for _times in range(AGAIN):
                if not request.unsent():
                    break
                try:
                    function(self, request, *args, **kwargs)
                except PLAIN:
                    break
                except BaseException:
                    pass
            request.leave(True)
            raise

    return dressed(method, function)


def dressed(method, function):
    """Return `method` with the name, docstring and signature of `function`, without the request, which is internal."""
    wraps(function)(method)
    signature = inspect.signature(function)
    shown = [each for name, each in signature.parameters.items() if name != "request"]
    method.__signature__ = signature.replace(parameters=shown)
    return method

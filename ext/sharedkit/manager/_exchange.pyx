# cython: language_level=3
"""One request of a thread, from its first byte until its caller has the result.

A signal handler may raise at any bytecode, also after the server has given a lock and before this process knows of it.
So every method that takes or gives is compiled, by `taking` and `giving`: an exception in there is seen where there is
no bytecode and no handler runs. Then what was taken goes back, and what was to be given is given completely, by a
thread of its own, which no signal interrupts and which may wait for a server that is stopped.
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
cdef int AGAIN = 1000     # how often a release starts again that handlers keep from sending its first byte
cdef object PLAIN = (SharedkitError, TypeError, ValueError, OverflowError)   # what a release may raise by itself


cdef tuple snapshot(object tickets):
    """What a deque holds at one moment. With a GIL a copy is one step; without one, a copy during which another thread
    changes the deque is refused, and made again."""
    while True:
        try:
            return tuple(tickets.copy())
        except RuntimeError:
            pass


cdef class Request:
    """Request()
    --

    One request to a server, and its progress.

    `client` is the way to the server and `content` the request: ident, method, args and thread. `answer` is the message
    that came, None before. `over` says that nothing must be given back: the server has refused, or is gone. `in_order`
    says that the connection of a request that was left can be used again. `note` is for the caller, to find again when
    the request starts again. `still` says that the request was left because the server stands still, so that it must
    not happen, and `told` that the message about that is on its way. `elsewhere` says that `ask` only hands the request
    over to a thread, which sends it; `handed_over` that it did, and `error` is what that thread met.
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
            self.patience = 0   # nothing is to be waited for
            if self.connection is not None and self.connection.sent:
                try:   # before anybody hears of this, and may have the server go on
                    self.connection.offer(join(0, (0, "cancel", (self.number,), 0, ())))
                    self.told = self.connection.sent
                except OSError:   # it has ended
                    pass
                if self.told and still.is_over():
                    return self.last_word(client, still)
            self.leave(False)
            self.over = True
            raise

    cdef object hand_over(self, client, ident, method, args, patience, thread):
        """Have another thread ask, in the name of this one, and wait for it up to `patience` seconds. Its error is
        raised here if it came by then."""
        self.client, self.patience = client, patience
        done = allocate_lock()
        done.acquire()
        before = tuple(client._calls.leaving)
        try:
            start_new_thread(self._ask_there, (ident, method, args, thread, before, done))
        except (RuntimeError, MemoryError):   # there is no room for a thread
            return self.ask_in_time(client, ident, method, args, patience, thread, None)
        self.handed_over = True
        self.await_finish(done)
        if self.error is not None:
            raise self.error

    def _ask_there(self, ident, method, args, thread, before, done):
        """Ask, in the other thread, after the requests that the first one had left before."""
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
        """Return the answer of the server, which has just gone on, about a call that was left: it may be done."""
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
        if kind == RESULT:   # then comes word that it cannot be left any more, and nobody to read it
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
        while leaving:   # the requests that this thread has left come first
            first = next(iter(leaving))
            if bound is None:
                first.acquire()
            else:
                watch = Watch(client, until - monotonic())
                seconds = watch.patience()
                while not first.acquire(True, min(seconds, LONGEST)):
                    seconds = watch.look()
            first.release()
            if first in leaving:   # a signal handler may have called, too
                leaving.remove(first)
        idle_connections = calls.idle_connections
        # While this one is in use, a signal handler that calls takes another.
        connection = idle_connections.pop() if idle_connections else None
        if connection is None or connection.epoch != client.epoch:
            connection = client._new_connection(None if bound is None else Watch(client, until - monotonic()))
        number = connection.number + 1
        released = []
        try:
            if client.released:
                take_all(client.released, released)
            forking = snapshot(client.forking) if client.forking else ()   # before `tickets`, to which they go
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
                raise EOFError("what listens there is no server of the kit")
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
            except ValueError:   # another thread has told of it, too
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
        """Keep the result: it does not go back, whatever is raised from now on."""
        self.over = True

    cdef bint unsent(self):
        """Return whether the server cannot know of the request."""
        return self.answer is None and self.connection is None and not self.over and not self.handed_over

    cdef void leave(self, bint give) noexcept:
        """Finish the request in the server: complete it if it gives, undo it if it takes.

        Another thread does this, which no signal handler interrupts. The caller waits for it up to `patience` seconds;
        a further signal ends only this wait. The next request of this thread comes after it in any case.
        """
        if self.over or self.handed_over or self.unsent() or (give and self.answer is not None):
            return
        try:
            done = allocate_lock()
            done.acquire()
            try:
                start_new_thread(self.client._finish, (self, give, done))
            except (RuntimeError, MemoryError):   # there is no room for a thread
                self.client._finish(self, give, done)
            if self.await_finish(done) and self.in_order:
                self.client._calls.idle_connections.append(self.connection)
        except BaseException:   # the first exception is the one to see
            pass

    cdef bint await_finish(self, done) except -1:
        """Wait for the other thread up to `patience` seconds, and return whether it has come to its end."""
        cdef bint came = False
        try:
            came = done.acquire(True, -1 if self.patience is None else self.patience)
        finally:
            if not came:
                self.client._calls.leaving.append(done)
        return came


cdef int take_all(queue, list taken) except -1:
    """Move what is in the deque to the end of the list; other threads may do the same."""
    try:
        while True:
            taken.append(queue.popleft())
    except IndexError:
        return 0


cdef bint is_end(error):
    """Return whether the error comes from a connection, not from a signal handler, which may raise a TimeoutError."""
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
    """Decorate a method that takes something by the request that it gets: if it raises, it has taken nothing."""

    def method(self, *args, **kwargs):
        cdef Request request = Request()
        try:
            return function(self, request, *args, **kwargs)
        except BaseException:
            request.leave(False)
            raise

    return dressed(method, function)


def giving(function):
    """Decorate a method that gives something by the request that it gets: once begun it is done, even if it raises.

    If a handler raises before the request is on its way, the method runs again, up to the request, which it hands over.
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

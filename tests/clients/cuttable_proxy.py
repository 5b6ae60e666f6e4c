"""A TCP proxy that can be cut: a network between two programs that goes away and comes back."""

import contextlib
import select
import socket
import threading


class CuttableProxy:
    """Passes bytes on to an address. While it is cut it ends every connection; while it is frozen it keeps what comes."""

    def __init__(self, target):
        self._target = target
        self._open = threading.Event()
        self._open.set()
        self._cut = False
        self._ended = False
        self._sockets = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self):
        """Break every connection, and each new one."""
        self._cut = True
        self._break_all()

    def freeze(self):
        """Pass nothing on, and say nothing."""
        self._open.clear()

    def mend(self):
        self._cut = False
        self._open.set()

    def turn_to(self, target):
        """Pass what comes from now on to another address."""
        self._target = target

    def close(self):
        self._ended = True
        self.mend()
        self._listener.close()
        self._break_all()

    def _break_all(self):
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            # It may have ended by itself just now.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._cut:
                client.close()
                continue
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client):
        with client, socket.create_connection(self._target, timeout=60) as server:
            with self._lock:
                self._sockets |= {client, server}
            try:
                with contextlib.suppress(OSError):
                    self._pump(client, server)
            finally:
                with self._lock:
                    self._sockets -= {client, server}

    def _pump(self, client, server):
        while True:
            readable, _, _ = select.select([client, server], [], [])
            for source in readable:
                self._open.wait()
                data = source.recv(65_536)
                if not data:
                    return
                (server if source is client else client).sendall(data)

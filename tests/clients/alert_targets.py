"""Servers that alerts go to: an HTTP server that fails when a test asks for it, and an SMTP server with STARTTLS.

Invariant: both listen on 127.0.0.1 and keep everything that they were sent.
"""

import email
import email.policy
import http.server
import json
import socket
import ssl
import threading

import aiosmtpd.controller
import aiosmtpd.smtp
import trustme


class Target:
    """An HTTP server as webhook, Slack or PagerDuty."""

    def __init__(self):
        self.received = []
        self.headers = []
        self.status = 200
        self.retry_after = None
        self.reached = threading.Event()
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                target.received.append((self.path, json.loads(body)))
                target.headers.append(self.headers)
                target.reached.set()
                self.send_response(target.status)
                self.send_header("Content-Length", "0")
                if target.retry_after is not None:
                    self.send_header("Retry-After", target.retry_after)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def bodies(self, path="/hook"):
        return [body for at, body in self.received if at == path]

    def end(self):
        self._server.shutdown()
        self._server.server_close()


class Mailboxes:
    """An SMTP server that takes mail over TLS and after a login only."""

    USER, PASSWORD = "alerts", "pa55-of-the-mail-server"

    def __init__(self, folder):
        self.messages = []
        authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._controller = aiosmtpd.controller.Controller(
            self,
            hostname="127.0.0.1",
            port=0,
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=self._authenticate,
        )
        # The controller would knock at the port that it was given, which is any.
        self._controller._trigger_server = self._knock
        self._controller.start()

    @property
    def port(self):
        return self._controller.server.sockets[0].getsockname()[1]

    def _knock(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.recv(1024)

    def _authenticate(self, _server, _session, _envelope, _mechanism, login):
        known = (self.USER.encode(), self.PASSWORD.encode())
        return aiosmtpd.smtp.AuthResult(success=(login.login, login.password) == known)

    async def handle_DATA(self, _server, session, envelope):
        assert session.ssl, "mail came in clear"
        self.messages.append((envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 OK"

    def end(self):
        self._controller.stop(no_assert=True)

"""Clients that send until they are told the outcome, whatever becomes of the server meanwhile.

Invariant: an upload with a key is sent again after every answer that leaves its outcome open, for a bounded time; one
without a key is sent once, and what became of it is left open where no answer came.
"""

import threading
import time

import requests
from model import ACCEPTED, ACKED, OPEN, REFUSED

DELIVER_SECONDS = 120
# Answers after which the same request may succeed.
AGAIN = (409, 429, 503, 507)
LONGEST_PAUSE_SECONDS = 0.25


class NotAnswered(AssertionError):
    """The server took longer than a caller waits."""


def send_once(lake, upload):
    """The answer, or none where the connection broke; what it says is written into the upload."""
    try:
        answer = lake.send(upload.table, upload.encode(), upload.headers, upload.key, format=upload.format)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return None
    except requests.ReadTimeout as error:
        raise NotAnswered(f"upload {upload.number} was not answered in time: {error}") from None
    note(upload, answer)
    return answer


def note(upload, answer):
    if answer.status_code == 201:
        upload.receipt, upload.state = answer.json(), ACKED
        assert upload.receipt["rows_committed"] == upload.rows, upload.receipt
    elif answer.status_code == 202 and upload.respond_async:
        upload.receipt, upload.state = answer.json(), ACCEPTED
    elif answer.status_code not in AGAIN:
        upload.state = REFUSED
        raise AssertionError(f"upload {upload.number}: {answer.status_code} {answer.text[:500]}")


def deliver(site, upload, number=0, stop=None):
    """Send until the outcome is known, or `stop` is set."""
    deadline, generation, pause = time.monotonic() + DELIVER_SECONDS, 0, stop or threading.Event()
    while not pause.is_set():
        assert time.monotonic() < deadline, f"upload {upload.number} has no outcome after {DELIVER_SECONDS} s"
        seen, lake = site.caller(generation, number)
        answer = send_once(lake, upload)
        if upload.state != OPEN or upload.key is None:
            return
        if answer is not None:
            pause.wait(min(float(answer.headers.get("Retry-After", 0)), LONGEST_PAUSE_SECONDS))
        elif site.note_broken(seen):
            generation = seen
        else:
            pause.wait(LONGEST_PAUSE_SECONDS)


class Crowd:
    """Client threads, each of which takes one upload after the other from a source until that has no more."""

    def __init__(self, count, work):
        self.errors = []
        self._threads = [threading.Thread(target=self._run, args=(work, number), daemon=True) for number in range(count)]

    def _run(self, work, number):
        try:
            work(number)
        except Exception as error:  # told by `join`
            self.errors.append(error)

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def join(self, seconds):
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in self._threads), f"clients still at work after {seconds} s"
        if self.errors:
            raise AssertionError(f"{len(self.errors)} clients failed; the first: {self.errors[0]}") from self.errors[0]

"""The http probe's reader of answers: by the letter of HTTP, in pieces of any size, and whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pm_native.runtime.arguments import Probe
from pm_native.runtime.http import BODY_MAX, Answer, NotHttpError, request, split_url


def read(data: bytes, step: int = 1 << 20, method: str = "GET", *, end: bool = True) -> Answer:
    answer = Answer(method)
    for start in range(0, len(data), step):
        answer.feed(data[start : start + step])
        if answer.is_complete:
            return answer
    if end:
        answer.feed(b"")
    return answer


@pytest.mark.parametrize("step", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.0 503 Busy\r\n\r\nno", 503, b"no"),
        (b"HTTP/1.1 204\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x"),
        (b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", 200, b"x"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;a=b\r\ncde\r\n0\r\nX: y\r\n\r\n",
            200,
            b"abcde",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, b""),
    ],
)
def test_answers(step: int, data: bytes, status: int, body: bytes) -> None:
    answer = read(data, step)
    assert (answer.status, answer.body, answer.is_complete) == (status, body, True)


def test_an_answer_to_head_has_no_body() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", method="HEAD", end=False).is_complete


def test_a_long_body_is_kept_in_part() -> None:
    answer = read(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (BODY_MAX + 10), end=False)
    assert (answer.is_complete, len(answer.body)) == (True, BODY_MAX)


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 200", "closed without an answer"),
        (b"220 smtp ready\r\n", "not an answer of HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "not an answer of HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "200, closed within the body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nab", "200, a length that is none"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "200, a chunk that is none"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "200, a chunk that is none"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na", "200, closed within the body"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20000, "a head that does not end"),
    ],
)
def test_what_is_no_answer(step: int, data: bytes, said: str) -> None:
    if step == 1 and len(data) > 10000:
        step = 1000
    with pytest.raises(NotHttpError) as caught:
        read(data, step)
    assert str(caught.value) == said


PIECES = [
    b"HTTP/1.1 200 OK",
    b"\r\n",
    b"\n",
    b"Content-Length: 3",
    b"Transfer-Encoding: chunked",
    b"1",
    b"0",
    b"abc",
]


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=6)), max_size=14))
@example([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1_0\r\n"])
def test_any_bytes_are_an_answer_or_none_however_they_come(pieces: list[bytes]) -> None:
    def told(step: int) -> tuple[int, bytes] | str:
        try:
            answer = read(b"".join(pieces), step)
        except NotHttpError as error:
            return str(error)
        assert answer.is_complete
        assert 100 <= answer.status <= 999
        return answer.status, answer.body

    assert told(1) == told(1 << 20)


def test_requests() -> None:
    probe = Probe("http", "/a")
    assert request(probe, "/a", "h:1") == (
        b"GET /a HTTP/1.1\r\nHost: h:1\r\nUser-Agent: pm-native\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    probe.method = "POST"
    probe.headers = [("host", "shop"), ("X", "é")]
    assert (
        request(probe, "/a", "h:1")
        == (
            "POST /a HTTP/1.1\r\nUser-Agent: pm-native\r\nAccept: */*\r\nConnection: close\r\nContent-Length: 0\r\n"
            "host: shop\r\nX: é\r\n\r\n"
        ).encode()
    )


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("/a?b", (False, "", 0, "/a?b")),
        ("http://h", (False, "h", 80, "/")),
        ("https://h/a", (True, "h", 443, "/a")),
        ("http://[::1]:8080/a/b?c", (False, "::1", 8080, "/a/b?c")),
        ("http://[::1]/", (False, "::1", 80, "/")),
        ("https://10.0.0.1:8443/", (True, "10.0.0.1", 8443, "/")),
    ],
)
def test_urls(url: str, parts: tuple[bool, str, int, str]) -> None:
    assert split_url(url) == parts

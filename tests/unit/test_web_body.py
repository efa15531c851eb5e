"""Bodies are bounded, whatever the sender claims."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from typing import Any

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from tillroll.web.body import BodyReader, ClientLeftError, decompress, encoding_of
from tillroll.web.problem import Problem

MAX = 1 << 20


def code_of(error: pytest.ExceptionInfo[Problem]) -> str:
    return error.value.code


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_members_in_a_row_are_one_body(encoding: str) -> None:
    compress = gzip.compress if encoding == "gzip" else zstd.compress
    whole = b"".join(compress(part) for part in (b"a" * 100_000, b"", b"b"))
    assert decompress(whole, encoding, MAX) == b"a" * 100_000 + b"b"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@given(data=st.binary(max_size=5_000), cut=st.integers(1, 10))
def test_a_compressed_body_comes_out_whole_or_not_at_all(encoding: str, data: bytes, cut: int) -> None:
    whole = gzip.compress(data) if encoding == "gzip" else zstd.compress(data)
    assert decompress(whole, encoding, MAX) == data
    with pytest.raises(Problem) as error:
        decompress(whole[: max(1, len(whole) - cut)], encoding, MAX)
    assert code_of(error) == "bad_encoding"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_cut_off_where_the_limit_is(encoding: str) -> None:
    bomb = gzip.compress(bytes(200 * MAX), 9) if encoding == "gzip" else zstd.compress(bytes(200 * MAX), 3)
    tracemalloc.start()
    with pytest.raises(Problem) as error:
        decompress(bomb, encoding, MAX)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert code_of(error) == "too_large"
    assert peak < 6 * MAX


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_very_many_empty_members_are_refused(encoding: str) -> None:
    empty = gzip.compress(b"") if encoding == "gzip" else zstd.compress(b"")
    with pytest.raises(Problem, match="streams in a row"):
        decompress(empty * 100_000, encoding, MAX)


def test_a_zstd_window_is_bounded() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    with pytest.raises(Problem) as error:
        decompress(compressor.compress(b"x" * 1000) + compressor.flush(), "zstd", MAX)
    assert code_of(error) == "bad_encoding"


@pytest.mark.parametrize("padding", [1, 511, 100_000])
def test_zeros_that_pad_gzip_are_passed_over(padding: int) -> None:
    whole = gzip.compress(b"a") + gzip.compress(b"b")
    assert decompress(whole + bytes(padding), "gzip", MAX) == b"ab"
    for data in (bytes(padding) + whole, whole + bytes(padding) + whole, whole + bytes(padding) + b"x"):
        with pytest.raises(Problem) as error:
            decompress(data, "gzip", MAX)
        assert code_of(error) == "bad_encoding"


@pytest.mark.parametrize("data", [b"plain", gzip.compress(b"x") + b"trailing", zlib.compress(b"x"), bytes(10)])
def test_what_is_not_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(Problem) as error:
        decompress(data, "gzip", MAX)
    assert code_of(error) == "bad_encoding"


def test_encodings_are_known_by_any_case() -> None:
    assert [encoding_of(name) for name in (None, b"", b" GZip ", b"x-gzip", b"zstd", b"identity")] == [
        "identity",
        "identity",
        "gzip",
        "gzip",
        "zstd",
        "identity",
    ]
    for name in (b"br", b"gzip, zstd", b"deflate"):
        with pytest.raises(Problem) as error:
            encoding_of(name)
        assert code_of(error) == "unknown_encoding"


def receiving(*pieces: bytes) -> Any:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages[-1]["more_body"] = False

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


def test_pieces_are_one_body_and_are_held_no_longer() -> None:
    body_reader = BodyReader(10)
    assert asyncio.run(body_reader.read(receiving(b"ab", b"", b"cd"), None)) == b"abcd"
    assert body_reader.held == 0


@pytest.mark.parametrize("pieces", [(b"x" * 11,), (b"x" * 6, b"x" * 5)])
def test_a_body_is_cut_off_at_the_limit(pieces: tuple[bytes, ...]) -> None:
    body_reader = BodyReader(10)
    with pytest.raises(Problem) as error:
        asyncio.run(body_reader.read(receiving(*pieces), None))
    assert (code_of(error), error.value.headers["Connection"], body_reader.held) == ("too_large", "close", 0)


def test_a_body_that_says_it_is_too_large_is_not_waited_for() -> None:
    async def receive() -> Any:
        raise AssertionError("it is read")

    with pytest.raises(Problem) as error:
        asyncio.run(BodyReader(10).read(receive, b"11"))
    assert code_of(error) == "too_large"


def test_a_sender_that_leaves_ends_the_reading() -> None:
    body_reader = BodyReader(10)

    async def read() -> None:
        messages = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return messages.pop(0)

        await body_reader.read(receive, None)

    with pytest.raises(ClientLeftError):
        asyncio.run(read())
    assert body_reader.held == 0

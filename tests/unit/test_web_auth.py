"""Who may come in."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 pytest reads it

import pytest

from tillroll.errors import ConfigError
from tillroll.web.auth import Gate, Right, hash_of, read_tokens_file
from tillroll.web.problem import Problem
from tillroll.web.settings import ServerSettings

LONG = "a-token-of-some-length"
GUARDED = ServerSettings(send_tokens=("sender", "both"), read_tokens=("reader", "both"))


def refused(gate: Gate, right: Right, *, changes: bool = False, **headers: str) -> str | None:
    try:
        gate.admit(
            right, {name.replace("_", "-").encode(): text.encode() for name, text in headers.items()}, changes=changes
        )
    except Problem as problem:
        return problem.code
    return None


@pytest.mark.parametrize(
    ("header", "sends", "reads"),
    [
        ("Bearer sender", None, "token_forbids"),
        ("bearer reader", "token_forbids", None),
        ("BEARER  both", None, None),
        ("Bearer sende", "token_unknown", "token_unknown"),
        ("Bearer ", "token_unknown", "token_unknown"),
        ("Basic sender", "token_missing", "token_missing"),
        ("sender", "token_missing", "token_missing"),
    ],
)
def test_a_token_is_good_for_what_it_is_listed_under(header: str, sends: str | None, reads: str | None) -> None:
    gate = Gate(GUARDED)
    assert refused(gate, Right.SEND, authorization=header) == sends
    assert refused(gate, Right.READ, authorization=header) == reads
    assert refused(gate, Right.NONE, authorization=header) is None


def test_no_token_is_no_entry_where_tokens_are_asked_for() -> None:
    assert refused(Gate(GUARDED), Right.READ) == "token_missing"
    assert refused(Gate(GUARDED), Right.NONE) is None


def test_sending_needs_a_token_even_if_only_readers_have_one() -> None:
    assert (
        refused(Gate(ServerSettings(read_tokens=("reader",))), Right.SEND, authorization="Bearer reader")
        == "token_forbids"
    )


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "[::1]"])
def test_an_open_server_answers_under_the_names_of_this_machine(host: str) -> None:
    gate = Gate(ServerSettings())
    assert refused(gate, Right.READ, host=host) is None
    assert refused(gate, Right.READ, host=host) is None  # from memory


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", ""])
def test_an_open_server_answers_under_no_other_name(host: str) -> None:
    assert refused(Gate(ServerSettings()), Right.READ, host=host) == "unknown_host"


def test_names_do_not_matter_with_tokens_or_when_anyone_may_come() -> None:
    assert refused(Gate(GUARDED), Right.READ, host="shop.example", authorization="Bearer reader") is None
    assert refused(Gate(ServerSettings(open_to_all=True)), Right.READ, host="shop.example") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_browser_cannot_change_anything_for_another_site(site: str) -> None:
    gate = Gate(ServerSettings())
    assert refused(gate, Right.SEND, changes=True, sec_fetch_site=site) == "cross_site"
    assert refused(gate, Right.READ, sec_fetch_site=site) is None
    assert refused(gate, Right.SEND, changes=True, sec_fetch_site="same-origin") is None


def test_an_origin_must_be_the_server_s_own_to_change_anything() -> None:
    gate = Gate(ServerSettings())
    own = "localhost:8080"
    assert refused(gate, Right.SEND, changes=True, host=own, origin=f"http://{own}") is None
    for origin in ("http://evil.example", "null", "http://localhost:9090"):
        assert refused(gate, Right.SEND, changes=True, host=own, origin=origin) == "cross_site"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "shop.example"])
def test_beyond_loopback_the_server_wants_tokens_or_to_be_told(host: str) -> None:
    with pytest.raises(ConfigError, match="--open-to-all"):
        ServerSettings(host=host).check()
    ServerSettings(host=host, open_to_all=True).check()
    ServerSettings(host=host, read_tokens=(LONG,)).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.9"])
def test_loopback_needs_no_tokens(host: str) -> None:
    ServerSettings(host=host).check()


def test_a_file_of_tokens_is_read_by_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"# the shop\nsend a{LONG}\n\n  read b{LONG}  \nsend,read {hash_of(LONG)}\nmanage {LONG}\n")
    assert read_tokens_file(str(path)) == ((f"a{LONG}", hash_of(LONG)), (f"b{LONG}", hash_of(LONG)), (LONG,))


@pytest.mark.parametrize(
    "line",
    [
        "aaa",
        f"write aaa{LONG}",
        "send",
        "send ",
        f"send,write aaa{LONG}",
        f"send ä{LONG}",
        "send aaa",
        "send aaa4567890abcde",
        f"send aaa {LONG}",
        "send sha256:aaa",
        f"send sha256:{'g' * 64}",
        f"read sha256:{'a' * 63}",
    ],
)
def test_a_line_of_another_form_is_told_by_its_number_and_without_the_token(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"read {LONG}\n{line}\n")
    with pytest.raises(ConfigError, match="line 2") as error:
        read_tokens_file(str(path))
    assert "aaa" not in str(error.value)


@pytest.mark.parametrize("text", ["", "\n\n", "# send aaaaaaaaaaaaaaaaaaaa\n", "  \n#\n"])
def test_a_file_without_tokens_is_no_open_door(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(ConfigError, match="there is no token"):
        read_tokens_file(str(path))


@pytest.mark.parametrize("token", ["", " ", "small", "fifteen-letters", "with a space in it", "ääääääääääääääääää"])
def test_a_token_that_can_be_guessed_or_not_sent_is_refused_and_not_told(token: str) -> None:
    for settings in (ServerSettings(send_tokens=(LONG, token)), ServerSettings(read_tokens=(token,))):
        with pytest.raises(ConfigError, match="tillroll token") as error:
            settings.check()
        assert not token.strip() or token not in str(error.value)


def test_a_hash_lets_in_its_token_and_not_itself() -> None:
    gate = Gate(ServerSettings(read_tokens=(hash_of(LONG),)))
    assert refused(gate, Right.READ, authorization=f"Bearer {LONG}") is None
    assert refused(gate, Right.READ, authorization=f"Bearer {hash_of(LONG)}") == "token_unknown"
    assert refused(gate, Right.READ, authorization=f"Bearer {hash_of(LONG).upper()}") == "token_unknown"
    assert refused(gate, Right.SEND, authorization=f"Bearer {LONG}") == "token_forbids"


def test_a_missing_file_of_tokens_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_tokens_file(str(tmp_path / "none"))

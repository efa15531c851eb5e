"""The recipes of docs/checkout.md, run as they stand there against a real server."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.command import environment, start
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
PURCHASE = '{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}'


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@contextmanager
def server(directory: Path, port: int) -> Iterator[str]:
    process = start("serve", "--data", directory / "data", "--port", str(port), stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.stdout.close()


def output(command: list[str], directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=directory, env=environment(), stdout=subprocess.PIPE, text=True)


def test_the_recipes_for_the_checkout_send_until_the_server_is_there_and_count_once(tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    (python,), (javascript,), (shell,) = (blocks("checkout.md", each) for each in ("python", "js", "sh"))
    (tmp_path / "send.py").write_text(f"{python}\nprint(json.dumps(send({address!r}, {PURCHASE}, 'order-1')))\n")
    (tmp_path / "send.mjs").write_text(
        f"{javascript}\nconsole.log(JSON.stringify(await send('{address}', {PURCHASE}, 'order-2')));\n"
    )
    (tmp_path / "send.sh").write_text(shell.replace("http://127.0.0.1:8080", address))
    commands = [[sys.executable, "send.py"], ["bash", "send.sh"]]
    if shutil.which("node"):
        commands.append(["node", "send.mjs"])
    started = [output(command, tmp_path) for command in commands]  # nobody listens yet
    with server(tmp_path, port):
        answers = [json.loads(each.communicate(timeout=60)[0]) for each in started]
        assert [answer["accepted"] for answer in answers] == [1] * len(commands)
        again = [json.loads(output(command, tmp_path).communicate(timeout=60)[0]) for command in commands]
        assert [(answer["accepted"], answer["duplicates"]) for answer in again] == [(0, 1)] * len(commands)


@pytest.mark.parametrize(("path", "said"), [("", "missing_field"), ("/nowhere", "not_found")])
@pytest.mark.parametrize("language", ["python", "js", "sh"])
def test_a_recipe_stops_where_sending_again_cannot_help(tmp_path: Path, language: str, path: str, said: str) -> None:
    if language == "js" and not shutil.which("node"):
        pytest.skip("node is not on this machine")
    (recipe,) = blocks("checkout.md", language)
    name, program, call = {
        "python": ("send.py", sys.executable, "send('{0}', {{}}, 'k')"),
        "js": ("send.mjs", "node", "await send('{0}', {{}}, 'k')"),
        "sh": ("send.sh", "bash", "send '{0}' '{{}}' k"),
    }[language]
    recipe = recipe.partition("\nsend http")[0]
    with server(tmp_path, free_port()) as address:
        (tmp_path / name).write_text(f"{recipe}\n{call.format(address + path)}\n")
        done = subprocess.run(
            [program, name], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1
        assert said in done.stderr

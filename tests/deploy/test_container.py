"""The container file: built by buildah, and its server run as the image says, with a root that cannot be written.

No registry of images is at hand. The base that it is built on is an empty root with this machine's /usr and Python
lent to it, and the packages come from .tools/wheels; every step is the file's own. The image runs in namespaces of
its own, as a container does.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from tests.deploy.fetch_debian import install_buildah
from tests.deploy.wheels import HOME as WHEELS
from tests.deploy.wheels import fetch as fetch_wheels
from tests.e2e.command import EVENT
from tests.ports import free_port

import tillroll

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "Containerfile"
HADOLINT = ROOT / ".tools" / "hadolint" / "bin" / "hadolint"
BASE, IMAGE = "localhost/base", "localhost/tillroll"
LENT = ("/usr", sys.base_prefix)  # of this machine, read-only
TOKEN = "a-token-that-may-send-and-read"


@pytest.mark.skipif(not HADOLINT.exists(), reason="no hadolint in .tools: make test fetches it")
def test_the_container_file_is_as_it_should_be() -> None:
    done = subprocess.run([HADOLINT, FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def wheel(directory: Path) -> Path:
    """The wheel of this tree, with the kernel that is compiled already: `make wheel` would compile it once more."""
    name = f"tillroll-{tillroll.__version__}"
    made = directory / f"{name}-py3-none-any.whl"
    package = ROOT / "src" / "tillroll"
    files = {
        f"tillroll/{path.relative_to(package)}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    about = f"{name}.dist-info"
    files[f"{about}/METADATA"] = f"Metadata-Version: 2.1\nName: tillroll\nVersion: {tillroll.__version__}\n".encode()
    files[f"{about}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{about}/entry_points.txt"] = b"[console_scripts]\ntillroll = tillroll.__main__:main\n"
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in files.items()
    )
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n".encode()
    with zipfile.ZipFile(made, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return made


class Image(NamedTuple):
    """An image that was built: what it says, and where its files are."""

    config: dict[str, Any]
    root: Path


class Builder:
    """buildah, with a place of its own for what it makes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n'
        (directory / "storage.conf").write_text(storage)
        (directory / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        # As who has a mirror of their own does it: pip's settings come from outside. Not to compile is quicker here.
        settings = "[global]\nno-index = true\nfind-links = /wheels\nno-compile = true\n"
        (directory / "pip.conf").write_text(settings)

    def __call__(self, command: str, *arguments: str | Path) -> str:
        variables = {"PATH": os.environ["PATH"], "CONTAINERS_STORAGE_CONF": str(self._directory / "storage.conf")}
        done = subprocess.run(
            ["buildah", command, *map(str, arguments)], capture_output=True, text=True, check=False, env=variables
        )
        assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
        return done.stdout.strip()

    def base(self) -> None:
        """Make the base: an empty root in which this machine's programs are found."""
        root = self._directory / "base"
        for name in ("usr", "etc", "tmp", "proc", "dev", "var/lib", *(path.lstrip("/") for path in LENT)):
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("bin", "lib", "lib64"):
            if Path(f"/{name}").is_symlink():
                (root / name).symlink_to(Path(f"/{name}").readlink())
        container = self("from", "scratch")
        self("copy", "--quiet", container, root, "/")
        self("config", "--env", f"PATH={sys.base_prefix}/bin:/usr/bin:/bin", container)
        self("commit", "--quiet", "--signature-policy", self._directory / "policy.json", container, BASE)

    def build(self, context: Path) -> None:
        lent = [f"--volume={path}:{path}:ro" for path in LENT]
        lent += [f"--volume={WHEELS}:/wheels:ro", f"--volume={self._directory}/pip.conf:/etc/pip.conf:ro"]
        options = [
            "--format=docker",
            "--isolation=chroot",
            "--network=host",
            "--pull-never",
            "--build-arg",
            f"PYTHON={BASE}",
        ]
        policy = ["--signature-policy", str(self._directory / "policy.json")]
        self("build", *options, *policy, *lent, "--file", FILE, "--tag", IMAGE, context)

    def image(self) -> Image:
        config = json.loads(self("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        return Image(config, Path(self("mount", self("from", "--pull-never", IMAGE))))


def built(tmp_path: Path) -> Image:
    directory, context = tmp_path / "images", tmp_path / "context"
    for made in (directory, context / "requirements", context / "dist"):
        made.mkdir(parents=True)
    shutil.copy(ROOT / "requirements" / "run.txt", context / "requirements")
    shutil.copy(ROOT / ".dockerignore", context)
    wheel(context / "dist")
    (context / "secret").touch()
    build = Builder(directory)
    build.base()
    build.build(context)
    return build.image()


@contextmanager
def contained(image: Image, data: Path, *command: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the image: its user and variables, its root read-only, a directory as its volume."""
    (volume,) = image.config["Volumes"]
    user = image.config["User"].partition(":")[0]
    data.mkdir(exist_ok=True)
    data.chmod(0o700)
    os.chown(data, int(user), int(user))
    mounts = [f"mount --rbind -o ro {path} {image.root}{path}" for path in LENT]
    script = [
        "set -e",
        f"mount --bind {image.root} {image.root}",
        *mounts,
        f"mount --bind {data} {image.root}{volume}",
        f"mount -t proc proc {image.root}/proc",
        f"mount -o remount,bind,ro {image.root}",
        f'exec chroot --userspec={image.config["User"]} {image.root} "$@"',
    ]
    environment = dict(each.split("=", 1) for each in image.config["Env"]) | variables
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
    process = subprocess.Popen(
        [*enter, "/bin/sh", "-c", "\n".join(script), "sh", *command],
        env=environment | {"PATH": f"{environment['PATH']}:/usr/sbin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, (out + err).decode()


def check_that_a_server_takes_purchases(image: Image, tmp_path: Path) -> None:
    port = free_port()
    settings = {"TILLROLL_PORT": str(port), "TILLROLL_HOST": "127.0.0.1", "TILLROLL_SEND_TOKENS": TOKEN}
    settings["TILLROLL_READ_TOKENS"] = TOKEN
    whole = [*image.config["Entrypoint"], *image.config["Cmd"]]
    health = image.config["Healthcheck"]["Test"]
    assert health[0] == "CMD"
    with contained(image, tmp_path / "data", *whole, **settings) as server:
        assert server.stdout is not None
        assert server.stdout.readline(), said(server)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            authorized = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            assert http.post("/events", content=EVENT, headers=authorized).json()["accepted"] == 1
        with contained(image, tmp_path / "data", *health[1:], **settings) as probe:
            assert said(probe) == (0, "")
        (child,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        code, log = said(server)
        assert code == 0, log
    with contained(image, tmp_path / "data", *health[1:], **settings) as probe:
        assert said(probe)[0] != 0  # nothing listens any more
    with contained(image, tmp_path / "data", "tillroll", "audit") as audit:
        assert said(audit) == (0, "audit passed: 1 events and 5 datapoints at position 1\n")


def check_that_it_is_closed_until_it_is_told_who_may_come(image: Image, tmp_path: Path) -> None:
    with contained(image, tmp_path / "data", *image.config["Entrypoint"], *image.config["Cmd"]) as server:
        code, told = said(server)
    assert code == 2
    assert "no tokens are set" in told


def check_that_there_is_the_kernel_and_nothing_that_is_not_needed(image: Image, tmp_path: Path) -> None:
    assert image.config["User"] == "10001:10001"
    code = "from tillroll.core import kernel; print(kernel.compiled)"
    with contained(image, tmp_path / "data", "python", "-c", code) as process:
        assert said(process) == (0, "True\n")
    with contained(image, tmp_path / "data", "python", "-c", "import pip") as process:
        assert "No module named 'pip'" in said(process)[1]
    with contained(image, tmp_path / "data", "touch", "/opt/tillroll/x", "/etc/x", "/tmp/x") as process:
        assert said(process)[1].count("Read-only file system") == 3
    for name in ("build", "secret", "wheels/x"):
        assert not (image.root / name).exists()


@pytest.mark.long
@pytest.mark.timeout(1_800)  # buildah copies whole trees, and syncs them
@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to build and run an image without a daemon")
def test_the_image_runs_a_guarded_server_whose_root_cannot_be_written(tmp_path: Path) -> None:
    install_buildah()
    fetch_wheels()
    image = built(tmp_path)
    check_that_there_is_the_kernel_and_nothing_that_is_not_needed(image, tmp_path)
    check_that_it_is_closed_until_it_is_told_who_may_come(image, tmp_path)
    check_that_a_server_takes_purchases(image, tmp_path)

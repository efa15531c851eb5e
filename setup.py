"""Everything is in pyproject.toml but the linker's flags, which only some platforms know."""

import sys

from setuptools import setup
from setuptools.command.build_ext import build_ext


class HardenedBuild(build_ext):
    """Links the kernel so that its tables of addresses cannot be written to once it is loaded."""

    def build_extensions(self) -> None:
        """Add the flags where the linker is known to take them."""
        if sys.platform == "linux":
            for extension in self.extensions:
                extension.extra_link_args = [*extension.extra_link_args, "-Wl,-z,relro,-z,now"]
        super().build_extensions()


setup(cmdclass={"build_ext": HardenedBuild})

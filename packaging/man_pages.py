"""Add man pages to the wheel. Sphinx makes them from the commands' help and the page of the settings."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SPHINX = (sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--builder", "man", "--conf-dir", "docs")


class ManPages(BuildHookInterface[Any]):
    """Hook of hatchling."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        self._temporary = tempfile.TemporaryDirectory()
        folder = self._temporary.name
        subprocess.run([*_SPHINX, "--doctree-dir", f"{folder}/doctrees", ".", folder], cwd=self.root, check=True)
        for page in sorted(Path(folder).glob("*.[15]")):
            build_data["shared_data"][str(page)] = f"share/man/man{page.suffix[1:]}/{page.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's signature
        self._temporary.cleanup()

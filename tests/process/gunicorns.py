"""Other releases of gunicorn than the pinned one, each in a folder of its own.

A release is fetched once, by pip and with its hash, and kept in the user's cache beside the programs
of `tests.parts.install`; a later run needs no network.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.parts.install import NotHad, cache_folder, run

RELEASES: Final[Mapping[str, str]] = {
    "23.0.0": "ec400d38950de4dfd418cff8328b2c8faed0edb0d517d3394e457c317908ca4d",
    "24.1.1": "757f6b621fc4f7581a90600b2cd9df593461f06a41d7259cb9b94499dc4095a8",
    "25.3.0": "cacea387dab08cd6776501621c295a904fe8e3b7aae9a1a3cbb26f4e7ed54660",
    "26.2.0": "bd249d0b3f7972f7432f0a6b6ff3b3ee2d129f70cd1ff6c09a9dd9e29a2b88e3",
}
"""The newest release of each older series, and the SHA-256 of its wheel."""


def release_folder(version: str, environ: Mapping[str, str]) -> Path:
    """A folder that holds this gunicorn and nothing else. Raises NotHad, which says why there is none."""
    cache = cache_folder(environ)
    folder = cache / f"gunicorn-{version}"
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".gunicorn-", dir=cache) as scratch:
            install(version, Path(scratch))
            (Path(scratch) / "fresh").rename(folder)
    except OSError as error:
        # Two runs at once: the other one was first, and its folder is as good.
        if not folder.is_dir():
            raise NotHad(str(error)) from None
    return folder


def install(version: str, scratch: Path) -> None:
    """Have pip make the folder `fresh` in `scratch`. Raises NotHad."""
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"gunicorn=={version} --hash=sha256:{RELEASES[version]}\n")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    choice = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(wanted)]
    run([*pip, *choice, "--target", str(scratch / "fresh")], scratch)

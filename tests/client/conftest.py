from tests.cli.conftest import served

__all__ = ["served"]

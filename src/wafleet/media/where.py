"""Where the bytes of files lie: a folder, or a bucket."""

from pathlib import Path

from wafleet.config import MediaSettings
from wafleet.engine.blobs import BlobStore, FolderStore


class NoBucket(Exception):
    """A bucket is asked for, and what speaks to buckets is not installed."""


def place(settings: MediaSettings, folder: Path) -> BlobStore:
    """Open the store the settings ask for. Raises NoBucket.

    folder  where files lie if the settings name neither a folder nor a bucket
    """
    if not settings.s3_bucket:
        return FolderStore(settings.folder or folder)
    try:
        from wafleet.engine.blobs_s3 import BucketStore  # noqa: PLC0415 - an extra that few installations have
    except ImportError as error:
        raise NoBucket("Files shall lie in a bucket: install wafleet with its extra `s3`.") from error
    return BucketStore(
        settings.s3_bucket,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        prefix=settings.s3_prefix,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value() if settings.s3_secret_key else None,
    )

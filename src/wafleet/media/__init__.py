"""Files that messages carry: kept once by their content, seen only by the tenants they belong to."""

from wafleet.media.model import File, Link, fits
from wafleet.media.service import MediaStore, Untrue
from wafleet.media.store import find, received, used
from wafleet.media.where import NoBucket, place

__all__ = ["File", "Link", "MediaStore", "NoBucket", "Untrue", "find", "fits", "place", "received", "used"]

"""The library's protobuf messages, imported without running the library. Importing this needs it installed.

Source of the definitions: the protocol's own `.proto` files, as the library ships them generated.
"""

# pyright: reportMissingTypeStubs=false

import sys
from types import ModuleType

from wafleet.clientlib.installed import NAME, find

if NAME not in sys.modules:  # a package that has a path but runs nothing
    _package = ModuleType(NAME)
    _package.__path__ = [str(find().folder)]
    sys.modules[NAME] = _package

from neonize.proto import Neonize_pb2 as told
from neonize.proto.waAdv import WAAdv_pb2 as adv
from neonize.proto.waCert import WACert_pb2 as cert
from neonize.proto.waCommon import WACommon_pb2 as common
from neonize.proto.waCompanionReg import WAWebProtobufsCompanionReg_pb2 as registration
from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as e2e
from neonize.proto.waServerSync import WAWebProtobufsServerSync_pb2 as server_sync
from neonize.proto.waSyncAction import WAWebProtobufSyncAction_pb2 as sync_action
from neonize.proto.waWa6 import WAWebProtobufsWa6_pb2 as wa6

__all__ = ["adv", "cert", "common", "e2e", "registration", "server_sync", "sync_action", "told", "wa6"]

"""Messages between the master and its workers, which copy large arrays only once."""

import pickle
import struct
from typing import Any

from pyxt_hpc.parallel.pools.pool import Chunk, Task

_HEAD = struct.Struct("<qq")


def pack(value: Any) -> bytearray:
    """Pickle with the memory of large arrays behind it, so that `unpack` need not copy it."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, 5, buffer_callback=buffers.append)
    raws = [buffer.raw() for buffer in buffers]
    packed = bytearray(_HEAD.pack(len(body), len(raws)))
    packed += struct.pack(f"<{len(raws)}q", *(raw.nbytes for raw in raws))
    packed += body
    for raw in raws:
        packed += raw
    return packed


def unpack(packed: Any) -> Any:
    """Inverse of `pack`; arrays are views of `packed`."""
    view = memoryview(packed)
    n_body, n_raws = _HEAD.unpack_from(view)
    sizes = struct.unpack_from(f"<{n_raws}q", view, _HEAD.size)
    at = _HEAD.size + 8 * n_raws
    body = view[at : at + n_body]
    at += n_body
    raws = []
    for size in sizes:
        raws.append(view[at : at + size])
        at += size
    return pickle.loads(body, buffers=raws)


def pack_call(task: Task, chunk: Chunk) -> bytearray:
    """Message with (task, items, sandboxed, is_probe); consecutive items, which are usual, become a range."""
    items = chunk.items
    first, last = int(items[0]), int(items[-1])
    if last - first == len(items) - 1 and (items[1:] - items[:-1] == 1).all():
        return pack((task, range(first, last + 1), chunk.sandboxed, chunk.is_probe))
    return pack((task, items, chunk.sandboxed, chunk.is_probe))

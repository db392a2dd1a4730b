"""Description of the machine on which a benchmark runs."""

import os
import platform
from importlib.metadata import version


def environment() -> str:
    """Processor, number of cores, and versions of Python and the packages that affect the speed."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba"))
    return f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def processor() -> str:
    """Name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="ascii") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()

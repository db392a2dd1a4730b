"""Whether the environment is as CIAO's activation and a private parameter folder make it."""

import os


def pfiles():
    """User's and system's folders of PFILES."""
    if "PFILES" not in os.environ:
        raise OSError("The PFILES environment variable is not set.")
    parts = os.environ["PFILES"].split(";")
    if len(parts) != 2:
        raise OSError(
            f"Expected the PFILES environment variable to contain 1 ';' character, but found {len(parts) - 1}"
        )
    return [part.split(":") if part else None for part in parts]


def check():
    user, system = pfiles()
    if not user or not os.path.isdir(user[0]) or not os.access(user[0], os.W_OK):
        raise OSError(f"PFILES: no folder of the user's own that can be written: {os.environ['PFILES']}")
    if not system or not any(os.path.isfile(os.path.join(folder, "dmcopy.par")) for folder in system):
        raise OSError(f"PFILES: CIAO's own parameter files are not there: {os.environ['PFILES']}")
    if user[0] in system or "cxcds_param" in user[0]:
        raise OSError(f"PFILES: the user's folder is shared: {os.environ['PFILES']}")
    for name in ("ASCDS_INSTALL", "ASCDS_CALIB", "ASCDS_BIN", "ASCDS_CONTRIB", "ASCDS_WORK_PATH", "CALDB"):
        if not os.path.isdir(os.environ.get(name, "")):
            raise OSError(f"{name} is not a folder: {os.environ.get(name)}")
    if os.environ["ASCDS_WORK_PATH"] == "/tmp":
        raise OSError("ASCDS_WORK_PATH is shared with others")

"""Results of a cluster on the page about all: a few numbers and a small picture."""

import base64
import io
from pathlib import Path

import numpy as np
from matplotlib.image import thumbnail

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import PyxtError
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.fit.flags import DOUBTFUL
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import Status

NAMES = ("regions", "kT", "error", "doubtful", "picture")
"""Names of the texts of `findings`."""

_SCALE = 0.35
"""Size of the picture, over that of its file."""


def findings(config: ClusterConfig) -> dict[str, str]:
    """Texts by `NAMES`, as far as they exist; the picture is a PNG in base64."""
    layout = Layout.of(config)
    picture = layout.picture(layout.map("temperature"))
    found = _numbers(layout.results)
    if check_regular(picture):
        found["picture"] = _small(picture)
    return found


def _numbers(path: Path) -> dict[str, str]:
    """Texts from the results store."""
    if not check_regular(path):
        return {}
    try:
        results = read_store(path)
    except PyxtError:  # damaged or of another version; the next run of the cluster reports it
        return {}
    done = results.rows[results.status == Status.DONE]
    total = len(results.rows)
    regions = f"{len(done)}" if len(done) == total else f"{len(done)} of {total}"
    if not len(done):
        return {"regions": regions}
    low, middle, high = np.percentile(done["kT"], [5.0, 50.0, 95.0])
    error = 0.5 * (done["kT_hi"] - done["kT_lo"]) / done["kT"]
    return {
        "regions": regions,
        "kT": f"{middle:.2f} ({low:.2f} to {high:.2f})",
        "error": f"{np.nanmedian(error):.0%}" if np.isfinite(error).any() else "open",
        "doubtful": f"{np.mean((done['flags'] & int(DOUBTFUL)) != 0):.1%}",
    }


def _small(picture: Path) -> str:
    out = io.BytesIO()
    thumbnail(str(picture), out, scale=_SCALE)
    return base64.b64encode(out.getvalue()).decode()

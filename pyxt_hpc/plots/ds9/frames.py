"""A shell script that opens the main maps side by side in DS9, with regions."""

import os
import shlex
from pathlib import Path

from pyxt_hpc.files.writing import write_text
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.maps.colours import colour_scale
from pyxt_hpc.plots.maps.style import PictureStyle

FRAMES = ("temperature", "temperature_error", "temperature_fractional_error", "flags")
"""Names of the maps, one for each frame."""

# DS9's colour maps that are nearest to those of the pictures.
_DS9_COLOURS = {"temperature": "heat", "flags": "sls"}
_OTHERS = "viridis"


class Frames:
    """Collector of the frames, from maps as they are made."""

    def __init__(self) -> None:
        self._options: dict[str, list[str]] = {}

    def add(self, product: MapProduct, style: PictureStyle) -> None:
        """Take a map, if it belongs in a frame."""
        if product.name not in FRAMES:
            return
        if product.integer:  # DS9's logarithm separates powers of two; blanks are above all flags
            options = ["-scale", "log", "-scale", "limits", "0", str(2 * max(map(int, FitFlag)))]
        else:  # DS9's logarithmic scale is not the logarithm of the values
            _, scale = colour_scale(product, style)
            options = ["-scale", "linear", "-scale", "limits", f"{scale.vmin:.6g}", f"{scale.vmax:.6g}"]
        options += ["-cmap", _DS9_COLOURS.get(product.name, _OTHERS)]
        self._options[product.name] = [product.path.name, *options]

    @property
    def is_whole(self) -> bool:
        """Whether every frame has its map."""
        return len(self._options) == len(FRAMES)

    def write(self, layout: Layout, path: Path) -> None:
        """Write the script, which looks for region files when it runs."""
        frames = [shlex.join(self._options[name]) for name in FRAMES if name in self._options]
        drawn = (layout.shock_regions, layout.sources_reg)
        regions = [shlex.quote(os.path.relpath(one, layout.main_output)) for one in drawn]
        lines = [
            "#!/bin/sh",
            f"# {layout.name}: temperature, errors and flags in DS9, with sources and shock fronts.",
            "# Options are handed on to DS9, which comes from ds9.si.edu or with CIAO.",
            'cd "$(dirname "$0")" || exit 2',
            "command -v ds9 > /dev/null ||",
            "    { echo 'ds9 is not in PATH: install it from ds9.si.edu' >&2; exit 2; }",
            'set -- -regions showtext no -lock frame wcs -lock crosshair wcs "$@"',
            *(f'if [ -s {one} ]; then set -- -region load all {one} "$@"; fi' for one in regions),
            "exec ds9 -tile yes -tile grid \\",
            *(f"    {frame} \\" for frame in frames),
            '    "$@"',
            "",
        ]
        write_text(path, "\n".join(lines), executable=True)

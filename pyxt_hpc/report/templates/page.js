// Draws the maps, plots and spectra of the page on plain canvases: these few kinds of pictures need less code than a
// plotting library of some megabytes.
"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const arrays = {};
const BLANK = 0xffbdbdbd, MASKED = 0xfff4f4f4;  // as the swatches of the legend
const INK = "#1b1f24", SOFT = "#57606a", LINE = "#d0d7de", ACCENT = "#0b5394", VERMILION = "#d55e00";
const TYPES = { f4: Float32Array, i4: Int32Array, u2: Uint16Array, u1: Uint8Array };

// ---- arrays

async function unpack() {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old for the maps (it has no DecompressionStream); those since 2023 show them");
  }
  const text = atob($("payload").textContent.trim());
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  $("payload").textContent = "";
  let at = 0;
  for (const { name, kind, length, differences } of data.arrays) {
    const type = TYPES[kind], size = type.BYTES_PER_ELEMENT;
    const whole = new Uint8Array(length * size);
    for (let plane = 0; plane < size; plane++) {
      for (let i = 0, k = plane; i < length; i++, k += size) whole[k] = bytes[at + i];
      at += length;
    }
    const values = new type(whole.buffer);
    if (differences) for (let i = 1; i < length; i++) values[i] += values[i - 1];
    arrays[name] = values;
  }
}

const column = (name) => arrays[data.columns[name]];

// ---- numbers

const MINUS = "\u2212";
function plain(value, digits = 3) {
  if (!Number.isFinite(value)) return "open";
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e6)) {
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    return `${mantissa}e${Number(power)}`.replace("-", MINUS).replace("e-", `e${MINUS}`);
  }
  const decimals = size ? Math.max(digits - 1 - Math.floor(Math.log10(size)), 0) : 0;
  return value.toFixed(Math.min(decimals, 8)).replace("-", MINUS);
}

function withErrors(value, minus, plus) {
  const known = [minus, plus].filter((e) => Number.isFinite(e) && e > 0);
  if (!Number.isFinite(value)) return "no value";
  let digits = 3;
  if (known.length && value) {
    const smallest = Math.min(...known);
    digits = Math.min(Math.max(Math.floor(Math.log10(Math.abs(value))) - Math.floor(Math.log10(smallest)) + 2, 2), 6);
  }
  const power = Math.abs(value) && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6) ? Math.floor(Math.log10(Math.abs(value))) : 0;
  const unit = 10 ** power, scaled = value / unit;
  const decimals = Math.max(digits - 1 - Math.floor(Math.log10(Math.abs(scaled) || 1)), 0);
  const part = (e) => (Number.isFinite(e) ? (e / unit).toFixed(decimals) : "open");
  return `${scaled.toFixed(decimals).replace("-", MINUS)} +${part(plus)} ${MINUS}${part(minus)}${power ? ` \u00d7 10${raised(String(power))}` : ""}`;
}

const RAISED = { "-": "\u207b", "0": "\u2070", "1": "\u00b9", "2": "\u00b2", "3": "\u00b3", "4": "\u2074", "5": "\u2075", "6": "\u2076", "7": "\u2077", "8": "\u2078", "9": "\u2079", "/": "\u141f" };
const raised = (text) => [...text].map((c) => RAISED[c] ?? c).join("");

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;

function unitText(unit) {
  return unit.replace(/\*\*\(?(-?[0-9/]+)\)?/g, (_, n) => raised(n)).replace(/([a-z])(-?[0-9]+)/gi, (_, c, n) => c + raised(n));
}

// ---- the sky

const RAD = Math.PI / 180;
function toSky(wcs, row, col) {
  const dx = col - wcs.pixel[0], dy = row - wcs.pixel[1];
  const xi = (wcs.cd[0][0] * dx + wcs.cd[0][1] * dy) * RAD, eta = (wcs.cd[1][0] * dx + wcs.cd[1][1] * dy) * RAD;
  const sin = Math.sin(wcs.sky[1] * RAD), cos = Math.cos(wcs.sky[1] * RAD), below = cos - eta * sin;
  const ra = wcs.sky[0] + Math.atan2(xi, below) / RAD;
  return [(ra + 360) % 360, Math.atan2(sin + eta * cos, Math.hypot(xi, below)) / RAD];
}

function toPixel(wcs, ra, dec) {
  const a = (ra - wcs.sky[0]) * RAD, d = dec * RAD, d0 = wcs.sky[1] * RAD;
  const below = Math.sin(d0) * Math.sin(d) + Math.cos(d0) * Math.cos(d) * Math.cos(a);
  if (!(below > 0)) return null;
  const xi = Math.cos(d) * Math.sin(a) / below / RAD;
  const eta = (Math.cos(d0) * Math.sin(d) - Math.sin(d0) * Math.cos(d) * Math.cos(a)) / below / RAD;
  const [[p, q], [r, s]] = wcs.cd, det = p * s - q * r;
  return [(p * eta - r * xi) / det + wcs.pixel[1], (s * xi - q * eta) / det + wcs.pixel[0]];
}

function sexagesimal(ra, dec) {
  const pad = (v, n = 2) => String(v).padStart(n, "0");
  const seconds = Math.round(ra / 15 * 360000), minutes = Math.round(Math.abs(dec) * 36000);
  const h = Math.floor(seconds / 360000) % 24, m = Math.floor(seconds / 6000) % 60, s = (seconds % 6000) / 100;
  const dd = Math.floor(minutes / 36000), dm = Math.floor(minutes / 600) % 60, ds = (minutes % 600) / 10;
  return `${pad(h)}:${pad(m)}:${s.toFixed(2).padStart(5, "0")} ${dec < 0 ? MINUS : "+"}${pad(dd)}:${pad(dm)}:${ds.toFixed(1).padStart(4, "0")}`;
}

function parsePlace(text) {
  const words = text.trim().replace(/\u2212/g, "-").split(/[\s,]+/);
  const one = (word, hours) => {
    const parts = word.match(/^([-+]?)(\d+(?:\.\d*)?)(?:[:hd](\d+(?:\.\d*)?)(?:[:m'](\d+(?:\.\d*)?)[s"]?)?)?$/i);
    if (!parts) return NaN;
    const size = Number(parts[2]) + Number(parts[3] ?? 0) / 60 + Number(parts[4] ?? 0) / 3600;
    const inHours = hours && /[:h]/i.test(word);
    return (parts[1] === "-" ? -1 : 1) * size * (inHours ? 15 : 1);
  };
  if (words.length === 6) return parsePlace(`${words.slice(0, 3).join(":")} ${words.slice(3).join(":")}`);
  if (words.length !== 2) return null;
  const ra = one(words[0], true), dec = one(words[1], false);
  return Number.isFinite(ra) && Math.abs(dec) <= 90 ? [ra, dec] : null;
}

// ---- colours

const tables = {};  // name: 256 colours as the bytes of a canvas
function tableOf(name) {
  return tables[name] ??= Uint32Array.from(data.colours[name], (hex) => {
    const n = parseInt(hex.slice(1), 16);
    return (0xff000000 | ((n & 255) << 16) | (n & 0xff00) | (n >> 16)) >>> 0;
  });
}

function placeIn(edges, value) {  // index of the colour
  let low = 0, high = edges.length - 1;
  if (!(value > edges[0])) return 0;
  if (value >= edges[high]) return high - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (edges[middle] <= value) low = middle; else high = middle;
  }
  return low;
}

function scaleOf(low, high, logarithmic, map) {
  const n = 256, edges = new Float64Array(n + 1);
  for (let i = 0; i <= n; i++) {
    edges[i] = logarithmic ? low * (high / low) ** (i / n) : low + (high - low) * i / n;
  }
  return { map, edges, logarithmic };
}

function niceTicks(low, high, logarithmic, wanted = 5) {
  const ticks = [];
  if (logarithmic && low > 0) {
    for (const digits of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]]) {
      ticks.length = 0;
      for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) {
        for (const d of digits) if (d * 10 ** p >= low * 0.9999 && d * 10 ** p <= high * 1.0001) ticks.push(d * 10 ** p);
      }
      if (ticks.length >= 4) return ticks;
    }
    if (ticks.length >= 3) return ticks;
    ticks.length = 0;
  }
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((s) => s * power >= rough) * power;
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9 * step; v += step) ticks.push(Math.abs(v) < 1e-9 * step ? 0 : v);
  return ticks;
}

const tickText = (v) => {
  const size = Math.abs(v);
  return size && (size < 1e-3 || size >= 1e5) ? v.toExponential().replace(/e\+?/, "e").replace(/-/g, MINUS) : String(Number(v.toPrecision(6))).replace("-", MINUS);
};

// ---- canvases

function prepared(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2.5), box = canvas.getBoundingClientRect();
  const width = Math.max(Math.round(box.width), 1), height = Math.max(Math.round(box.height), 1);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, 'DejaVu Sans', Arial, sans-serif";
  return { context, width, height };
}

function drawBar(canvas, colours, unit, levels = null) {
  const { context, width, height } = prepared(canvas);
  const edge = 9, left = 14, right = width - 14, high = 13, { edges } = colours, n = edges.length - 1;
  const hex = data.colours[colours.map];
  for (let x = left; x < right; x++) {
    const k = levels ? Math.floor((x - left) / (right - left) * levels.length) : 0;
    const i = levels ? placeIn(edges, levels[k]) : Math.min(Math.floor((x - left) / (right - left) * n), n - 1);
    context.fillStyle = hex[i];
    context.fillRect(x, 1, 1.5, high);
  }
  context.strokeStyle = SOFT;
  context.strokeRect(left - 0.5, 0.5, right - left + 1, high + 1);
  if (!levels) {  // arrows: values beyond are drawn with the last colours
    for (const [x, way, colour] of [[left - 1, -1, hex[0]], [right + 1, 1, hex[hex.length - 1]]]) {
      context.beginPath();
      context.moveTo(x, 0.5); context.lineTo(x + way * edge, high / 2 + 1); context.lineTo(x, high + 1.5);
      context.closePath();
      context.fillStyle = colour;
      context.fill();
      context.stroke();
    }
  }
  context.fillStyle = INK;
  context.textAlign = "center";
  context.textBaseline = "top";
  let last = -99;
  const ticks = levels ? levels.map((v, i) => [v, left + (right - left) * (i + 0.5) / levels.length]) :
    niceTicks(edges[0], edges[n], colours.logarithmic).map((v) => {
      const i = placeIn(edges, v), part = (v - edges[i]) / (edges[i + 1] - edges[i] || 1);
      return [v, left + (right - left) * (i + Math.min(Math.max(part, 0), 1)) / n];
    });
  for (const [value, x] of ticks) {
    const text = tickText(value), half = context.measureText(text).width / 2;
    if (x - half < last + 5) continue;
    const centre = Math.min(Math.max(x, half + 1), width - half - 1);
    if (centre - half < last + 5) continue;
    context.fillRect(x - 0.5, high + 1, 1, 4);
    context.fillText(text, centre, high + 6);
    last = centre + half;
  }
  const label = unitText(unit);
  if (label && last + context.measureText(label).width + 14 < width) {
    context.textAlign = "right";
    context.fillStyle = SOFT;
    context.fillText(label, width - 2, high + 6);
  }
}

// The content of a map: colours and positions of its cells, and the text for a position.
class RegionLayer {
  constructor(values, colours) { this.values = values; this.colours = colours; this.grid = data.grid; }
  paint(pixels) {
    const labels = arrays[data.grid.labels], table = tableOf(this.colours.map), { edges } = this.colours;
    const n = this.values.length, of = new Uint32Array(n + 1);
    for (let i = 0; i < n; i++) {
      of[i + 1] = state.masked[i] ? MASKED : Number.isNaN(this.values[i]) ? BLANK : table[placeIn(edges, this.values[i])];
    }
    for (let k = 0; k < labels.length; k++) pixels[k] = labels[k] > 0 ? of[labels[k]] : BLANK;
  }
}

class PixelLayer {
  constructor(map) { this.map = map; this.colours = map.colours; this.grid = map.grid; this.codes = arrays[map.image]; }
  value(code) {
    if (!code) return NaN;
    const scaled = this.map.levels.low + (code - 1) * this.map.levels.width;
    return this.map.levels.logarithmic ? Math.exp(scaled) : scaled;
  }
  at(row, col) {
    const i = Math.floor((row + 0.5 - this.grid.row) / this.grid.step), j = Math.floor((col + 0.5 - this.grid.col) / this.grid.step);
    const [m, n] = this.grid.shape;
    return i < 0 || j < 0 || i >= m || j >= n ? NaN : this.value(this.codes[i * n + j]);
  }
  paint(pixels) {
    const table = tableOf(this.colours.map), { edges } = this.colours, of = new Uint32Array(4096);
    of[0] = BLANK;
    for (let code = 1; code < 4096; code++) of[code] = table[placeIn(edges, this.value(code))];
    for (let k = 0; k < this.codes.length; k++) pixels[k] = of[this.codes[k]];
  }
}

function boxOf(grid) {  // edges of a grid in pixels of the image
  const [m, n] = grid.shape;
  return { left: grid.col - 0.5, bottom: grid.row - 0.5, width: n * grid.step, height: m * grid.step };
}

class MapView {
  constructor(canvas, { wcs = data.wcs, pick = null, overlay = null, furniture = true } = {}) {
    Object.assign(this, { canvas, wcs, pick, overlay, furniture, layer: null, view: null, cursor: null });
    this.raster = document.createElement("canvas");
    if (pick) this.listen();
  }
  show(layer) {
    this.layer = layer;
    const [m, n] = layer.grid.shape;
    this.raster.width = n;
    this.raster.height = m;
    this.box = boxOf(layer.grid);
    this.view ??= this.box;
    this.repaint();
  }
  repaint() {
    if (!this.layer) return;
    const context = this.raster.getContext("2d"), image = context.createImageData(this.raster.width, this.raster.height);
    this.layer.paint(new Uint32Array(image.data.buffer));
    context.putImageData(image, 0, 0);
    this.draw();
  }
  draw() {
    if (!this.layer) return;
    this.canvas.style.aspectRatio = `${this.view.width} / ${this.view.height}`;
    this.canvas.style.setProperty("--aspect", this.view.width / this.view.height);
    const { context, width, height } = prepared(this.canvas);
    const scale = this.scale = Math.min(width / this.view.width, height / this.view.height);
    this.size = { width, height };
    context.fillStyle = "#bdbdbd";
    context.fillRect(0, 0, width, height);
    context.save();
    context.scale(scale, -scale);
    context.translate(-this.view.left, -(this.view.bottom + this.view.height));
    context.imageSmoothingEnabled = false;
    context.drawImage(this.raster, this.box.left, this.box.bottom, this.box.width, this.box.height);
    context.restore();
    this.overlay?.(this, context);
    if (this.furniture) this.drawFurniture(context);
    if (this.pick) this.drawSelection(context);
  }
  toCanvas(row, col) {
    return [(col - this.view.left) * this.scale, (this.view.bottom + this.view.height - row) * this.scale];
  }
  toImage(x, y) { return [this.view.bottom + this.view.height - y / this.scale, this.view.left + x / this.scale]; }
  drawFurniture(context) {
    const arcsec = 3600 * Math.hypot(this.wcs.cd[0][1], this.wcs.cd[1][1]), { width, height } = this.size;
    const lengths = [5, 10, 20, 30, 60, 120, 180, 300, 600, 1200].filter((l) => l / arcsec * this.scale < 0.3 * width);
    const length = lengths.length ? lengths[lengths.length - 1] : 5, long = length / arcsec * this.scale;
    const label = (length < 60 ? `${length}\u2033` : `${length / 60}\u2032`) + (data.kpc_per_arcsec ? ` = ${plain(length * data.kpc_per_arcsec)} kpc` : "");
    const stroke = (draw) => haloed(context, 2, draw);
    stroke(() => { context.beginPath(); context.moveTo(10, height - 10); context.lineTo(10 + long, height - 10); context.stroke(); });
    outlined(context, label, 10, height - 17);
    // north and east, as the projection has them
    const [row, col] = this.toImage(width - 30, 40), [ra, dec] = toSky(this.wcs, row, col);
    for (const [text, place] of [["N", toPixel(this.wcs, ra, dec + 0.01)], ["E", toPixel(this.wcs, ra + 0.01 / Math.cos(dec * RAD), dec)]]) {
      const [dx, dy] = [place[1] - col, -(place[0] - row)], size = Math.hypot(dx, dy), x = width - 22, y = 38;
      stroke(() => { context.beginPath(); context.moveTo(x, y); context.lineTo(x + 18 * dx / size, y + 18 * dy / size); context.stroke(); });
      outlined(context, text, x + 27 * dx / size - 4, y + 27 * dy / size + 4);
    }
  }
  drawSelection(context) {
    const { region, row, col } = state.selected;
    if (row === null) return;
    const [x, y] = this.toCanvas(row, col);
    const stroke = (draw) => haloed(context, 1.8, draw);
    stroke(() => {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 4 * dx, y + 4 * dy); context.lineTo(x + 11 * dx, y + 11 * dy);
      }
      context.stroke();
    });
    if (region >= 0 && data.shape === "circle") {
      const [cx, cy] = this.toCanvas(column("row")[region], column("col")[region]);
      stroke(() => { context.beginPath(); context.arc(cx, cy, column("radius")[region] * this.scale, 0, 7); context.stroke(); });
    }
  }
  listen() {
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return this.toImage(event.clientX - box.left, event.clientY - box.top);
    };
    this.canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch" && this.layer && !state.held) this.pick(...place(event));
    });
    this.canvas.addEventListener("click", (event) => { if (this.layer) this.pick(...place(event), true); });
    this.canvas.addEventListener("keydown", (event) => {
      const far = (event.shiftKey ? 10 : 1) * Math.max(data.grid.step, 3);
      const step = { ArrowUp: [far, 0], ArrowDown: [-far, 0], ArrowLeft: [0, -far], ArrowRight: [0, far] }[event.key];
      const selected = state.selected, row = selected.row ?? data.centre.row, col = selected.col ?? data.centre.col;
      if (step) {
        const bounds = this.view, inside = (v, low, size) => Math.min(Math.max(v, low + 0.5), low + size - 0.5);
        this.pick(inside(row + step[0], bounds.bottom, bounds.height), inside(col + step[1], bounds.left, bounds.width));
      } else if (event.key === "Enter" || event.key === " ") this.pick(row, col, true);
      else if (event.key === "+" || event.key === "=") zoom(2);
      else if (event.key === "-") zoom(0.5);
      else return;
      event.preventDefault();
    });
  }
}

function haloed(context, width, draw) {
  context.lineWidth = 4; context.strokeStyle = "rgba(255,255,255,.9)"; draw();
  context.lineWidth = width; context.strokeStyle = "#000"; draw();
}

function outlined(context, text, x, y) {
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = "rgba(255,255,255,.9)";
  context.strokeText(text, x, y);
  context.fillStyle = "#000";
  context.fillText(text, x, y);
}

// Draws the axes of a plot; returns functions from values to positions.
function axes(canvas, { x: [x0, x1], y: [y0, y1], xlog = false, ylog = false, xlabel = "", ylabel = "", box = null }) {
  const made = box ?? { ...prepared(canvas), top: 8, bottom: 0 };
  const { context } = made, left = 58, right = made.width - 10, top = made.top, bottom = made.bottom || made.height - 38;
  const along = (v, low, high, log) => (log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low));
  const px = (v) => left + (right - left) * along(v, x0, x1, xlog), py = (v) => bottom - (bottom - top) * along(v, y0, y1, ylog);
  context.strokeStyle = LINE;
  context.lineWidth = 1;
  context.fillStyle = SOFT;
  context.textBaseline = "top";
  context.textAlign = "center";
  const ENERGIES = [0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10];
  for (const v of xlabel.startsWith("Energy") ? ENERGIES.filter((e) => e >= x0 && e <= x1) : niceTicks(x0, x1, xlog, Math.max((right - left) / 90, 2))) {
    context.beginPath(); context.moveTo(px(v), top); context.lineTo(px(v), bottom); context.stroke();
    if (xlabel) context.fillText(tickText(v), px(v), bottom + 4);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const v of niceTicks(y0, y1, ylog, Math.max((bottom - top) / 30, 4))) {
    context.beginPath(); context.moveTo(left, py(v)); context.lineTo(right, py(v)); context.stroke();
    context.fillText(tickText(v), left - 5, py(v));
  }
  context.strokeStyle = SOFT;
  context.strokeRect(left, top, right - left, bottom - top);
  context.fillStyle = INK;
  context.textAlign = "center";
  if (xlabel) { context.textBaseline = "bottom"; context.fillText(xlabel, (left + right) / 2, bottom + 36); }
  context.save();
  context.translate(11, (top + bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "middle";
  context.fillText(ylabel, 0, 0);
  context.restore();
  const clip = (draw) => {
    context.save(); context.beginPath(); context.rect(left, top, right - left, bottom - top); context.clip(); draw(); context.restore();
  };
  return { context, px, py, left, right, top, bottom, clip, width: made.width, height: made.height };
}

const sorted = (values) => Float64Array.from(values).filter(Number.isFinite).sort();
const orders = new WeakMap();
const sortedOnce = (values) => orders.get(values) ?? orders.set(values, sorted(values)).get(values);
const quantile = (ordered, q) => (ordered.length ? ordered[Math.min(Math.floor(q * ordered.length), ordered.length - 1)] : NaN);

// ---- state: what is masked, and which region is selected

const state = { masked: null, selected: { region: -1, row: null, col: null, code: 0 }, held: false, colours: null };
const views = {};
let derived = null;

function derive() {
  const kT = column("kT"), lo = column("kT_lo"), hi = column("kT_hi"), counts = column("counts"), background = column("background_counts");
  const row = column("row"), col = column("col");
  derived = {
    plus: kT.map((v, i) => hi[i] - v), minus: kT.map((v, i) => v - lo[i]), half: kT.map((_, i) => 0.5 * (hi[i] - lo[i])),
    fraction: kT.map((v, i) => 0.5 * (hi[i] - lo[i]) / v),
    sn: kT.map((_, i) => (counts[i] - background[i]) / Math.sqrt(counts[i] + background[i])),
    radius: kT.map((_, i) => data.pixel_arcsec * Math.hypot(row[i] - data.centre.row, col[i] - data.centre.col)),
    goodness: column("goodness"),
  };
  state.masked = new Uint8Array(kT.length);
  const map = data.maps.find((m) => m.name === "temperature");
  state.kT = { ...map.colours };
  state.defaultScale = { low: map.colours.edges[0], high: map.colours.edges[256], logarithmic: map.colours.logarithmic };
}

const MASKS = {
  error: { values: () => derived.fraction, above: true, words: (t) => `error of kT above ${percent(t)}` },
  sn: { values: () => derived.sn, above: false, words: (t) => `S/N below ${plain(t, 4)}` },
  goodness: { values: () => derived.goodness, above: true, words: (t) => `goodness above ${plain(t)}` },
};

function applyMask() {
  const by = $("mask-by").value, level = $("mask-level").value / 1000, masked = state.masked, n = masked.length;
  $("mask-flag").hidden = by !== "flag";
  $("mask-level").hidden = by === "flag" || by === "none";
  masked.fill(0);
  let words = "";
  if (by === "flag") {
    const bits = Number($("mask-flag").value), flags = column("flags");
    for (let i = 0; i < n; i++) masked[i] = flags[i] & bits ? 1 : 0;
    words = $("mask-flag").selectedOptions[0]?.textContent ?? "";
  } else if (by !== "none") {
    const { values, above, words: say } = MASKS[by], all = values(), ordered = sortedOnce(all);
    const limit = level >= 1 && above ? Infinity : level <= 0 && !above ? -Infinity : quantile(ordered, level);
    // Regions without a value, such as an open interval, count as the worst.
    for (let i = 0; i < n; i++) masked[i] = above ? !(all[i] <= limit) && limit !== Infinity : !(all[i] >= limit) && limit !== -Infinity;
    words = Number.isFinite(limit) ? say(limit) : "";
  }
  let total = 0;
  for (let i = 0; i < n; i++) total += masked[i];
  $("mask-said").textContent = total ? `${words}: ${percent(total / n)} (${total}) masked` : "no region is masked";
  for (const name of ["kT", "error", "large"]) views[name]?.repaint();
  // Other parts of the page are updated when the slider rests.
  clearTimeout(state.follow);
  state.follow = setTimeout(() => {
    for (const thumb of thumbs) thumb.view.repaint();
    drawPlots();
  }, 120);
}

function errorLayer() {
  const as = $("error-as").value, values = derived[as];
  const ordered = sortedOnce(values), low = quantile(ordered, 0.01), high = Math.max(quantile(ordered, 0.99), low * 1.01);
  const one = $("scale-one").checked && as !== "fraction";
  const both = sharedScale();
  $("error-title").textContent = { half: "Error of kT, half its 68% interval [keV]", plus: "Error of kT, upwards [keV]", minus: "Error of kT, downwards [keV]", fraction: "Error of kT over kT" }[as];
  return new RegionLayer(values, one ? both : scaleOf(low, high, high > 4 * low && low > 0, state.kT.map));
}

function sharedScale() {
  const low = quantile(sortedOnce(derived.half), 0.01), high = Number($("scale-high").value) || state.defaultScale.high;
  return scaleOf(low, high, true, state.kT.map);
}

function applyScale() {
  let low = Number($("scale-low").value), high = Number($("scale-high").value);
  const logarithmic = $("scale-log").checked, one = $("scale-one").checked && $("error-as").value !== "fraction";
  if (!(high > low) || (logarithmic && !(low > 0))) ({ low, high } = state.defaultScale);
  state.kT = one ? sharedScale() : scaleOf(low, high, logarithmic, state.kT.map);
  for (const id of ["scale-low", "scale-log"]) $(id).disabled = one;
  views.kT.show(new RegionLayer(column("kT"), state.kT));
  views.error.show(errorLayer());
  drawScaleBars();
}

function drawScaleBars() {
  drawBar($("bar-kT"), state.kT, "keV");
  drawBar($("bar-error"), views.error.layer.colours, $("error-as").value === "fraction" ? "" : "keV");
}

function resetScale() {
  const { low, high, logarithmic } = state.defaultScale;
  $("scale-low").value = Number(low.toPrecision(3));
  $("scale-high").value = Number(high.toPrecision(3));
  $("scale-log").checked = logarithmic;
  $("scale-one").checked = false;
  applyScale();
}

// ---- the region under the pointer

function regionAt(row, col) {
  const { grid } = data, [m, n] = grid.shape;
  const i = Math.round((row - grid.row) / grid.step), j = Math.round((col - grid.col) / grid.step);
  return i < 0 || j < 0 || i >= m || j >= n ? -1 : arrays[grid.labels][i * n + j];
}

function select(row, col, hold = false) {
  const code = regionAt(row, col), region = code > 0 ? code - 1 : -1;
  if (hold && state.held && region === state.selected.region) hold = state.held = false;
  else if (hold) state.held = region >= 0;
  state.selected = { region, row, col, code };
  tell();
}

function release() {
  state.held = false;
  $("panel").classList.remove("held");
}

function rowsOf(region) {
  const at = (name) => column(name)[region], rows = [], add = (title, text, name = "", value = NaN) => rows.push([title, text, name, value]);
  const both = (name) => withErrors(at(name), at(name) - at(`${name}_lo`), at(`${name}_hi`) - at(name));
  const [ra, dec] = toSky(data.wcs, at("row"), at("col")), radius = derived.radius[region];
  add("region", `${at("region")}`, "region", at("region"));
  add("middle (ICRS)", sexagesimal(ra, dec));
  add("from the peak", `${plain(radius)}\u2033${data.kpc_per_arcsec ? `, ${plain(radius * data.kpc_per_arcsec)} kpc` : ""}`);
  add("kT", `${both("kT")} keV`, "kT", at("kT"));
  add("error of kT", Number.isFinite(derived.fraction[region]) ? percent(derived.fraction[region]) : "open", "fraction", derived.fraction[region]);
  for (const name of ["abundance", "nH"]) if (data.columns[name]) add(name, both(name) + (name === "nH" ? " \u00d7 10\u00b2\u00b2 cm\u207b\u00b2" : " solar"), name, at(name));
  add("norm", both("norm"), "norm", at("norm"));
  for (const name of ["density", "pressure", "entropy", "cooling_time"]) {
    const map = data.maps.find((m) => m.name === name && m.column);
    if (!map) continue;
    const side = (end) => arrays[map.errors[end] ?? map.errors.both]?.[region] ?? NaN;
    add(map.title.toLowerCase(), `${withErrors(arrays[map.column][region], side("minus"), side("plus"))} ${unitText(map.unit)}`, name, arrays[map.column][region]);
  }
  add("net counts", plain(at("counts") - at("background_counts"), 4), "net", at("counts") - at("background_counts"));
  add("S/N; background", `${plain(derived.sn[region])}; ${percent(at("background_counts") / at("counts"))} of the counts`);
  add("exposure", `${plain(at("exposure") / 1000)} ks in ${at("datasets")} dataset${at("datasets") === 1 ? "" : "s"}, ${percent(at("live_fraction"))} live`, "exposure", at("exposure"));
  add("statistic / dof", `${plain(at("statistic"), 4)} / ${at("dof")}`, "statistic", at("statistic"));
  add("goodness", Number.isFinite(at("goodness")) ? `${at("goodness") > 0 ? "+" : ""}${plain(at("goodness"), 2)} \u03c3` : "-", "goodness", at("goodness"));
  const flags = data.flags.filter((f) => at("flags") & f.bit);
  add("flags", flags.length ? flags.map((f) => `${f.name}: ${f.meaning}`).join("; ") : "none", "flags", at("flags"));
  return rows;
}

function tell() {
  const { region, row, col, code } = state.selected;
  $("panel").classList.toggle("held", state.held);
  const body = $("numbers").tBodies[0];
  body.replaceChildren();
  if (region >= 0) {
    const kT = column("kT")[region];
    $("said").textContent = `Region ${column("region")[region]}: kT ${withErrors(kT, derived.minus[region], derived.plus[region])} keV${state.masked[region] ? " (masked)" : ""}${state.held ? ", held" : ""}`;
    for (const [title, text, name, value] of rowsOf(region)) {
      const line = body.insertRow(), head = document.createElement("th"), cell = document.createElement("td");
      head.scope = "row";
      head.textContent = title;
      cell.textContent = text;
      if (name) { cell.dataset.column = name; cell.dataset.value = value; }
      line.append(head, cell);
    }
  } else {
    const [ra, dec] = toSky(data.wcs, row, col);
    $("said").textContent = `Blank at ${sexagesimal(ra, dec)}: ${data.reasons[code] ?? data.reasons[-1]}.`;
  }
  drawSpectrum();
  for (const name of ["kT", "error", "large"]) views[name]?.draw();
  tellOf("large");
}

function nearestSpectrum(region) {
  const of = arrays[data.spectra.region], row = column("row"), col = column("col");
  let best = -1, least = Infinity;
  for (let k = 0; k < of.length; k++) {
    const apart = Math.hypot(row[of[k]] - row[region], col[of[k]] - col[region]);
    if (apart < least) { least = apart; best = k; }
  }
  return [best, least * data.pixel_arcsec];
}

function drawSpectrum() {
  const canvas = $("spectrum"), { region } = state.selected;
  if (region < 0) { prepared(canvas); $("spectrum-title").textContent = "Spectrum"; return; }
  const [k, apart] = nearestSpectrum(region), s = data.spectra, of = arrays[s.region][k];
  const [first, last] = [arrays[s.first_point][k], arrays[s.first_point][k + 1]], [start, stop] = [arrays[s.first_bin][k], arrays[s.first_bin][k + 1]];
  const cut = (names, a, b) => Object.fromEntries(Object.entries(names).map(([name, array]) => [name, arrays[array].subarray(a, b)]));
  const p = cut(s.points, first, last), b = cut(s.bins, start, stop);
  $("spectrum-title").textContent = of === region ? `Spectrum of region ${column("region")[of]}` :
    `Spectrum of region ${column("region")[of]}, the nearest on this page, ${plain(apart, 2)}\u2033 away`;
  const top = Math.max(...p.rate.map((v, i) => v + p.error_hi[i]), ...b.total) * 2;
  const positive = [...p.rate, ...b.total, ...b.background].filter((v) => v > 0);
  const low = Math.max(Math.min(...positive) * 0.6, top / 2e4), energies = [b.low[0] / 1.03, b.high[b.high.length - 1] * 1.03];
  const base = { ...prepared(canvas) }, split = Math.round(base.height * 0.62);
  const upper = axes(canvas, { x: energies, y: [low, top], xlog: true, ylog: true, ylabel: "counts s\u207b\u00b9 keV\u207b\u00b9", box: { ...base, top: 6, bottom: split } });
  const steps = (values, colour, dash) => upper.clip(() => {
    const { context, px, py } = upper;
    context.beginPath();
    values.forEach((v, i) => {
      const y = py(Math.max(v, low / 10));
      if (i && b.low[i] <= b.high[i - 1] * 1.000001) context.lineTo(px(b.low[i]), y); else context.moveTo(px(b.low[i]), y);
      context.lineTo(px(b.high[i]), y);
    });
    context.strokeStyle = colour;
    context.setLineDash(dash);
    context.lineWidth = 1.6;
    context.stroke();
    context.setLineDash([]);
  });
  const points = (plot, value, lo, hi) => plot.clip(() => {
    const { context, px, py } = plot;
    context.strokeStyle = context.fillStyle = INK;
    context.lineWidth = 1;
    for (let i = 0; i < p.energy.length; i++) {
      const x = px(p.energy[i]), y = py(Math.max(value[i], plot === upper ? low / 10 : -99));
      context.beginPath();
      context.moveTo(px(p.energy[i] - p.half_width[i]), y); context.lineTo(px(p.energy[i] + p.half_width[i]), y);
      context.moveTo(x, py(Math.max(value[i] - lo(i), plot === upper ? low / 10 : -99))); context.lineTo(x, py(value[i] + hi(i)));
      context.stroke();
      context.fillRect(x - 1.5, y - 1.5, 3, 3);
    }
  });
  steps(b.background, "#0072b2", [2, 3]);
  steps(b.total, VERMILION, []);
  points(upper, p.rate, (i) => p.error_lo[i], (i) => p.error_hi[i]);
  const { context } = upper;
  context.textAlign = "right"; context.textBaseline = "top";
  context.fillStyle = VERMILION; context.fillText("model \u2014", upper.right - 6, upper.top + 5);
  context.fillStyle = "#0072b2"; context.fillText("background \u00b7\u00b7\u00b7", upper.right - 6, upper.top + 20);
  const reach = Math.max(3.5, ...p.residual.map((v) => Math.abs(v) + 1.2));
  const under = axes(canvas, { x: energies, y: [-reach, reach], xlog: true, xlabel: "Energy [keV]", ylabel: "residual [\u03c3]", box: { ...base, top: split + 8, bottom: base.height - 38 } });
  context.strokeStyle = VERMILION;
  context.beginPath(); context.moveTo(under.left, under.py(0)); context.lineTo(under.right, under.py(0)); context.stroke();
  points(under, p.residual, () => 1, () => 1);
}

function find(event) {
  event.preventDefault();
  const text = $("find").value.trim(), said = $("find-said");
  let place = null;
  if (/^\d+$/.test(text)) {
    const region = column("region").indexOf(Number(text));
    if (region >= 0) place = [column("row")[region], column("col")[region]];
    else { said.textContent = `region ${text} is not on this page`; return; }
  } else {
    const sky = parsePlace(text);
    place = sky && (toPixel(data.wcs, ...sky) ?? [Infinity, Infinity]);
  }
  if (!place) { said.textContent = "expected RA Dec, such as 150.02 +20.01 or 10:00:05 +20:00:36, or a region's number"; return; }
  const box = boxOf(data.grid);
  if (place[0] < box.bottom || place[1] < box.left || place[0] > box.bottom + box.height || place[1] > box.left + box.width) {
    said.textContent = "that is outside of the map";
    return;
  }
  said.textContent = "";
  state.held = false;
  state.selected.region = -1;
  select(...place, true);
}

function showRegion(number) {
  const region = column("region").indexOf(number);
  if (region < 0) return;
  state.held = false;
  state.selected.region = -1;
  select(column("row")[region], column("col")[region], true);
  $("temperature").scrollIntoView();
}

function zoom(factor) {
  const all = boxOf(data.grid), now = views.kT.view, width = Math.min(Math.max(now.width / factor, 12), all.width), height = width * all.height / all.width;
  const row = state.selected.row ?? now.bottom + now.height / 2, col = state.selected.col ?? now.left + now.width / 2;
  const inside = (middle, size, low, whole) => Math.min(Math.max(middle - size / 2, low), low + whole - size);
  const view = factor ? { left: inside(col, width, all.left, all.width), bottom: inside(row, height, all.bottom, all.height), width, height } : all;
  for (const name of ["kT", "error"]) { views[name].view = view; views[name].draw(); }
}

// ---- all maps

const thumbs = [];
const layerOf = (map) => (map.column ? new RegionLayer(arrays[map.column], map.colours) : new PixelLayer(map));
const levelsOf = (map) => (map.categories.length ? map.categories : null);

function makeGallery() {
  data.maps.forEach((map, index) => {
    const button = document.createElement("button"), canvas = document.createElement("canvas"), title = document.createElement("span");
    button.type = "button";
    button.dataset.map = map.name;
    title.textContent = map.title + (map.unit ? ` [${unitText(map.unit)}]` : "");
    canvas.setAttribute("aria-hidden", "true");
    button.append(canvas, title);
    button.addEventListener("click", () => openMap(index));
    $("gallery").append(button);
    thumbs.push({ map, view: new MapView(canvas, { furniture: false }) });
  });
  // A thumbnail is drawn only when it is nearly visible, since there are many maps.
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      const thumb = thumbs.find(({ view }) => view.canvas === entry.target);
      seen.unobserve(entry.target);
      thumb.view.show(layerOf(thumb.map));
    }
  }, { rootMargin: "600px" });
  for (const { view } of thumbs) seen.observe(view.canvas);
}

function drawAllThumbs() { for (const { map, view } of thumbs) if (!view.layer) view.show(layerOf(map)); }

let opened = 0;
function openMap(index) {
  opened = (index + data.maps.length) % data.maps.length;
  const map = data.maps[opened];
  $("large-map").hidden = false;
  $("large-picture").hidden = true;
  for (const id of ["large-previous", "large-next"]) $(id).hidden = false;
  $("large-title").textContent = map.title + (map.unit ? ` [${unitText(map.unit)}]` : "");
  $("large-comment").textContent = map.comment + (Object.keys(map.meanings).length > 1 ? ` Here: ${Object.entries(map.meanings).map(([k, v]) => `${k} ${v}`).join("; ")}.` : "");
  if (!$("large").open) $("large").showModal();
  views.large.view = null;
  views.large.show(layerOf(map));
  drawBar($("bar-large"), map.colours, map.unit, levelsOf(map));
  tellOf("large");
  $("map-large").focus({ preventScroll: true });
}

function tellOf(name) {
  if (name !== "large" || !$("large").open || !views.large.layer) return;
  const map = data.maps[opened], { region, row, col, code } = state.selected;
  if (row === null) { $("large-said").textContent = ""; return; }
  const where = sexagesimal(...toSky(data.wcs, row, col));
  if (map.column) {
    if (region < 0) { $("large-said").textContent = `${where}: blank, ${data.reasons[code] ?? data.reasons[-1]}`; return; }
    const value = arrays[map.column][region], side = (end) => arrays[map.errors[end] ?? map.errors.both]?.[region] ?? NaN;
    const said = Object.keys(map.errors).length ? withErrors(value, side("minus"), side("plus")) : map.meanings[value] ?? plain(value, 4);
    $("large-said").textContent = `${where}: ${said} ${unitText(map.unit)} in region ${column("region")[region]}`;
  } else {
    const value = views.large.layer.at(row, col);
    $("large-said").textContent = `${where}: ${Number.isFinite(value) ? `${plain(value)} ${unitText(map.unit)}` : "blank"}`;
  }
}

function openPicture(image) {
  $("large-map").hidden = true;
  for (const id of ["large-previous", "large-next"]) $(id).hidden = true;
  $("large-title").textContent = image.dataset.title;
  $("large-comment").textContent = image.alt;
  Object.assign($("large-picture"), { src: image.src, alt: image.alt, hidden: false });
  $("large").showModal();
}

// ---- distributions

function histogram(id, values, xlabel, { expected = null, symmetric = false } = {}) {
  const ordered = sorted(values.filter((_, i) => !state.masked[i])), canvas = $(id);
  if (ordered.length < 2) { prepared(canvas); return; }
  let low = quantile(ordered, 0.002), high = quantile(ordered, 0.998);
  if (symmetric) { high = Math.max(-low, high, 4); low = -high; }
  if (!(high > low)) high = low + (Math.abs(low) || 1);
  const n = 40, counts = new Float64Array(n), width = (high - low) / n;
  for (const v of ordered) if (v >= low && v <= high) counts[Math.min(Math.floor((v - low) / width), n - 1)]++;
  const normal = (z) => ordered.length * width * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
  const plot = axes(canvas, { x: [low, high], y: [0, 1.12 * Math.max(...counts, expected ? normal(0) : 0)], xlabel, ylabel: "regions" });
  const { context, px, py } = plot;
  context.fillStyle = "#56b4e9";
  context.strokeStyle = "#0072b2";
  counts.forEach((c, i) => { context.fillRect(px(low + i * width), py(c), px(low + width) - px(low), py(0) - py(c)); });
  context.beginPath();
  counts.forEach((c, i) => { context.lineTo(px(low + i * width), py(c)); context.lineTo(px(low + (i + 1) * width), py(c)); });
  context.stroke();
  const middle = quantile(ordered, 0.5);
  context.setLineDash([5, 4]);
  context.strokeStyle = VERMILION;
  if (expected) { context.beginPath(); for (let z = low; z <= high; z += width / 3) context.lineTo(px(z), py(normal(z))); context.stroke(); }
  context.setLineDash([]);
  context.beginPath(); context.moveTo(px(middle), plot.top); context.lineTo(px(middle), plot.bottom);
  context.strokeStyle = INK;
  context.stroke();
  const text = `median ${plain(middle)}, 68% ${plain(quantile(ordered, 0.16))} to ${plain(quantile(ordered, 0.84))}`;
  $(`${id}-said`).textContent = text;
  canvas.setAttribute("aria-label", `Histogram: ${xlabel}, ${text}`);
}

function drawRadial() {
  const map = data.maps[Number($("radial-of").value)], values = arrays[map.column], canvas = $("radial");
  $("radial-title").textContent = map.title;
  const chosen = [];
  for (let i = 0; i < values.length; i++) if (!state.masked[i] && Number.isFinite(values[i])) chosen.push(i);
  if (chosen.length < 2) { prepared(canvas); state.radial = null; return; }
  const ordered = sorted(chosen.map((i) => values[i])), far = quantile(sortedOnce(derived.radius), 1) * 1.02;
  const low = quantile(ordered, 0.001), high = quantile(ordered, 0.999), logarithmic = map.colours.logarithmic && low > 0 && high > 4 * low;
  const margin = 0.06 * (high - low) || 1, y = logarithmic ? [low / 1.3, high * 1.3] : [low >= 0 ? Math.max(low - margin, 0) : low - margin, high + margin];
  const scale = data.kpc_per_arcsec || 1, unit = data.kpc_per_arcsec ? "kpc" : "arcsec";
  const plot = axes(canvas, { x: [0, far * scale], y, ylog: logarithmic, xlabel: `distance from the peak [${unit}]`, ylabel: map.title + (map.unit ? ` [${unitText(map.unit)}]` : "") });
  const { context, px, py } = plot, flags = column("flags"), doubtful = data.flags.reduce((all, f) => all | (f.doubtful ? f.bit : 0), 0);
  plot.clip(() => {
    context.fillStyle = `rgba(0, 114, 178, ${Math.min(Math.max(4000 / chosen.length, 0.12), 0.8)})`;
    for (const i of chosen) if (!(flags[i] & doubtful)) context.fillRect(px(derived.radius[i] * scale) - 1, py(values[i]) - 1, 2, 2);
    context.strokeStyle = VERMILION;
    context.lineWidth = 1;
    for (const i of chosen) if (flags[i] & doubtful) {
      const [cx, cy] = [px(derived.radius[i] * scale), py(values[i])];
      context.beginPath(); context.moveTo(cx - 3, cy - 3); context.lineTo(cx + 3, cy + 3); context.moveTo(cx - 3, cy + 3); context.lineTo(cx + 3, cy - 3); context.stroke();
    }
    // median and 68% of the regions in rings of equal width
    const n = 24, rings = Array.from({ length: n }, () => []);
    for (const i of chosen) rings[Math.min(Math.floor(derived.radius[i] / far * n), n - 1)].push(i);
    const lines = rings.filter((ring) => ring.length >= 5).map((ring) => { const o = sorted(ring.map((i) => values[i])); return [quantile(sorted(ring.map((i) => derived.radius[i])), 0.5) * scale, quantile(o, 0.16), quantile(o, 0.5), quantile(o, 0.84)]; });
    for (const [k, width, dash] of [[1, 1.4, [4, 3]], [3, 1.4, [4, 3]], [2, 2.4, []]]) {
      context.beginPath();
      for (const line of lines) context.lineTo(px(line[0]), py(line[k]));
      context.setLineDash(dash);
      context.lineWidth = width + 2; context.strokeStyle = "rgba(255,255,255,.8)"; context.stroke();
      context.lineWidth = width; context.strokeStyle = INK; context.stroke();
    }
    context.setLineDash([]);
    if (state.selected.region >= 0) {
      context.beginPath(); context.arc(px(derived.radius[state.selected.region] * scale), py(values[state.selected.region]), 6, 0, 7);
      context.lineWidth = 2; context.strokeStyle = "#000"; context.stroke();
    }
  });
  context.font = "12px system-ui, 'DejaVu Sans', Arial, sans-serif";
  context.textAlign = "right"; context.textBaseline = "top"; context.fillStyle = INK;
  context.fillText("\u2014 median   - - 68% of the regions   \u00d7 doubtful", plot.right - 8, plot.top + 6);
  state.radial = { px, py, values, scale, chosen };
}

function drawPlots() {
  histogram("histogram-kT", column("kT"), "kT [keV]");
  histogram("histogram-error", derived.fraction, "half the 68% interval over kT");
  histogram("histogram-goodness", derived.goodness, "goodness [\u03c3]", { expected: true, symmetric: true });
  drawRadial();
}

// ---- the field

const OUTLINES = { sources: ["#56b4e9", [], "point sources"], core: ["#f0e442", [6, 4], "core, for the light curve"], crop: ["#d55e00", [], "crop box"], background: ["#009e73", [8, 3, 2, 3], "background"] };
function outline(view, context) {
  for (const { kind, lines } of data.field.outlines) {
    const [colour, dash] = OUTLINES[kind];
    context.setLineDash(dash);
    context.lineWidth = 1.6;
    context.strokeStyle = colour;
    for (const line of lines) {
      context.beginPath();
      for (let i = 0; i < line.length; i += 2) context.lineTo(...view.toCanvas(line[i + 1], line[i]));
      context.stroke();
    }
  }
  context.setLineDash([]);
}

function makeField() {
  for (const { kind, file } of data.field.outlines) {
    const stroke = document.createElement("span"), text = document.createElement("span");
    stroke.className = "stroke";
    stroke.style.borderTopColor = OUTLINES[kind][0];
    if (OUTLINES[kind][1].length) stroke.style.borderTopStyle = "dashed";
    text.textContent = `${OUTLINES[kind][2]} (${file})`;
    $("outlines").append(stroke, text);
  }
  const speak = (id, layer, wcs, unit) => (row, col) => {
    const value = layer.at(row, col);
    $(id).textContent = `${sexagesimal(...toSky(wcs, row, col))}: ${Number.isFinite(value) ? `${plain(value)} ${unitText(unit)}` : "nothing was seen"}`;
  };
  const field = new PixelLayer(data.field);
  views.field = new MapView($("map-field"), { wcs: data.field.wcs, overlay: outline });
  views.field.show(field);
  hover($("map-field"), views.field, speak("field-said", field, data.field.wcs, data.field.unit));
  const scale = data.maps.find((m) => m.name === "scale");
  if (!scale) { $("map-scale").closest("figure").hidden = true; return; }
  views.scale = new MapView($("map-scale"));
  views.scale.show(layerOf(scale));
  if (scale.image) hover($("map-scale"), views.scale, speak("scale-said", views.scale.layer, data.wcs, scale.unit));
}

function hover(canvas, view, tellPlace) {
  for (const kind of ["pointermove", "click"]) canvas.addEventListener(kind, (event) => {
    const box = canvas.getBoundingClientRect();
    tellPlace(...view.toImage(event.clientX - box.left, event.clientY - box.top));
  });
}

// ---- the whole page

function drawBars() {
  drawScaleBars();
  drawBar($("bar-field"), data.field.colours, data.field.unit);
  const scale = data.maps.find((m) => m.name === "scale");
  if (scale) drawBar($("bar-scale"), scale.colours, scale.unit);
}

function redraw() {
  for (const view of Object.values(views)) view.draw();
  for (const { view } of thumbs) view.draw();
  drawBars();
  drawPlots();
  drawSpectrum();
}

function fillMenus() {
  const flags = column("flags");
  const seen = data.flags.filter((f) => flags.some((v) => v & f.bit)), all = data.flags.reduce((bits, f) => bits | (f.doubtful ? f.bit : 0), 0);
  const option = (value, text) => { const made = document.createElement("option"); made.value = value; made.textContent = text; return made; };
  $("mask-flag").append(option(all, "any doubtful flag"), ...seen.map((f) => option(f.bit, f.name)));
  data.maps.forEach((map, i) => { if (map.column) $("radial-of").append(option(i, map.title)); });
  $("radial-of").value = String(data.maps.findIndex((m) => m.name === "temperature"));
}

function listen() {
  $("mask-by").addEventListener("change", () => { $("mask-level").value = $("mask-by").value === "sn" ? 0 : 1000; applyMask(); });
  let waiting = 0;
  $("mask-level").addEventListener("input", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(applyMask); });
  $("mask-flag").addEventListener("change", applyMask);
  for (const id of ["scale-low", "scale-high", "scale-log", "scale-one", "error-as"]) $(id).addEventListener("change", applyScale);
  $("scale-reset").addEventListener("click", resetScale);
  $("controls").addEventListener("submit", find);
  $("zoom-in").addEventListener("click", () => zoom(2));
  $("zoom-out").addEventListener("click", () => zoom(0.5));
  $("zoom-all").addEventListener("click", () => zoom(0));
  $("radial-of").addEventListener("change", drawRadial);
  $("radial").addEventListener("click", (event) => {
    if (!state.radial) return;
    const box = $("radial").getBoundingClientRect(), [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = -1, least = 400;
    for (const i of state.radial.chosen) {
      const apart = (state.radial.px(derived.radius[i] * state.radial.scale) - x) ** 2 + (state.radial.py(state.radial.values[i]) - y) ** 2;
      if (apart < least) { least = apart; best = i; }
    }
    if (best >= 0) { showRegion(column("region")[best]); drawRadial(); }
  });
  for (const button of document.querySelectorAll(".show-region")) button.addEventListener("click", () => showRegion(Number(button.dataset.region)));
  for (const button of document.querySelectorAll(".show-flag")) button.addEventListener("click", () => {
    $("mask-by").value = "flag";
    $("mask-flag").value = button.dataset.bit;
    applyMask();
    $("temperature").scrollIntoView();
  });
  for (const button of document.querySelectorAll("button.picture")) button.addEventListener("click", () => openPicture(button.querySelector("img")));
  $("large-close").addEventListener("click", () => $("large").close());
  $("large-previous").addEventListener("click", () => openMap(opened - 1));
  $("large-next").addEventListener("click", () => openMap(opened + 1));
  for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy($(button.dataset.of).innerText));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !$("large").open) { release(); tell(); } });
  let resized = 0;
  window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(redraw, 80); });
  const details = [...document.querySelectorAll("details")];
  let closed = [];
  window.addEventListener("beforeprint", () => { closed = details.filter((d) => !d.open); closed.forEach((d) => { d.open = true; }); drawAllThumbs(); redraw(); });
  window.addEventListener("afterprint", () => { closed.forEach((d) => { d.open = false; }); redraw(); });
  window.matchMedia("print").addEventListener("change", redraw);
}

async function copy(text) {
  const said = $("copied");
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = "copied";
  } catch {  // some browsers do not let local pages copy: select the text instead
    getSelection().selectAllChildren($("bibtex"));
    said.textContent = document.execCommand("copy") ? "copied" : "selected: press Ctrl+C";
  }
}

async function begin() {
  await unpack();
  derive();
  fillMenus();
  views.kT = new MapView($("map-kT"), { pick: select });
  views.error = new MapView($("map-error"), { pick: select });
  views.large = new MapView($("map-large"), { pick: select });
  makeGallery();
  makeField();
  resetScale();
  listen();
  applyMask();
  select(data.centre.row, data.centre.col);
  drawBars();
  document.documentElement.dataset.ready = "yes";
}

begin().catch((error) => {
  $("failure").textContent = `The maps cannot be drawn: ${error.message}.`;
  $("failure").hidden = false;
  throw error;
});
})();

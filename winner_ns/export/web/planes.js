"use strict";
// A picture, or a cut through three axes, evaluated for what is seen of it at the screen's own pixels.

// Pixels along the sides of what is painted first, then, …; in the end each is the mean of samples, where it is large.
const SQUARES = [16, 4, 1, 1];
const MOST_SAMPLES = 4; // Along a side of a pixel.
const MOST_PIXELS = 2 ** 21;
const canvas = byId("canvas");
const gl = openCanvas(canvas, {alpha: false, antialias: false, preserveDrawingBuffer: true});
const dark = matchMedia("(prefers-color-scheme: dark)");

const fields = page.fields.map(field => ({...field, evaluator: new Evaluator(gl, field.layers), shown: null, next: null}));
const paint = program(gl, byId("paint.frag").textContent), show = program(gl, byId("show.frag").textContent);
const pace = new Pace(gl, 2 ** 17);
// What may lie on either side of the divider: all fields, and after them the original.
const sides = fields.length + (page.original ? 1 : 0), several = fields.length > 1;
const view = {x: 0, y: 0, zoom: 1, across: 0, index: Math.floor(page.shape[0] / 2), mode: 0, left: 0};
Object.assign(view, {divider: several ? 0.5 : 1, right: several ? fields.length - 1 : sides - 1});
let original = texture(gl, gl.TEXTURE_2D, gl.RGBA8, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, null);
let picture = {width: 0, height: 0}, waiting = false;

// The axes that are seen, down and across.
const axes = () => page.shape.length === 2 ? [0, 1] : [0, 1, 2].filter(axis => axis !== view.across);
const shape = () => axes().map(axis => page.shape[axis]);

function whole() {
  const [rows, columns] = shape();
  view.x = (columns - 1) / 2;
  view.y = (rows - 1) / 2;
  view.zoom = fitting();
}

function fitting() {
  const [rows, columns] = shape();
  // Of what is so much longer than wide that the whole would be thinner than two pixels, a part.
  return Math.max(Math.min(canvas.width / columns, canvas.height / rows), 2 / Math.min(rows, columns));
}

function resize() {
  const before = picture.width, fitted = !before || Math.abs(view.zoom / fitting() - 1) < 1e-6;
  const [rows, columns] = shape(), across = canvas.parentElement.clientWidth;
  const down = Math.max(64, Math.round(Math.min(across * rows / columns, Math.max(0.72 * innerHeight, 240))));
  canvas.style.height = `${down}px`;
  const dense = Math.min(devicePixelRatio, Math.sqrt(MOST_PIXELS / (across * down)));
  canvas.width = Math.round(across * dense);
  canvas.height = Math.round(down * dense);
  picture = {width: canvas.width, height: canvas.height};
  for (const field of fields) {
    for (const old of [field.shown, field.next].filter(Boolean)) {
      gl.deleteTexture(old.values);
      gl.deleteFramebuffer(old.frame);
    }
    field.shown = field.next = null;
  }
  if (fitted) whole();
  else view.zoom *= canvas.width / before;
  changed();
}

// A picture of floats that can be painted to.
function blank() {
  const values = texture(gl, gl.TEXTURE_2D, gl.RGBA32UI, picture.width, picture.height, gl.RGBA_INTEGER,
    gl.UNSIGNED_INT, null);
  const frame = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, values, 0);
  return {values, frame};
}

function begin(field) {
  const next = field.next ?? blank();
  gl.bindFramebuffer(gl.FRAMEBUFFER, next.frame);
  gl.disable(gl.SCISSOR_TEST);
  // No number that a network gives has these bits.
  gl.clearBufferuiv(gl.COLOR, 0, Array(4).fill(0xffffffff));
  field.next = {...next, x: view.x, y: view.y, zoom: view.zoom, level: -1, start: 0, count: 0};
  enter(field, field.next);
}

// The next finer squares of a picture. For the error they are where the original's pixels are, and nowhere between.
function enter(field, target) {
  target.level++;
  target.start = 0;
  const square = SQUARES[target.level], snapped = view.mode === 2, last = target.level === SQUARES.length - 1;
  target.samples = last && !snapped ? Math.min(Math.ceil(1 / target.zoom), MOST_SAMPLES) : 1;
  if (last && target.samples === 1) target.level++;
  if (target.level === SQUARES.length) return;
  const [rows, columns] = shape();
  const along = (middle, size, n) => {
    const edge = place => Math.round(size / 2 + (place - middle) * target.zoom);
    const from = Math.max(0, edge(-0.5)), to = Math.min(size, Math.max(edge(n - 0.5), from + 1));
    const at = Array.from({length: Math.max(1, Math.ceil((to - from) / square))}, (_, k) =>
      middle + (from + (k + 0.5) * square - size / 2) / target.zoom);
    return {from, at: snapped ? at.map(place => Math.min(Math.max(Math.round(place), 0), n - 1)) : at};
  };
  const across = along(target.x, picture.width, columns), down = along(target.y, picture.height, rows);
  const seen = axes(), lines = page.shape.map((n, axis) => {
    const at = axis === seen[0] ? down.at : axis === seen[1] ? across.at : [view.index];
    return coordinates(at, n, page.halfExtent[axis]);
  });
  target.widths = page.shape.map((n, axis) =>
    seen.includes(axis) ? page.halfExtent[axis] * 2 / Math.max(n - 1, 1) / target.zoom : 0);
  Object.assign(target, {lines, square, corner: [across.from, down.from], size: [across.at.length, down.at.length]});
  target.count = target.size[0] * target.size[1];
}

function step(field, target, points) {
  const {evaluator} = field, each = target.samples ** 2, most = Math.floor(Math.min(points, evaluator.most) / each);
  const count = Math.min(Math.max(most, 1), target.count - target.start);
  if (target.start === 0 || evaluator.grids !== target.lines) evaluator.setGrid(evaluator.grids = target.lines);
  const values = evaluator.draw(target.start * each, count * each, target.samples, target.widths);
  gl.useProgram(paint.made);
  gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
  gl.viewport(0, 0, picture.width, picture.height);
  const {start, size, corner, square} = target;
  const top = Math.floor(start / size[0]), bottom = Math.floor((start + count - 1) / size[0]);
  gl.enable(gl.SCISSOR_TEST);
  gl.scissor(corner[0], corner[1] + top * square, size[0] * square, (bottom - top + 1) * square);
  bind(gl, paint, "values", 3, gl.TEXTURE_2D_ARRAY, values);
  for (const [name, value] of Object.entries({columns: evaluator.columns, start, count, square, samples: each})) {
    gl.uniform1i(paint.at(name), value);
  }
  gl.uniform2iv(paint.at("corner"), corner);
  gl.uniform2iv(paint.at("size"), size);
  gl.drawArrays(gl.TRIANGLES, 0, 3);
  gl.activeTexture(gl.TEXTURE3);
  gl.bindTexture(gl.TEXTURE_2D_ARRAY, null);
  target.start += count;
  if (target.start >= target.count) enter(field, target);
  // What was painted before is shown until the new one is no longer coarse.
  if (target === field.next && target.level >= (field.shown ? 2 : 1)) [field.shown, field.next] = [target, field.shown];
  return count * each;
}

const seen = () => view.mode === 1 ? [] : [...new Set([view.left, view.right])].flatMap(side => fields[side] ?? []);
const current = field => field.shown && field.shown.stamp === stamp ? field.shown : field.next;
let stamp = 0;

function frame() {
  waiting = false;
  let busy = false;
  if (pace.ready) {
    let left = pace.points;
    while (left > 0) {
      for (const field of seen()) {
        if (field.stamp !== stamp) {
          begin(field);
          field.stamp = field.next.stamp = stamp;
        }
      }
      const open = seen().filter(field => current(field).level < SQUARES.length);
      if (!open.length) break;
      open.sort((one, other) => current(one).level - current(other).level);
      busy = true;
      left -= step(open[0], current(open[0]), left);
    }
    draw();
    if (busy) pace.begun();
  } else busy = true;
  canvas.dataset.done = !busy;
  // A picture of a new size is not begun before the graphics processor is done with the old one.
  const finest = seen().map(current);
  const part = Math.min(1, ...finest.map(each => !each || each.level < 2 ? 0 : each.level > 3 ? 1 :
    each.samples > 1 ? 0.5 + each.start / each.count / 2 : each.start / each.count / (each.zoom < 1 ? 2 : 1)));
  byId("progress").textContent = part < 1 ? `, ${Math.floor(100 * part)} % evaluated` : "";
  if (busy) ask();
}

function ask() {
  if (!waiting) requestAnimationFrame(frame);
  waiting = true;
}

function changed() {
  stamp++;
  canvas.dataset.done = false;
  tell();
  ask();
}

function draw() {
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  gl.disable(gl.SCISSOR_TEST);
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.useProgram(show.made);
  ["left", "right"].forEach((side, unit) => {
    const field = fields[view[side]] ?? fields[0], target = field.shown ?? field.next ?? {values: null, x: 0, y: 0, zoom: 1};
    bind(gl, show, side, unit, gl.TEXTURE_2D, target.values);
    gl.uniform3f(show.at(`${side}View`), target.x, target.y, target.zoom);
    gl.uniform1i(show.at(`${side}Original`), view[side] === fields.length);
    gl.uniform4fv(show.at(`${side}Gain`), new Array(4).fill(field.gain));
    gl.uniform4fv(show.at(`${side}Offset`), [...field.offset, 0, 0, 0].slice(0, 4));
  });
  bind(gl, show, "original", 2, gl.TEXTURE_2D, original);
  gl.uniform2i(show.at("pictureSize"), picture.width, picture.height);
  gl.uniform3f(show.at("view"), view.x, view.y, view.zoom);
  gl.uniform2f(show.at("canvasSize"), canvas.width, canvas.height);
  gl.uniform2f(show.at("shape"), ...shape().reverse());
  gl.uniform1i(show.at("channels"), Math.min(page.channels, page.channels > 4 ? 3 : 4));
  gl.uniform1i(show.at("mode"), view.mode);
  // Beyond the picture, where there is nothing on its other side.
  const divider = view.divider === 1 ? canvas.width + 9 : view.divider * canvas.width || -9;
  gl.uniform1f(show.at("divider"), sides > 1 && view.mode !== 1 ? divider : -9);
  gl.uniform4fv(show.at("ground"), dark.matches ? [0.09, 0.1, 0.11, 1] : [0.955, 0.95, 0.94, 1]);
  gl.uniform1f(show.at("check"), 8 * devicePixelRatio);
  gl.drawArrays(gl.TRIANGLES, 0, 3);
}

// What is done to it -------------------------------------------------------------------------------------------------

function tell() {
  const times = view.zoom / devicePixelRatio;
  const scale = view.mode === 2 ? "; mean error of the colours, black: none, pale: 10 % of the range and more" : "";
  const [rows, columns] = shape(), least = view.zoom <= fitting() * 1.0001;
  // No smaller, and yet not all of it.
  const more = least && (columns * view.zoom > canvas.width + 1 || rows * view.zoom > canvas.height + 1);
  say(`${times < 10 ? times.toFixed(2) : times.toFixed(0)} screen pixels to one of the original${more ?
    ", the rest is beside it: drag" : ""}${scale}`);
}

function move(across, down) {
  const [rows, columns] = shape();
  view.x = Math.min(Math.max(view.x + across / view.zoom, 0), columns - 1);
  view.y = Math.min(Math.max(view.y + down / view.zoom, 0), rows - 1);
  changed();
}

// Zooms about a place of the canvas, which stays where it is.
function zoom(factor, across = canvas.width / 2, down = canvas.height / 2) {
  const before = view.zoom;
  view.zoom = Math.min(Math.max(before * factor, fitting()), 4096);
  if (view.zoom <= fitting() * 1.0001) return whole(), changed();
  move((across - canvas.width / 2) * (view.zoom / before - 1), (down - canvas.height / 2) * (view.zoom / before - 1));
}

function place(event) {
  const box = canvas.getBoundingClientRect(), dense = canvas.width / box.width;
  return [(event.clientX - box.left) * dense, (event.clientY - box.top) * dense];
}

function slide(by) {
  const slider = byId("index");
  if (!slider) return;
  slider.valueAsNumber += by;
  slider.dispatchEvent(new Event("input"));
}

const held = new Map();
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  held.set(event.pointerId, place(event));
});
canvas.addEventListener("pointermove", event => {
  const now = place(event), before = held.get(event.pointerId);
  if (!before) return;
  const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
  const far = (one, two) => Math.hypot(one[0] - two[0], one[1] - two[1]);
  held.set(event.pointerId, now);
  if (other) zoom(far(now, other) / Math.max(far(before, other), 1), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  else move(before[0] - now[0], before[1] - now[1]);
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, event => held.delete(event.pointerId));
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), ...place(event));
}, {passive: false});
canvas.addEventListener("keydown", event => {
  const far = canvas.width / 10, keys = {
    ArrowLeft: () => move(-far, 0), ArrowRight: () => move(far, 0), ArrowUp: () => move(0, -far),
    ArrowDown: () => move(0, far), "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
    0: () => (whole(), changed()), PageUp: () => slide(1), PageDown: () => slide(-1),
    w: () => wipe(view.divider + 0.05), W: () => wipe(view.divider - 0.05), v: () => choose((view.mode + 1) % 3),
  };
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});

function wipe(to) {
  view.divider = Math.min(Math.max(to, 0), 1);
  if (byId("divider")) byId("divider").valueAsNumber = 100 * view.divider;
  draw();
}

function choose(mode) {
  if (!page.original) return;
  view.mode = mode;
  document.querySelectorAll("[name=mode]").forEach(each => each.checked = Number(each.value) === mode);
  changed();
}

function listen(name, then, kind = "input") {
  byId(name)?.addEventListener(kind, event => then(event.target));
}
listen("divider", slider => wipe(slider.valueAsNumber / 100));
listen("in", () => zoom(1.5), "click");
listen("out", () => zoom(1 / 1.5), "click");
listen("all", () => (whole(), changed()), "click");
document.querySelectorAll("[name=mode]").forEach(each => each.addEventListener("change", () => choose(Number(each.value))));
for (const side of ["left", "right"]) listen(side, choice => {
  view[side] = Number(choice.value);
  changed();
});
function label() {
  const rate = view.across === 0 && page.frameRate;
  if (byId("place")) byId("place").textContent = view.index.toFixed(1) + (rate ? `, ${(view.index / rate).toFixed(2)} s` : "");
}
label();
listen("index", slider => {
  view.index = slider.valueAsNumber;
  label();
  changed();
});
listen("across", choice => {
  view.across = Number(choice.value);
  const last = page.shape[view.across] - 1;
  byId("index").max = last;
  byId("index").valueAsNumber = view.index = last / 2;
  slide(0);
  resize();
  whole();
  changed();
});

if (page.original) {
  const image = new Image();
  image.addEventListener("load", () => {
    gl.bindTexture(gl.TEXTURE_2D, original);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    draw();
  });
  image.src = page.original;
}
dark.addEventListener("change", draw);
new ResizeObserver(() => canvas.parentElement.clientWidth && resize()).observe(canvas.parentElement);

// For the console: await winner[0].grid([32, 32]) gives the field's values on a grid over the whole original, in its own
// units, the last axis the fastest, channel after channel.
window.winner = fields.map(field => ({name: field.name, grid: counts => {
  const lines = counts.map((n, axis) => coordinates(Array(n).keys(), n, page.halfExtent[axis]));
  const values = field.evaluator.grid(lines);
  field.evaluator.grids = null;
  return values.map((value, k) =>
    (value / field.gain + field.offset[k % page.channels]) * page.valueScale + page.valueOffset);
}}));

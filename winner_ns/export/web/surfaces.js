"use strict";
// A surface: turned, cut by a plane, and measured between two clicks. It is seen from afar, so that lengths across the
// picture are true.

const canvas = byId("canvas"), marks = byId("marks");
const dark = matchMedia("(prefers-color-scheme: dark)");
const gl = openCanvas(canvas, {antialias: true, alpha: false, preserveDrawingBuffer: true});
const shader = program(gl, byId("surface.frag").textContent, byId("surface.vert").textContent);
const middle = page.low.map((low, axis) => (low + page.high[axis]) / 2);
let radius = 1; // Of the ball about the middle that holds the surface.
const FIRST = {round: 0.7, up: 0.35, zoom: 1, across: 0, down: 0};
const view = {...FIRST, axis: 0, cut: 1, divider: 0.5, left: 0, right: page.fields.length - 1};
let meshes = [], picked = [], waiting = false;

async function unpacked(text) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer()), count = planes.length / 4;
  const numbers = new Uint32Array(count), half = 2 * count;
  for (let k = 0; k < count; k++) {
    // Of each number the lower half, of all of them, then the upper ones; of each half first the low bytes of all.
    const low = planes[k] | planes[half + k] << 8, high = planes[count + k] | planes[half + count + k] << 8;
    const folded = (low | high << 16) >>> 0;
    numbers[k] = folded & 1 ? -((folded + 1) / 2) : folded / 2;
  }
  // Columns of differences to rows of numbers.
  const rows = count / 3, made = new Uint32Array(count);
  for (let c = 0; c < 3; c++) {
    for (let row = 0, sum = 0; row < rows; row++) made[3 * row + c] = sum = sum + numbers[c * rows + row] | 0;
  }
  return made;
}

async function load(field) {
  const [vertices, faces] = [Uint16Array.from(await unpacked(field.vertices)), await unpacked(field.faces)];
  const colours = field.colours && Uint8Array.from(await unpacked(field.colours));
  const held = gl.createVertexArray();
  gl.bindVertexArray(held);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, vertices, gl.STATIC_DRAW);
  const at = gl.getAttribLocation(shader.made, "place");
  gl.enableVertexAttribArray(at);
  gl.vertexAttribPointer(at, 3, gl.UNSIGNED_SHORT, false, 0, 0);
  const colour = gl.getAttribLocation(shader.made, "colour");
  if (colours) {
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, colours, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(colour);
    gl.vertexAttribPointer(colour, 3, gl.UNSIGNED_BYTE, true, 0, 0);
  } else {
    gl.vertexAttrib3f(colour, 0.86, 0.82, 0.75);
  }
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
  return {held, vertices, faces};
}

// Drawing ------------------------------------------------------------------------------------------------------------

// Rows of the rotation: to the right, up, and towards the eye.
function turn() {
  const [c, s, u, v] = [Math.cos(view.round), Math.sin(view.round), Math.cos(view.up), Math.sin(view.up)];
  return [[c, 0, -s], [-v * s, u, -v * c], [u * s, v, u * c]];
}

const scale = () => {
  const size = 0.92 * view.zoom / radius, {width, height} = canvas, least = Math.min(width, height);
  return [size * least / width, size * least / height];
};
const dot = (one, two) => one.reduce((sum, value, k) => sum + value * two[k], 0);

function cut() {
  const normal = [0, 1, 2].map(axis => axis === view.axis ? 1 : 0);
  const from = page.low[view.axis], to = page.high[view.axis];
  return [...normal, view.cut >= 1 ? 1e9 : from + view.cut * (to - from)];
}

function looked() {
  // Moves along the picture go with what is looked at.
  const [right, up] = turn();
  return middle.map((value, axis) => value + view.across * right[axis] + view.down * up[axis]);
}

function draw() {
  waiting = false;
  const box = canvas.parentElement.clientWidth, dense = Math.min(devicePixelRatio, 2);
  const high = Math.round(Math.min(0.8 * box, Math.max(0.66 * innerHeight, 260)));
  if (canvas.width !== Math.round(box * dense) || canvas.height !== Math.round(high * dense)) {
    for (const each of [canvas, marks]) {
      each.style.height = `${high}px`;
      each.width = Math.round(box * dense);
      each.height = Math.round(high * dense);
    }
  }
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.disable(gl.SCISSOR_TEST);
  gl.enable(gl.DEPTH_TEST);
  gl.clearColor(...(dark.matches ? [0.105, 0.113, 0.125, 1] : [0.957, 0.949, 0.933, 1]));
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  if (!meshes.length) return;
  gl.useProgram(shader.made);
  gl.uniform3fv(shader.at("low"), page.low);
  gl.uniform3fv(shader.at("middle"), looked());
  gl.uniform1f(shader.at("stepLength"), page.step);
  gl.uniformMatrix3fv(shader.at("turn"), true, turn().flat());
  gl.uniform2fv(shader.at("scale"), scale());
  gl.uniform4fv(shader.at("cut"), cut());
  gl.uniform3fv(shader.at("inside"), [0.72, 0.34, 0.2]);
  const edge = meshes.length > 1 ? Math.round(view.divider * canvas.width) : canvas.width;
  gl.enable(gl.SCISSOR_TEST);
  for (const [mesh, from, to] of [[meshes[view.left], 0, edge], [meshes[view.right], edge, canvas.width]]) {
    if (to <= from) continue;
    gl.scissor(from, 0, to - from, canvas.height);
    gl.bindVertexArray(mesh.held);
    gl.drawElements(gl.TRIANGLES, mesh.faces.length, gl.UNSIGNED_INT, 0);
  }
  mark(dense, edge);
  canvas.dataset.done = true;
}

// Where a point of the unit cube is on the canvas, in its pixels.
function projected(point) {
  const rows = turn(), from = point.map((value, axis) => value - looked()[axis]), [across, down] = scale();
  return [(1 + dot(rows[0], from) * across) * canvas.width / 2, (1 - dot(rows[1], from) * down) * canvas.height / 2];
}

function mark(dense, edge) {
  const context = marks.getContext("2d");
  context.clearRect(0, 0, marks.width, marks.height);
  context.fillStyle = context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  if (edge < canvas.width) context.fillRect(edge - dense, 0, 2 * dense, canvas.height);
  const places = picked.map(projected);
  for (const [x, y] of places) {
    context.beginPath();
    context.arc(x, y, 4 * dense, 0, 7);
    context.fill();
  }
  context.lineWidth = 1.5 * dense;
  context.beginPath();
  for (const place of places) context.lineTo(...place);
  context.stroke();
  if (!canvas.matches(":focus-visible")) return;
  // Where the keyboard measures.
  const [x, y, arm] = [canvas.width / 2, canvas.height / 2, 8 * dense];
  context.beginPath();
  for (const [across, down] of [[arm, 0], [0, arm]]) {
    context.moveTo(x - across, y - down);
    context.lineTo(x + across, y + down);
  }
  context.stroke();
}

function ask() {
  canvas.dataset.done = false;
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

// Measuring ----------------------------------------------------------------------------------------------------------

// The nearest point of the surface below a place of the canvas, in the unit cube; null beside it.
function below(x, y) {
  const side = meshes.length > 1 && x >= view.divider * canvas.width ? view.right : view.left;
  const {vertices, faces} = meshes[side], rows = turn(), center = looked(), [across, down] = scale();
  const [a, b] = [(2 * x / canvas.width - 1) / across, (1 - 2 * y / canvas.height) / down], plane = cut();
  const seen = new Float64Array(vertices.length);
  for (let k = 0; k < vertices.length; k += 3) {
    const from = [0, 1, 2].map(axis => page.low[axis] + page.step * vertices[k + axis] - center[axis]);
    for (let axis = 0; axis < 3; axis++) seen[k + axis] = dot(rows[axis], from);
  }
  let nearest = -Infinity, found = null;
  for (let k = 0; k < faces.length; k += 3) {
    const [p, q, r] = [3 * faces[k], 3 * faces[k + 1], 3 * faces[k + 2]];
    const area = (seen[q] - seen[p]) * (seen[r + 1] - seen[p + 1]) - (seen[r] - seen[p]) * (seen[q + 1] - seen[p + 1]);
    const u = ((a - seen[p]) * (seen[r + 1] - seen[p + 1]) - (seen[r] - seen[p]) * (b - seen[p + 1])) / area;
    const v = ((seen[q] - seen[p]) * (b - seen[p + 1]) - (a - seen[p]) * (seen[q + 1] - seen[p + 1])) / area;
    if (!(u >= 0 && v >= 0 && u + v <= 1)) continue;
    const depth = seen[p + 2] + u * (seen[q + 2] - seen[p + 2]) + v * (seen[r + 2] - seen[p + 2]);
    if (depth <= nearest) continue;
    const point = [0, 1, 2].map(axis => center[axis] + a * rows[0][axis] + b * rows[1][axis] + depth * rows[2][axis]);
    if (dot(plane.slice(0, 3), point) <= plane[3]) [nearest, found] = [depth, point];
  }
  return found;
}

const original = point => point.map((value, axis) => value * page.scale + page.center[axis]);
const distance = () => Math.hypot(...picked[0].map((value, axis) => (picked[1][axis] - value) * page.scale));
const short = value => Number(value.toPrecision(4)).toString();

function pick(x, y) {
  const point = below(x, y);
  if (!point) picked = [];
  else picked = picked.length === 1 ? [picked[0], point] : [point];
  tell();
  ask();
}

function tell() {
  if (!picked.length) return say("Click two points to measure, or press enter at two");
  const place = original(picked[picked.length - 1]).map(short).join(", ");
  say(picked.length === 2 ? `${short(distance())} apart; second point at ${place}` : `First point at ${place}`);
}

// What is done to it -------------------------------------------------------------------------------------------------

function rotate(round, up) {
  view.round += round;
  view.up = Math.min(Math.max(view.up + up, -Math.PI / 2), Math.PI / 2);
  ask();
}

// Moves what is looked at, by pixels of the page.
function move(across, down) {
  const unit = 2 * radius / (0.92 * view.zoom * Math.min(canvas.clientWidth, canvas.clientHeight));
  view.across += across * unit;
  view.down += down * unit;
  ask();
}

function zoom(factor) {
  view.zoom = Math.min(Math.max(view.zoom * factor, 0.5), 200);
  ask();
}

function cutAt(to) {
  view.cut = Math.min(Math.max(to, 0), 1);
  byId("cut").valueAsNumber = 100 * view.cut;
  byId("place").textContent = view.cut >= 1 ? "none" : short(original([0, 1, 2].map(axis =>
    page.low[axis] + view.cut * (page.high[axis] - page.low[axis])))[view.axis]);
  ask();
}

function wipe(to) {
  view.divider = Math.min(Math.max(to, 0), 1);
  if (byId("divider")) byId("divider").valueAsNumber = 100 * view.divider;
  ask();
}

const first = () => (Object.assign(view, FIRST), picked = [], tell(), ask());
const held = new Map();
let moved = 0;
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  if (!held.size) moved = 0;
  held.set(event.pointerId, [event.clientX, event.clientY]);
});
canvas.addEventListener("pointermove", event => {
  const now = [event.clientX, event.clientY], before = held.get(event.pointerId);
  if (!before) return;
  const other = [...held].find(([id]) => id !== event.pointerId)?.[1], box = canvas.clientHeight;
  const far = (one, two) => Math.hypot(one[0] - two[0], one[1] - two[1]);
  held.set(event.pointerId, now);
  moved += far(now, before) + (other ? 99 : 0);
  const [across, down] = [now[0] - before[0], now[1] - before[1]];
  if (other) zoom(far(now, other) / Math.max(far(before, other), 1));
  if (other) move(-across / 2, down / 2);
  else if (event.shiftKey || event.buttons & 6) move(-across, down);
  else rotate(-across * 4 / box, down * 4 / box);
});
canvas.addEventListener("pointerup", event => {
  held.delete(event.pointerId);
  const box = canvas.getBoundingClientRect(), dense = canvas.width / box.width;
  if (moved < 5 && event.button === 0) pick((event.clientX - box.left) * dense, (event.clientY - box.top) * dense);
});
canvas.addEventListener("pointercancel", event => held.delete(event.pointerId));
canvas.addEventListener("contextmenu", event => event.preventDefault());
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)));
}, {passive: false});
canvas.addEventListener("keydown", event => {
  const far = canvas.clientHeight / 50, arrow = (across, down) =>
    event.shiftKey ? move(across * far, down * far) : rotate(-0.1 * across, 0.1 * down);
  const keys = {
    ArrowLeft: () => arrow(-1, 0), ArrowRight: () => arrow(1, 0), ArrowUp: () => arrow(0, 1), ArrowDown: () => arrow(0, -1),
    Enter: () => pick(canvas.width / 2, canvas.height / 2), "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: first,
    PageUp: () => cutAt(view.cut + 0.02), PageDown: () => cutAt(view.cut - 0.02),
    w: () => wipe(view.divider + 0.05), W: () => wipe(view.divider - 0.05),
  };
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});
const listen = (name, kind, then) => byId(name)?.addEventListener(kind, event => then(event.target));
listen("in", "click", () => zoom(1.25));
listen("out", "click", () => zoom(0.8));
listen("all", "click", first);
listen("cut", "input", slider => cutAt(slider.valueAsNumber / 100));
listen("axis", "input", choice => (view.axis = Number(choice.value), cutAt(view.cut)));
listen("divider", "input", slider => wipe(slider.valueAsNumber / 100));
for (const side of ["left", "right"]) listen(side, "input", choice => (view[side] = Number(choice.value), ask()));
dark.addEventListener("change", ask);
for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, ask);
new ResizeObserver(ask).observe(canvas.parentElement);
tell();
Promise.all(page.fields.map(load)).then(loaded => {
  meshes = loaded;
  radius = Math.max(...meshes.map(({vertices}) => vertices.reduce((most, _, k) => k % 3 ? most : Math.max(most,
    Math.hypot(...middle.map((value, axis) => page.low[axis] + page.step * vertices[k + axis] - value))), 0)));
  ask();
}).catch(error => complain(`The surface cannot be unpacked here (${error.message}).`));

// For the console: the points that were clicked, and the meshes.
window.winner = {get picked() { return picked.map(original); }, get meshes() { return meshes; }};

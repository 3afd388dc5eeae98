"use strict";
// Evaluates networks of dense layers by WebGL 2, on grids of points, piece by piece.

const WIDTH = 1024; // Points of each texture, at most.
const byId = name => document.getElementById(name);
const page = JSON.parse(byId("data").textContent);

function bytes(text) {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer;
}

function say(text) {
  byId("status").textContent = text;
}

// What goes wrong is said once, as all else follows from that.
function complain(text) {
  if (!byId("problem").hidden) return;
  byId("problem").textContent = text;
  byId("problem").hidden = false;
}

// Browsers call it an error, too, that a size has to be looked at again; there is none then.
addEventListener("error", event => event.error && complain(`This page does not work in this browser (${event.error.message}).`));

function openCanvas(canvas, options) {
  const gl = canvas.getContext("webgl2", options);
  if (!gl) complain("This browser does not offer WebGL 2, which this page draws with.");
  canvas.addEventListener("webglcontextlost", () => complain("The browser has taken the graphics away: reload the page."));
  return gl;
}

// Layers of many fields have the same program.
function program(gl, fragment, vertex = "#version 300 es\nvoid main() {" +
  " gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }") {
  const known = gl.programs ??= new Map(), text = fragment + vertex;
  if (!known.has(text)) known.set(text, compiled(gl, fragment, vertex));
  return known.get(text);
}

function compiled(gl, fragment, vertex) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  const places = {};
  const at = name => places[name] ??= gl.getUniformLocation(made, name);
  return {made, at};
}

function texture(gl, kind, internal, width, height, format, type, data, layers = 0) {
  const made = gl.createTexture();
  gl.bindTexture(kind, made);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(kind, name, gl.NEAREST);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(kind, name, gl.CLAMP_TO_EDGE);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  if (layers) gl.texStorage3D(kind, 1, internal, width, height, layers);
  else gl.texImage2D(kind, 0, internal, width, height, 0, format, type, data);
  return made;
}

function bind(gl, shader, name, unit, kind, which) {
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(kind, which);
  gl.uniform1i(shader.at(name), unit);
}

class Evaluator {
  // gl: a context; layers: of the page's data.
  constructor(gl, layers) {
    this.gl = gl;
    this.channels = layers[layers.length - 1].outputs;
    this.rows = Math.max(...layers.map(layer => Math.ceil(layer.outputs / 4)));
    // What is drawn to is read before the next field is evaluated, so that fields share it.
    const shared = gl.shared ??= new Map();
    if (!shared.has(this.rows)) {
      // Old telephones have no room for four textures at a time.
      for (this.points of [4, 1]) {
        this.targets = [this.target(), this.target()];
        if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) === gl.FRAMEBUFFER_COMPLETE) break;
      }
      shared.set(this.rows, {points: this.points, targets: this.targets});
    }
    Object.assign(this, shared.get(this.rows));
    this.layers = layers.map((layer, number) => this.layer(layer, number === 0));
    this.lines = gl.createTexture();
    this.most = WIDTH * this.points;
  }

  target() {
    const {gl} = this, kind = gl.TEXTURE_2D_ARRAY;
    const values = texture(gl, kind, gl.RGBA32UI, WIDTH, this.rows, 0, 0, null, this.points);
    const frame = gl.createFramebuffer(), all = [];
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    for (let point = 0; point < this.points; point++) {
      all.push(gl.COLOR_ATTACHMENT0 + point);
      gl.framebufferTextureLayer(gl.FRAMEBUFFER, all[point], values, 0, point);
    }
    gl.drawBuffers(all);
    return {values, frame};
  }

  layer(layer, first) {
    const {gl} = this, blocks = Math.ceil(layer.inputs / 4), rows = Math.ceil(layer.outputs / 4);
    const [Numbers, internal, format, type] = {
      32: [Float32Array, gl.RGBA32F, gl.RGBA, gl.FLOAT],
      16: [Int16Array, gl.RGBA16I, gl.RGBA_INTEGER, gl.SHORT],
      8: [Int8Array, gl.RGBA8I, gl.RGBA_INTEGER, gl.BYTE],
    }[layer.bits];
    const given = new Numbers(bytes(layer.weights)), weights = new Numbers(16 * rows * blocks);
    for (let row = 0; row < layer.outputs; row++) {
      weights.set(given.subarray(row * layer.inputs, (row + 1) * layer.inputs), 4 * row * blocks);
    }
    const bias = new Float32Array(bytes(layer.bias)), offsets = new Float32Array(8 * rows);
    const scales = layer.scales ? new Float32Array(bytes(layer.scales)) : null;
    for (let row = 0; row < layer.outputs; row++) {
      offsets[8 * (row >> 2) + (row & 3)] = bias[row];
      offsets[8 * (row >> 2) + 4 + (row & 3)] = scales ? scales[row] : 1;
    }
    const source = `#version 300 es
#define POINTS ${this.points}
${first ? "#define FIRST" : ""}
${layer.bits < 32 ? "#define QUANTISED" : ""}
precision highp float;
${byId("sine.glsl").textContent}
float activation(float z, int i) { return ${layer.activation}; }
${byId("layer.frag").textContent}`;
    return {
      shader: program(gl, source), rows, blocks, first,
      weights: texture(gl, gl.TEXTURE_2D, internal, blocks, 4 * rows, format, type, weights),
      offsets: texture(gl, gl.TEXTURE_2D, gl.RGBA32F, 2, rows, gl.RGBA, gl.FLOAT, offsets),
    };
  }

  // Sets the grid: an array of coordinates for each axis, the last one the fastest.
  setGrid(lines) {
    const {gl} = this, longest = Math.max(...lines.map(line => line.length));
    const all = new Float32Array(longest * lines.length);
    lines.forEach((line, axis) => all.set(line, axis * longest));
    gl.deleteTexture(this.lines);
    this.lines = texture(gl, gl.TEXTURE_2D, gl.R32F, longest, lines.length, gl.RED, gl.FLOAT, all);
    this.counts = lines.map(line => line.length);
  }

  // Evaluates points start, start + 1, … of the grid, `most` of them at most. Their values are in `values`: of point p
  // at (p % columns, p / columns). Of points that are `widths` wide, along two axes of a grid at most, all samples
  // (samples * samples) are points of their own.
  draw(start, count, samples = 1, widths = []) {
    const {gl} = this;
    this.columns = Math.ceil(count / this.points);
    gl.disable(gl.SCISSOR_TEST);
    for (const [number, layer] of this.layers.entries()) {
      const {shader} = layer, before = this.targets[(number + 1) % 2], target = this.targets[number % 2];
      gl.useProgram(shader.made);
      gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
      gl.viewport(0, 0, this.columns, layer.rows);
      gl.uniform1i(shader.at("blocks"), layer.blocks);
      gl.uniform1i(shader.at("columns"), this.columns);
      bind(gl, shader, "weights", 0, gl.TEXTURE_2D, layer.weights);
      bind(gl, shader, "offsets", 1, gl.TEXTURE_2D, layer.offsets);
      if (layer.first) {
        bind(gl, shader, "lines", 2, gl.TEXTURE_2D, this.lines);
        gl.uniform4iv(shader.at("counts"), [...this.counts, 1, 1, 1].slice(0, 4));
        gl.uniform1i(shader.at("axes"), this.counts.length);
        gl.uniform1i(shader.at("start"), start);
        gl.uniform1i(shader.at("samples"), samples);
        gl.uniform4fv(shader.at("widths"), [...widths, 0, 0, 0, 0].slice(0, 4));
      } else bind(gl, shader, "before", 3, gl.TEXTURE_2D_ARRAY, before.values);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      this.last = target;
    }
    // What is drawn to must not be bound as what is read.
    gl.activeTexture(gl.TEXTURE3);
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, null);
    return this.last.values;
  }

  // The values of what was drawn last, [count, channels]; waits for them.
  read(count) {
    const {gl, channels} = this, rows = Math.ceil(channels / 4), values = new Float32Array(count * channels);
    const bits = new Uint32Array(4 * this.columns * rows), floats = new Float32Array(bits.buffer);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.last.frame);
    for (let point = 0; point < this.points; point++) {
      gl.readBuffer(gl.COLOR_ATTACHMENT0 + point);
      gl.readPixels(0, 0, this.columns, rows, gl.RGBA_INTEGER, gl.UNSIGNED_INT, bits);
      for (let column = 0; column < this.columns; column++) {
        const number = point * this.columns + column;
        for (let c = 0; c < channels && number < count; c++) {
          values[number * channels + c] = floats[4 * ((c >> 2) * this.columns + column) + (c & 3)];
        }
      }
    }
    return values;
  }

  // The network's values on a whole grid, [points, channels].
  grid(lines) {
    this.setGrid(lines);
    const total = this.counts.reduce((product, n) => product * n, 1), values = new Float32Array(total * this.channels);
    for (let start = 0; start < total; start += this.most) {
      const count = Math.min(this.most, total - start);
      this.draw(start, count);
      values.set(this.read(count), start * this.channels);
    }
    return values;
  }
}

// How much is asked of the graphics in one go: more where it is done soon, less where it takes long, so that no page
// hangs. `step(points)` gives how many points it has drawn.
class Pace {
  constructor(gl, most) {
    Object.assign(this, {gl, most, points: 1024, fence: null});
  }

  // Whether what was asked for last is done.
  get ready() {
    const {gl} = this;
    if (!this.fence) return true;
    if (gl.clientWaitSync(this.fence, gl.SYNC_FLUSH_COMMANDS_BIT, 0) === gl.TIMEOUT_EXPIRED) return false;
    gl.deleteSync(this.fence);
    this.fence = null;
    const took = performance.now() - this.asked;
    if (took < 40) this.points = Math.min(2 * this.points, this.most);
    else if (took > 120) this.points = Math.max(this.points >> 1, 64);
    return true;
  }

  begun() {
    this.asked = performance.now();
    this.fence = this.gl.fenceSync(this.gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    this.gl.flush();
  }
}

// A line of coordinates: those of the places `at` (numbers of samples) along an axis of n samples.
function coordinates(at, n, extent) {
  return Float32Array.from(at, place => extent * (place * (2 / Math.max(n - 1, 1)) - 1));
}

"use strict";
// A sound: all of its samples are evaluated, seen as waveform and spectrogram, and played.

const FRAME = 1024; // Samples of a spectrum.
const canvas = byId("canvas"), image = byId("spectrogram");
const dark = matchMedia("(prefers-color-scheme: dark)");
const gl = openCanvas(document.createElement("canvas"), {});
const fields = page.fields.map(field => ({...field, evaluator: new Evaluator(gl, field.layers), done: 0,
  samples: new Float32Array(page.count * page.channels)}));
const sources = [...fields];
if (page.original) {
  const samples = Float32Array.from(new Int16Array(bytes(page.original)), number => number * page.originalStep);
  sources.push({name: "original", samples, done: page.count});
  for (const field of fields) {
    field.error = {name: field.name, samples: new Float32Array(samples.length), get done() { return field.done; }};
    sources.push(field.error);
  }
}
const pace = new Pace(gl, 2 ** 16);
// What is seen, in samples, and of what, left and right of the divider; and the moment that is meant. The left one is
// heard.
const several = fields.length > 1;
const view = {source: 0, right: several ? fields.length - 1 : sources.length > 1 ? 1 : 0, divider: several ? 0.5 : 1,
  from: 0, to: page.count, at: 0};
let playing = null;

// Samples of a source, before reading what was drawn has to be waited for.
function evaluate() {
  const source = fields.find(each => each.done < page.count);
  canvas.dataset.done = !source;
  byId("play").disabled = sources[view.source].done < page.count;
  if (!source) return byId("progress").textContent = "";
  if (source.asked) {
    if (!pace.ready) return requestAnimationFrame(evaluate);
    const {evaluator, done, asked} = source, values = evaluator.read(asked);
    for (let k = 0; k < values.length; k++) {
      const at = done * page.channels + k;
      source.samples[at] = values[k] * source.factor + source.shift[k % page.channels];
      if (source.error) source.error.samples[at] = source.samples[at] - sources[fields.length].samples[at];
    }
    source.done += asked;
    source.asked = 0;
    const total = fields.reduce((sum, each) => sum + each.done, 0);
    byId("progress").textContent = `, ${Math.floor(100 * total / fields.length / page.count)} % evaluated`;
    const now = performance.now();
    if (source.done === page.count || now - (evaluate.drawn ?? 0) > 500) {
      evaluate.drawn = now;
      draw();
    }
  } else {
    const count = Math.min(pace.points, source.evaluator.most, page.count - source.done);
    const at = Array.from({length: count}, (_, k) => source.done + k);
    source.evaluator.setGrid([coordinates(at, page.count, page.extent)]);
    source.evaluator.draw(0, count);
    source.asked = count;
    pace.begun();
  }
  requestAnimationFrame(evaluate);
}

// Drawing ------------------------------------------------------------------------------------------------------------

const style = name => getComputedStyle(document.documentElement).getPropertyValue(name);

function sized(target, height) {
  const dense = Math.min(devicePixelRatio, 2), width = target.parentElement.clientWidth;
  target.style.height = `${height}px`;
  target.width = Math.round(width * dense);
  target.height = Math.round(height * dense);
  const context = target.getContext("2d");
  context.scale(dense, dense);
  return {context, width, height};
}

// Draws by `paint` what is seen, left and right of the divider, and the moment.
function drawn(target, height, paint) {
  const {context, width} = sized(target, height), edge = view.divider * width, sides = shown();
  sides.forEach((source, k) => {
    context.save();
    context.beginPath();
    context.rect(k ? edge : 0, 0, k || sides.length === 1 ? width : edge, height);
    context.clip();
    context.drawImage(painted(target, width, height, paint, source), 0, 0, width, height);
    context.restore();
  });
  if (sides.length > 1) {
    context.fillStyle = style("--accent");
    context.fillRect(edge - 1, 0, 2, height);
  }
  context.fillStyle = style("--ink");
  context.fillRect((position() - view.from) / (view.to - view.from) * width - 0.5, 0, 1.5, height);
}

// What does not change while a sound is played or the divider is moved, or what that was before.
function painted(target, width, height, paint, source) {
  const all = shown(), known = (source.painted ??= new Map()).get(target);
  const of = [view.from, view.to, target.width, target.height, dark.matches, ...all.map(each => each.done)].join();
  if (known?.of === of && all.every(each => known.all.includes(each))) return known.picture;
  const picture = known?.picture ?? document.createElement("canvas");
  [picture.width, picture.height] = [target.width, target.height];
  const context = picture.getContext("2d");
  context.scale(target.width / width, target.height / height);
  paint(context, width, height, source);
  source.painted.set(target, {of, all, picture});
  return picture;
}

// What is seen, from the left to the right: of what is drawn over by the other, nothing.
function shown() {
  const [left, right] = [sources[view.source], sources[view.right]];
  return left === right || view.divider === 1 ? [left] : view.divider === 0 ? [right] : [left, right];
}

function draw() {
  if (!canvas.parentElement.clientWidth) return;
  reveal();
  drawn(canvas, 200, waveform);
  drawn(image, 180, spectrogram);
  tell();
}

// Moves the part that is seen to the moment, where that has left it.
function reveal() {
  const length = view.to - view.from, at = position();
  if (at >= view.from && at <= view.to) return;
  view.from = Math.min(Math.max(at - 0.1 * length, 0), page.count - length);
  view.to = view.from + length;
}

function waveform(context, width, height, {samples, done}) {
  const {from, to} = view, step = page.channels;
  // The same height for all, that of the loudest.
  const loudest = sources.reduce((most, each) => {
    for (let k = 0; k < each.done * step; k += step) most = Math.max(most, Math.abs(each.samples[k]));
    return most;
  }, 1e-6);
  const across = sample => (sample - from) / (to - from) * width, down = value => height / 2 * (1 - 0.94 * value / loudest);
  context.strokeStyle = style("--line");
  context.fillStyle = style("--soft");
  context.font = "11px sans-serif";
  context.lineWidth = 1;
  for (const [seconds, written] of ticks(from / page.rate, to / page.rate, width / 90)) {
    const x = across(seconds * page.rate);
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.stroke();
    context.fillText(written, x + 3, height - 4);
  }
  context.strokeStyle = style("--wave");
  context.beginPath();
  const last = Math.min(Math.ceil(to), done - 1);
  if (to - from < 2 * width) {
    for (let k = Math.max(0, Math.floor(from)); k <= last; k++) context.lineTo(across(k), down(samples[k * step]));
    context.lineWidth = 1.5;
  } else {
    for (let x = 0; x < width; x++) {
      const start = Math.floor(from + x / width * (to - from)), end = from + (x + 1) / width * (to - from);
      let low = Infinity, high = -Infinity;
      for (let k = start; k <= Math.min(end, last); k++) {
        low = Math.min(low, samples[k * step]);
        high = Math.max(high, samples[k * step]);
      }
      if (low > high) break;
      context.moveTo(x + 0.5, down(high) - 0.5);
      context.lineTo(x + 0.5, down(low) + 0.5);
    }
  }
  context.stroke();
}

// Round numbers between two, so many at most.
function ticks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1), power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(times => times * power >= rough), places = Math.max(0, -Math.floor(Math.log10(step)));
  const found = [];
  for (let k = Math.ceil(low / step); k * step < high; k++) found.push([k * step, (page.start + k * step).toFixed(places)]);
  return found;
}

// Levels in dB of a source, frequency by frequency from 0 on, and the highest of them; or what was found before.
function spectra(source, columns, length) {
  const {from, to} = view, {samples, done} = source, of = [from, to, done, columns].join();
  if (source.spectra?.of === of) return source.spectra;
  const levels = new Float32Array(columns * length / 2).fill(-200);
  let top = -120;
  for (let column = 0; column < columns; column++) {
    const middle = from + (column + 0.5) / columns * (to - from);
    const first = Math.min(Math.max(Math.round(middle - length / 2), 0), page.count - length);
    if (first + length > done) break;
    const real = new Float64Array(length), imaginary = new Float64Array(length);
    for (let k = 0; k < length; k++) {
      real[k] = samples[(first + k) * page.channels] * (0.5 - 0.5 * Math.cos(2 * Math.PI * k / length));
    }
    transform(real, imaginary);
    for (let k = 0; k < length / 2; k++) {
      const level = 10 * Math.log10(Math.max((real[k] ** 2 + imaginary[k] ** 2) * (4 / length) ** 2, 1e-20));
      levels[k * columns + column] = level;
      top = Math.max(top, level);
    }
  }
  return source.spectra = {of, levels, top};
}

function spectrogram(context, width, height, source) {
  const columns = Math.min(Math.round(width), 600), length = Math.min(FRAME, 2 ** Math.floor(Math.log2(page.count)));
  const {levels} = spectra(source, columns, length), picture = new ImageData(columns, length / 2);
  // What stands side by side has the same colours.
  const top = Math.max(...shown().map(each => spectra(each, columns, length).top));
  for (let k = 0; k < length / 2; k++) {
    for (let column = 0; column < columns; column++) {
      const t = Math.min(Math.max((levels[k * columns + column] - top) / 90 + 1, 0), 1);
      picture.data.set(heat(t), 4 * ((length / 2 - 1 - k) * columns + column));
    }
  }
  const small = new OffscreenCanvas(columns, length / 2);
  small.getContext("2d").putImageData(picture, 0, 0);
  context.drawImage(small, 0, 0, width, height);
  Object.assign(context, {font: "11px sans-serif", fillStyle: "#fff", strokeStyle: "#000", lineWidth: 3, lineJoin: "round"});
  for (const part of [0.25, 0.5, 0.75]) {
    const text = [`${(part * page.rate / 2000).toFixed(1)} kHz`, 4, height * (1 - part) + 4];
    context.strokeText(...text);
    context.fillText(...text);
  }
}

// From black by violet and orange to a pale yellow.
function heat(t) {
  const stops = [[0, 0, 5], [114, 26, 128], [242, 102, 89], [252, 247, 191]], at = Math.min(3 * t, 2.999), k = Math.floor(at);
  return [0, 1, 2].map(c => stops[k][c] + (at - k) * (stops[k + 1][c] - stops[k][c])).concat(255);
}

// The discrete Fourier transform of 2^n numbers, in place.
function transform(real, imaginary) {
  const n = real.length;
  for (let k = 0, turned = 0; k < n; k++) {
    if (k < turned) {
      [real[k], real[turned]] = [real[turned], real[k]];
      [imaginary[k], imaginary[turned]] = [imaginary[turned], imaginary[k]];
    }
    let bit = n >> 1;
    for (; bit && turned & bit; bit >>= 1) turned ^= bit;
    turned |= bit;
  }
  for (let half = 1; half < n; half *= 2) {
    for (let k = 0; k < half; k++) {
      const c = Math.cos(Math.PI * k / half), s = -Math.sin(Math.PI * k / half);
      for (let one = k; one < n; one += 2 * half) {
        const two = one + half, re = c * real[two] - s * imaginary[two], im = c * imaginary[two] + s * real[two];
        real[two] = real[one] - re;
        imaginary[two] = imaginary[one] - im;
        real[one] += re;
        imaginary[one] += im;
      }
    }
  }
}

// Playing ------------------------------------------------------------------------------------------------------------

function position() {
  if (!playing) return view.at;
  return Math.min(playing.at + (playing.context.currentTime - playing.since) * page.rate, page.count);
}

function play() {
  if (sources[view.source].done < page.count) return;
  // Rates that every browser takes; what has another is played so much faster or slower.
  const context = play.context ??= new AudioContext(), rate = Math.min(Math.max(page.rate, 8000), 96000);
  if (play.source !== view.source) {
    play.buffer = context.createBuffer(page.channels, page.count, rate);
    for (let c = 0; c < page.channels; c++) {
      play.buffer.copyToChannel(sources[view.source].samples.filter((_, k) => k % page.channels === c), c);
    }
    play.source = view.source;
  }
  const node = context.createBufferSource();
  node.buffer = play.buffer;
  node.playbackRate.value = page.rate / rate;
  node.connect(context.destination);
  if (view.at >= page.count - 1) view.at = 0;
  context.resume();
  node.start(0, view.at / rate);
  playing = {context, node, at: view.at, since: context.currentTime};
  node.addEventListener("ended", () => playing?.node === node && stop(true));
  byId("play").textContent = "stop";
  follow();
}

function stop(ended = false) {
  if (!playing) return;
  view.at = ended ? 0 : position();
  const {node} = playing;
  playing = null;
  node.stop();
  byId("play").textContent = "play";
  draw();
}

function follow() {
  if (!playing) return;
  draw();
  setTimeout(() => requestAnimationFrame(follow), 80);
}

function seek(to) {
  const was = playing;
  if (was) stop();
  view.at = Math.min(Math.max(to, 0), page.count - 1);
  if (was) play();
  draw();
}

function zoom(factor) {
  const length = Math.min(Math.max((view.to - view.from) / factor, 32), page.count), middle = position();
  view.from = Math.min(Math.max(middle - length / 2, 0), page.count - length);
  view.to = view.from + length;
  draw();
}

function wipe(to) {
  view.divider = Math.min(Math.max(to, 0), 1);
  if (byId("divider")) byId("divider").valueAsNumber = 100 * view.divider;
  draw();
}

function tell() {
  say(`${(page.start + view.at / page.rate).toFixed(3)} s of ${(page.start + page.count / page.rate).toFixed(2)} s`);
}

for (const target of [canvas, image]) {
  target.addEventListener("pointerdown", event => {
    const box = target.getBoundingClientRect();
    seek(view.from + (event.clientX - box.left) / box.width * (view.to - view.from));
  });
  target.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)));
  }, {passive: false});
}
const toggle = () => playing ? stop() : play();
canvas.addEventListener("keydown", event => {
  const far = (view.to - view.from) / 20, keys = {
    " ": toggle, ArrowLeft: () => seek(position() - far), ArrowRight: () => seek(position() + far), "+": () => zoom(1.5),
    "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: () => zoom(0), Home: () => seek(0), End: () => seek(page.count),
    w: () => wipe(view.divider + 0.05), W: () => wipe(view.divider - 0.05),
  };
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});
byId("play").addEventListener("click", toggle);
byId("divider")?.addEventListener("input", event => wipe(event.target.valueAsNumber / 100));
byId("right")?.addEventListener("change", event => {
  view.right = Number(event.target.value);
  draw();
});
byId("in").addEventListener("click", () => zoom(1.5));
byId("out").addEventListener("click", () => zoom(1 / 1.5));
byId("all").addEventListener("click", () => zoom(0));
document.querySelectorAll("[name=source]").forEach(each => each.addEventListener("change", () => {
  const was = playing;
  if (was) stop();
  view.source = Number(each.value);
  byId("play").disabled = sources[view.source].done < page.count;
  if (was) play();
  draw();
}));
dark.addEventListener("change", draw);
new ResizeObserver(draw).observe(canvas.parentElement);
evaluate();

// For the console: winner[0].samples are a field's samples, 1 at full scale, channel after channel.
window.winner = sources;

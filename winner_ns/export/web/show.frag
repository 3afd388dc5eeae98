#version 300 es
// The pictures of one or two fields as colours, or the original in the place of one or both, or their errors.
precision highp float;
precision highp int;
uniform highp usampler2D left, right;
uniform vec3 leftView, rightView;  // Where each was painted: the middle in pixels of the original, and the zoom.
uniform vec4 leftGain, rightGain, leftOffset, rightOffset;  // From the network's values to [-1, 1].
uniform bool leftOriginal, rightOriginal;  // Whether the original stands there.
uniform ivec2 pictureSize;
uniform vec3 view;
uniform vec2 canvasSize, shape;    // The original's width and height.
uniform int channels, mode;        // 0 the field, 1 the original, 2 the error.
uniform sampler2D original;
uniform float divider;             // Pixels from the left.
uniform vec4 ground;
uniform float check;               // Pixels of a square behind what is transparent.
out vec4 colour;

vec4 normalised(highp usampler2D picture, vec3 painted, vec4 gain, vec4 offset, vec2 place, out bool there) {
  ivec2 at = ivec2(floor((place - painted.xy) * painted.z + 0.5 * vec2(pictureSize)));
  there = all(greaterThanEqual(at, ivec2(0))) && all(lessThan(at, pictureSize));
  uvec4 bits = texelFetch(picture, clamp(at, ivec2(0), pictureSize - 1), 0);
  there = there && bits != uvec4(0xffffffffu);  // As it was cleared.
  return uintBitsToFloat(bits) / gain + offset;
}

vec4 rgba(vec4 value) {
  vec4 light = clamp(0.5 * value + 0.5, 0.0, 1.0);
  if (channels == 1) return vec4(light.rrr, 1.0);
  if (channels == 2) return vec4(light.rrr, light.g);
  return channels == 4 ? light : vec4(light.rgb, 1.0);
}

vec3 heat(float t) {
  t = clamp(t, 0.0, 1.0);
  vec3 low = mix(vec3(0.0, 0.0, 0.02), vec3(0.45, 0.1, 0.5), min(3.0 * t, 1.0));
  vec3 high = mix(vec3(0.95, 0.4, 0.35), vec3(0.99, 0.97, 0.75), clamp(3.0 * t - 2.0, 0.0, 1.0));
  return mix(low, high, clamp(3.0 * t - 1.0, 0.0, 1.0));
}

void main() {
  vec2 pixel = vec2(gl_FragCoord.x, canvasSize.y - gl_FragCoord.y);
  vec2 place = view.xy + (pixel - 0.5 * canvasSize) / view.z;
  colour = ground;
  if (any(lessThan(place, vec2(-0.5))) || any(greaterThanEqual(place, shape - 0.5))) return;
  bool leftThere, rightThere;
  vec4 leftValue = normalised(left, leftView, leftGain, leftOffset, place, leftThere);
  vec4 rightValue = normalised(right, rightView, rightGain, rightOffset, place, rightThere);
  bool onLeft = pixel.x < divider;
  bool asItWas = mode == 1 || (onLeft ? leftOriginal : rightOriginal);
  if (!asItWas && !(onLeft ? leftThere : rightThere)) return;
  vec4 pixels = texelFetch(original, ivec2(floor(place + 0.5)), 0);
  // Of which several go into one of the screen.
  if (mode != 2 && view.z < 1.0) pixels = textureLod(original, (place + 0.5) / shape, -log2(view.z));
  vec4 own = asItWas ? pixels : rgba(onLeft ? leftValue : rightValue);
  vec2 squares = floor(gl_FragCoord.xy / check);
  vec3 behind = vec3(mod(squares.x + squares.y, 2.0) < 0.5 ? 0.92 : 0.78);
  colour = vec4(mix(behind, own.rgb, own.a), 1.0);
  // White is a tenth of the range.
  if (mode == 2) colour = vec4(heat(10.0 * dot(abs(own.rgb - pixels.rgb), vec3(1.0 / 3.0))), 1.0);
  if (abs(pixel.x - divider) < 1.0) colour = vec4(1.0);
}

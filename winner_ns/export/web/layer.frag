// One layer of the network, of four neurons (gl_FragCoord.y) at POINTS points (gl_FragCoord.x, and one of each texture).
// Before it stand what layer this is (FIRST, QUANTISED, POINTS), and its activation, float activation(float z, int i).
precision highp float;
precision highp int;

// Of each neuron a row, four inputs to a texel.
#ifdef QUANTISED
uniform highp isampler2D weights;
#else
uniform highp sampler2D weights;
#endif
uniform highp sampler2D offsets;  // Biases, and in the next column what whole numbers are multiplied by.
uniform int blocks;               // Texels of a row of weights.
uniform int columns;              // Points of each texture.

#ifdef FIRST
// The points are those of a grid: along each axis a line of coordinates, the last axis the fastest.
uniform highp sampler2D lines;
uniform ivec4 counts;
uniform int axes;
uniform int start;
uniform int samples;  // Along each axis that a point is wide along; they come one after the other.
uniform vec4 widths;
vec4 entering(int point, int block) {
  vec4 place = vec4(0.0);
  int number = start + point * columns + int(gl_FragCoord.x), part = number % (samples * samples);
  number /= samples * samples;
  for (int axis = axes - 1; axis >= 0; axis--) {
    place[axis] = texelFetch(lines, ivec2(number % counts[axis], axis), 0).r;
    number /= counts[axis];
    if (widths[axis] == 0.0) continue;
    place[axis] += widths[axis] * ((float(part % samples) + 0.5) / float(samples) - 0.5);
    part /= samples;
  }
  return place;
}
#else
// Of each point four neurons of the layer before to a texel, as the bits of floats: whole numbers can be drawn to on
// every machine, and floats not.
uniform highp usampler2DArray before;
vec4 entering(int point, int block) {
  return uintBitsToFloat(texelFetch(before, ivec3(int(gl_FragCoord.x), block, point), 0));
}
#endif

layout(location = 0) out uvec4 values0;
#if POINTS > 1
layout(location = 1) out uvec4 values1;
layout(location = 2) out uvec4 values2;
layout(location = 3) out uvec4 values3;
#endif

uvec4 leaving(vec4 z, int neuron) {
  return floatBitsToUint(vec4(
    activation(z.x, neuron), activation(z.y, neuron + 1), activation(z.z, neuron + 2), activation(z.w, neuron + 3)));
}

void main() {
  int neuron = 4 * int(gl_FragCoord.y);
  vec4 sums[POINTS];
  for (int point = 0; point < POINTS; point++) sums[point] = vec4(0.0);
  for (int block = 0; block < blocks; block++) {
    mat4 rows = mat4(
      vec4(texelFetch(weights, ivec2(block, neuron), 0)), vec4(texelFetch(weights, ivec2(block, neuron + 1), 0)),
      vec4(texelFetch(weights, ivec2(block, neuron + 2), 0)), vec4(texelFetch(weights, ivec2(block, neuron + 3), 0)));
    for (int point = 0; point < POINTS; point++) sums[point] += entering(point, block) * rows;
  }
  vec4 bias = texelFetch(offsets, ivec2(0, neuron / 4), 0), scale = texelFetch(offsets, ivec2(1, neuron / 4), 0);
  values0 = leaving(sums[0] * scale + bias, neuron);
#if POINTS > 1
  values1 = leaving(sums[1] * scale + bias, neuron);
  values2 = leaving(sums[2] * scale + bias, neuron);
  values3 = leaving(sums[3] * scale + bias, neuron);
#endif
}

#version 300 es
// What the network has given for points start, start + 1, … of a grid, the mean of all samples of each, painted as squares
// into a picture of floats.
precision highp float;
precision highp int;
uniform highp usampler2DArray values;
uniform int columns;   // Points of each texture.
uniform int start;
uniform int samples;   // Of each point.
uniform int count;
uniform ivec2 corner;  // Of the grid in the picture.
uniform int square;    // Pixels along the side of one.
uniform ivec2 size;    // Of the grid, in squares across and down.
out uvec4 painted;

void main() {
  ivec2 place = (ivec2(gl_FragCoord.xy) - corner) / square;
  int point = place.y * size.x + place.x - start;
  bool within = all(greaterThanEqual(ivec2(gl_FragCoord.xy), corner)) && all(lessThan(place, size));
  if (!within || point < 0 || point >= count) discard;
  vec4 sum = vec4(0.0);
  for (int number = point * samples; number < (point + 1) * samples; number++) {
    sum += uintBitsToFloat(texelFetch(values, ivec3(number % columns, 0, number / columns), 0));
  }
  painted = floatBitsToUint(sum / float(samples));
}

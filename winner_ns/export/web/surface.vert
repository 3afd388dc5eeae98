#version 300 es
// A vertex of the surface, in whole steps from the corner of the box around it.
precision highp float;
in vec3 place, colour;
uniform vec3 low, middle;
uniform float stepLength;
uniform mat3 turn;
uniform vec2 scale;  // From the unit cube to the canvas, whose sides are 2.
out vec3 point, paint;

void main() {
  paint = colour;
  point = low + stepLength * place;
  vec3 seen = turn * (point - middle);
  gl_Position = vec4(seen.xy * scale, -0.2 * seen.z, 1.0);
}

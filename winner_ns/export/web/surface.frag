#version 300 es
// The surface, lit from beside the eye; beyond the cut it is taken away.
precision highp float;
in vec3 point, paint;
uniform mat3 turn;
uniform vec4 cut;  // A normal, and how far along it the rest is taken away.
uniform vec3 inside;
out vec4 shown;

void main() {
  if (dot(cut.xyz, point) > cut.w) discard;
  vec3 normal = normalize(turn * cross(dFdx(point), dFdy(point)));
  if (normal.z < 0.0) normal = -normal;
  float light = 0.3 + 0.6 * max(dot(normal, normalize(vec3(0.35, 0.5, 0.8))), 0.0) + 0.14 * normal.z * normal.z;
  shown = vec4(light * (gl_FrontFacing ? paint : inside), 1.0);
}

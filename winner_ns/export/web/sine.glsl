// sin(z), also of z of thousands of radians, to a few units of single precision: what machines bring themselves may err
// by 1/2048. Half turns are taken off first, pi in two parts; then comes the power series.
float sine(float z) {
  float turns = floor(z * 0.31830988618 + 0.5);
  float r = (z - turns * 3.140625) - turns * 0.00096765358979;
  float s = r * r, odd = turns - 2.0 * floor(0.5 * turns);
  float series = 0.00833333333 + s * (-0.000198412698 + s * (0.00000275573192 - s * 0.0000000250521084));
  return (1.0 - 2.0 * odd) * (r + r * s * (-0.166666667 + s * series));
}

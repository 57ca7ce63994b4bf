// Fast filtering along one axis (Toom 1963, Cook 1966, Winograd 1980; Lavin and Gray 2016 for convolutions): m outputs
// of a filter of r taps from n = m + r - 1 products instead of m*r. Two axes make a 2-d algorithm.
//
// The n points are n - 1 numbers p and infinity. With N_p the product of p - q over the other finite points q,
//   weights    u_p = (sum over k of g_k p^k) / N_p,   u_inf = g_(r-1)
//   input      v_p = the input, weighted with the coefficients of the product of (x - q) over q != p;
//              v_inf with those of the product over all finite q
//   output     y_i = sum over finite p of p^i u_p v_p, and u_inf v_inf for the last i
// Points are small, and come as pairs +-p where possible: these share even and odd parts, and rounding errors stay
// small. Each transform is written out below for one axis over any type V with + - * and fma(x, y, z) = x*y + z.
#pragma once

#include <cmath>

#include <mirnet/simd/pack.hpp>

namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::winograd {

using simd::fma;
using std::fma;

/// A kernel of one tap: nothing to save, Outputs products for as many outputs.
template <int Outputs>
struct OneTap {
  static constexpr int outputs = Outputs, taps = 1, points = Outputs;

  template <class V>
  static MIRNET_ALWAYS_INLINE void input(V const* d, V* v) noexcept {
    for (int i = 0; i < Outputs; ++i) v[i] = d[i];
  }
  template <class V>
  static MIRNET_ALWAYS_INLINE void weights(V const* g, V* u) noexcept {
    for (int i = 0; i < Outputs; ++i) u[i] = g[0];
  }
  template <class V>
  static MIRNET_ALWAYS_INLINE void output(V const* m, V* y) noexcept {
    for (int i = 0; i < Outputs; ++i) y[i] = m[i];
  }
};

/// F(4, 2): five products for eight. Points 0, 1, -1, 1/2, infinity.
struct F42 {
  static constexpr int outputs = 4, taps = 2, points = 5;

  template <class V>
  static MIRNET_ALWAYS_INLINE void input(V const* d, V* v) noexcept {
    V const b(0.5f), t = d[3] - d[1];
    V const p = fma(-b, d[2], d[3]), q = fma(-b, d[1], d[2]);
    v[0] = fma(b, d[0] - d[2], t);
    v[1] = p + q;
    v[2] = p - q;
    v[3] = t;
    v[4] = fma(-b, t, d[4] - d[2]);
  }
  template <class V>
  static MIRNET_ALWAYS_INLINE void weights(V const* g, V* u) noexcept {
    // N: 1/2, 1, 1 * 3 = 3 (with both signs), 1/2 * -3/4
    u[0] = V(2.0f) * g[0];
    u[1] = g[0] + g[1];
    u[2] = V(-1.0f / 3.0f) * (g[0] - g[1]);
    u[3] = V(-8.0f / 3.0f) * fma(V(0.5f), g[1], g[0]);
    u[4] = g[1];
  }
  template <class V>
  static MIRNET_ALWAYS_INLINE void output(V const* m, V* y) noexcept {
    V const s = m[1] + m[2], d = m[1] - m[2];
    y[0] = (m[0] + m[3]) + s;
    y[1] = fma(V(0.5f), m[3], d);
    y[2] = fma(V(0.25f), m[3], s);
    y[3] = fma(V(0.125f), m[3], d) + m[4];
  }
};

/// F(4, 3): six products for twelve. Points 0, +-a, +-b, infinity with a = 1/sqrt(2), b = sqrt(2). F(6, 3) would save
/// another fifth of the products; with points 0, +-1, +-2, +-1/2 it was no faster than this at 64 channels, a tenth at
/// 128, and its error was seven times larger.
struct F43 {
  static constexpr int outputs = 4, taps = 3, points = 6;
  static constexpr float a = 0.70710678f, b = 1.41421356f;

  template <class V>
  static MIRNET_ALWAYS_INLINE void input(V const* d, V* v) noexcept {
    V const c(-2.5f), two(-2.0f), half(-0.5f);
    V const even_a = fma(two, d[2], d[4]), odd_a = fma(two, d[1], d[3]);
    V const even_b = fma(half, d[2], d[4]), odd_b = fma(half, d[1], d[3]);
    v[0] = fma(c, d[2], d[0]) + d[4];
    v[1] = fma(V(a), odd_a, even_a);
    v[2] = fma(V(-a), odd_a, even_a);
    v[3] = fma(V(b), odd_b, even_b);
    v[4] = fma(V(-b), odd_b, even_b);
    v[5] = fma(c, d[3], d[1]) + d[5];
  }
  template <class V>
  static MIRNET_ALWAYS_INLINE void weights(V const* g, V* u) noexcept {
    // N: 1, -3/2 for +-a, 6 for +-b
    V const even_a = fma(V(0.5f), g[2], g[0]), even_b = fma(V(2.0f), g[2], g[0]);
    u[0] = g[0];
    u[1] = V(-2.0f / 3.0f) * fma(V(a), g[1], even_a);
    u[2] = V(-2.0f / 3.0f) * fma(V(-a), g[1], even_a);
    u[3] = V(1.0f / 6.0f) * fma(V(b), g[1], even_b);
    u[4] = V(1.0f / 6.0f) * fma(V(-b), g[1], even_b);
    u[5] = g[2];
  }
  template <class V>
  static MIRNET_ALWAYS_INLINE void output(V const* m, V* y) noexcept {
    V const s = m[1] + m[2], d = m[1] - m[2], t = m[3] + m[4], e = m[3] - m[4];
    y[0] = (m[0] + s) + t;
    y[1] = fma(V(b), e, V(a) * d);
    y[2] = fma(V(2.0f), t, V(0.5f) * s);
    y[3] = fma(V(2.0f * b), e, fma(V(0.5f * a), d, m[5]));
  }
};

}  // namespace mirnet::inline MIRNET_ABI::inline MIRNET_ISA::winograd

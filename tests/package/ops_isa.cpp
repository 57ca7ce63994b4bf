// The operations on maps, compiled for an instruction set. A test checks the names that the object defines; the code is
// never called.
#include <mirnet/ops/compare.hpp>
#include <mirnet/ops/convert.hpp>
#include <mirnet/ops/copy.hpp>
#include <mirnet/ops/matrix.hpp>
#include <mirnet/ops/pixels.hpp>
#include <mirnet/ops/reduce.hpp>
#include <mirnet/ops/transform.hpp>

namespace {

using namespace mirnet;

template <class T>
bool all(View<T const> a, View<T> b, View<T> c, View<std::uint8_t> bytes) noexcept {
  fill(b, 1);
  for (auto pixel : pixels(c)) pixel.channels[0] = T(2);
  return copy(a, b).ok() && concat(a, b, c).ok() && split(a, b, c).ok() && convert(a, bytes).ok() &&
         convert(bytes, b).ok() && transform(a, b, [](auto x) { return x + x; }).ok() &&
         transform(a, b, c, Plus{}).ok() && transform(a, b, c, DividedBy{}).ok() && transform(a, b, c, Larger{}).ok() &&
         reduce(a, b, Reduction::mean).ok() && matmul(a, b, c).ok() && transpose(a, b).ok() && all_close(a, b).ok();
}

}  // namespace

#define MIRNET_CAT_(a, b) a##b
#define MIRNET_CAT(a, b) MIRNET_CAT_(a, b)

extern "C" bool MIRNET_CAT(mirnet_ops_, MIRNET_ISA)(float* floats, double* doubles, bfloat16* halves,
                                                    std::uint8_t* bytes) noexcept {
  Shape const shape{4, 5, 33};
  View<std::uint8_t> const map(bytes, shape);
  return all<float>(View<float>(floats, shape), {floats, shape}, {floats, shape}, map) &&
         all<double>(View<double>(doubles, shape), {doubles, shape}, {doubles, shape}, map) &&
         all<bfloat16>(View<bfloat16>(halves, shape), {halves, shape}, {halves, shape}, map);
}

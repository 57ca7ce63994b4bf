// The elementary operations on maps: free functions on views of any kind, which run in the calling thread without a
// heap. Sources come first, destinations last. mirnet.hpp does not include them.
//
//   fill copy concat split            ops/copy.hpp       any type
//   convert                           ops/convert.hpp    between types
//   transform                         ops/transform.hpp  float, double, bfloat16
//   reduce                            ops/reduce.hpp     float, double, bfloat16
//   matmul transpose                  ops/matrix.hpp     float, double, bfloat16; transpose any type
//   compare all_close                 ops/compare.hpp    any types
//   pixels                            ops/pixels.hpp     any type
//   print                             ops/print.hpp      any type (<< is in ops/stream.hpp)
//
// Shapes that do not fit give an error that names both. Types that do not fit do not compile: there are no implicit
// conversions. Loops over floats are compiled for the instruction set of the translation unit and named after it, as
// kernels are. Objects for several sets that use these operations can be linked into one program if they are optimised;
// as they share the constructor of errors, link those for the smallest set first.
#pragma once

#include <mirnet/ops/compare.hpp>
#include <mirnet/ops/convert.hpp>
#include <mirnet/ops/copy.hpp>
#include <mirnet/ops/matrix.hpp>
#include <mirnet/ops/pixels.hpp>
#include <mirnet/ops/print.hpp>
#include <mirnet/ops/reduce.hpp>
#include <mirnet/ops/transform.hpp>

// The ordinary operations on maps: free functions on views of any kind, in the calling thread, without a heap. What is
// read comes first, what is written last. mirnet.hpp does not include them.
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
// Shapes that do not fit come back as an error that names both. Types that do not fit do not compile: nothing converts
// by itself. What loops over floats is compiled for the instruction set of the translation unit, and named after it, as
// kernels are. Objects for several sets that use it can be linked into one program if they are optimised; they share
// the constructor of errors, so those for the smallest set come first.
#pragma once

#include <mirnet/ops/compare.hpp>
#include <mirnet/ops/convert.hpp>
#include <mirnet/ops/copy.hpp>
#include <mirnet/ops/matrix.hpp>
#include <mirnet/ops/pixels.hpp>
#include <mirnet/ops/print.hpp>
#include <mirnet/ops/reduce.hpp>
#include <mirnet/ops/transform.hpp>

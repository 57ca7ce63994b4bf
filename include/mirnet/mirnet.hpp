// Everything an application with fixed compiler flags includes: tensors, the kernels of its instruction set, models,
// MIRNet, MIRNet-v2, runs in tiles. Photographs (the rest of mirnet/image), their files (mirnet/io), the thread pool
// (mirnet/runtime/thread_pool.hpp) and Eigen (mirnet/interop and mirnet/kernels/eigen.hpp) are not part of it.
#pragma once

#include <mirnet/image/tiled_run.hpp>
#include <mirnet/kernels/native.hpp>
#include <mirnet/layers/activation.hpp>
#include <mirnet/layers/concat.hpp>
#include <mirnet/layers/convolution.hpp>
#include <mirnet/layers/elementwise.hpp>
#include <mirnet/layers/normalization.hpp>
#include <mirnet/layers/pixel_shuffle.hpp>
#include <mirnet/layers/pooling.hpp>
#include <mirnet/layers/resampling.hpp>
#include <mirnet/layers/sum.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/model/network_base.hpp>
#include <mirnet/model/runner.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/tensor/tensor.hpp>

// How the elements of a 4-D tensor (N, C, H, W) lie in memory. Models, results and reference ops use NCHW; kernels may
// ask for NHWC, where all channels of a pixel are neighbours. The program converts where the two meet.
#pragma once

#include "engine/tensor.h"
#include "engine/thread_pool.h"

namespace bittrue {

enum class Layout : uint8_t { nchw, nhwc };

// Whether the two layouts of a tensor differ: they do not for one channel or one pixel, or where there is none.
bool layouts_differ(const TensorType& type);

// Copies a tensor of whole-byte elements from one layout to the other.
void convert_layout(const TensorType& type, const uint8_t* from, Layout from_layout, uint8_t* to, ThreadPool& pool);

}  // namespace bittrue

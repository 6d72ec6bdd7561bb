// Dequantize of a whole tensor of bytes with one scale.
#include "arith/float_format.h"
#include "engine/op.h"
#include "kernels/path.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdlib>
#include <type_traits>

#pragma GCC push_options
#pragma GCC target("avx2")

namespace bittrue {

namespace {

template <class X>
void dequantize(const X* x, int64_t count, int32_t zero_point, float scale, float* y) {
  constexpr int64_t vector = 8;
  const __m256i zero = _mm256_set1_epi32(zero_point);
  const __m256 factor = _mm256_set1_ps(scale);
  int64_t i = 0;
  for (; i + vector <= count; i += vector) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x + i));
    const __m256i values = std::is_signed_v<X> ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
    _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(values, zero)), factor));
  }
  for (; i < count; ++i) y[i] = static_cast<float>(x[i] - zero_point) * scale;
}

}  // namespace

}  // namespace bittrue

#pragma GCC pop_options

namespace bittrue {

namespace {

class DequantizeAvx2 final : public Op {
 public:
  DequantizeAvx2(int32_t zero_point, float scale, bool flush) : zero_point_(zero_point), scale_(scale), flush_(flush) {}

  void run(const std::vector<ConstTensor>& in, const std::vector<Tensor>& out, RunContext& context) const override {
    context.pool.parallel_for(in[0].elements(), elementwise_grain, [&](int64_t begin, int64_t end) {
      const FlushGuard guard(flush_);
      float* y = out[0].as<float>() + begin;
      if (in[0].dtype() == DType::int8)
        dequantize(in[0].as<int8_t>() + begin, end - begin, zero_point_, scale_, y);
      else
        dequantize(in[0].data + begin, end - begin, zero_point_, scale_, y);
    });
  }

 private:
  int32_t zero_point_;
  float scale_;
  bool flush_;
};

}  // namespace

std::unique_ptr<Op> make_kernel_dequantize_avx2(const NodeSpec& node) {
  const Attributes& a = node.attributes;
  const DType type = node.inputs[0]->dtype;
  if (!path_available("avx2") || !is_8_bit(type)) return nullptr;
  const std::vector<double> scale = a.reals("scale", {1.0});
  const std::vector<int64_t> zero_point = a.integer_list("zero_point", {0});
  constexpr int64_t largest_zero_point = int64_t(1) << 23;  // differences are exact floats
  if (scale.size() != 1 || zero_point.size() != 1 || std::abs(zero_point[0]) > largest_zero_point) return nullptr;
  return std::make_unique<DequantizeAvx2>(static_cast<int32_t>(zero_point[0]), static_cast<float>(scale[0]),
                                          a.integer("flush", 0) != 0);
}

}  // namespace bittrue

#else

namespace bittrue {

std::unique_ptr<Op> make_kernel_dequantize_avx2(const NodeSpec&) { return nullptr; }

}  // namespace bittrue

#endif

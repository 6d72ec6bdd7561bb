// How many 8-bit products a core can add up in a second, per instruction sequence: operands stay in registers.

#include <chrono>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

constexpr int sums = 12;  // independent, to hide the latency
constexpr int steps = 2000;

struct Sequence {
  const char* name;
  bool available;
  int products;  // of one step on one sum
  void (*run)();
};

#if defined(__x86_64__)

// An empty instruction that may have changed the register: nothing can be moved out of the loop.
#define OPAQUE(v) asm volatile("" : "+x"(v))
#define OPAQUE512(v) asm volatile("" : "+v"(v))

__attribute__((target("avx2"))) void madd_words() {
  __m256i a = _mm256_set1_epi16(3), b = _mm256_set1_epi16(5), c[sums] = {};
  for (int i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < sums; ++k) {
      OPAQUE(b);
      c[k] = _mm256_add_epi32(c[k], _mm256_madd_epi16(a, b));
      OPAQUE(c[k]);
    }
  }
}

__attribute__((target("avx2"))) void madd_bytes() {
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5), ones = _mm256_set1_epi16(1), c[sums] = {};
  for (int i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < sums; ++k) {
      OPAQUE(b);
      c[k] = _mm256_add_epi32(c[k], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
      OPAQUE(c[k]);
    }
  }
}

__attribute__((target("avxvnni"))) void avx_vnni() {
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5), c[sums] = {};
  for (int i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < sums; ++k) {
      c[k] = _mm256_dpbusd_avx_epi32(c[k], a, b);
      OPAQUE(c[k]);
    }
  }
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) void avx512_vnni() {
  __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5), c[sums] = {};
  for (int i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < sums; ++k) {
      c[k] = _mm512_dpbusd_epi32(c[k], a, b);
      OPAQUE512(c[k]);
    }
  }
}

#endif

constexpr int lanes = 64;

void plain() {
  static thread_local volatile int32_t result;
  int8_t a[lanes], b[lanes];
  int32_t c[lanes] = {};
  for (int k = 0; k < lanes; ++k) a[k] = static_cast<int8_t>(k), b[k] = static_cast<int8_t>(k + 1);
  for (int i = 0; i < steps * sums; ++i) {
    asm volatile("" : : "r"(a), "r"(b) : "memory");
    for (int k = 0; k < lanes; ++k) c[k] += a[k] * b[k];
  }
  result = c[0];
}

const Sequence* find(int i) {
  static const Sequence sequences[] = {
      {"plain C++", true, lanes, plain},
#if defined(__x86_64__)
      {"avx2 words (exact)", __builtin_cpu_supports("avx2") != 0, 16, madd_words},
      {"avx2 bytes (saturating)", __builtin_cpu_supports("avx2") != 0, 32, madd_bytes},
      {"avx-vnni", __builtin_cpu_supports("avxvnni") != 0, 32, avx_vnni},
      {"avx512-vnni", __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni"), 64, avx512_vnni},
#endif
  };
  return i < static_cast<int>(sizeof sequences / sizeof *sequences) ? &sequences[i] : nullptr;
}

}  // namespace

// The name of a sequence; null after the last one.
extern "C" const char* peak_name(int i) { return find(i) ? find(i)->name : nullptr; }

// Products a second over the given time; 0 if the processor lacks the instructions.
extern "C" double peak_rate(int i, double seconds) {
  const Sequence& s = *find(i);
  if (!s.available) return 0;
  using clock = std::chrono::steady_clock;
  const auto start = clock::now();
  double products = 0, elapsed = 0;
  do {
    s.run();
    products += static_cast<double>(s.products) * steps * sums;
    elapsed = std::chrono::duration<double>(clock::now() - start).count();
  } while (elapsed < seconds);
  return products / elapsed;
}

#include "engine/thread_pool.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bittrue {

namespace {

// Enough that a thread that ends late holds up the others little.
constexpr int64_t blocks_per_thread = 8;

// About 50 microseconds.
constexpr int spins = 1000;

template <class Condition>
bool spin_until(const Condition& condition) {
  for (int i = 0; i < spins; ++i) {
    if (condition()) return true;
#if defined(__x86_64__)
    _mm_pause();
#else
    std::this_thread::yield();
#endif
  }
  return condition();
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (n <= 0) return;
  if (workers_.empty() || n <= grain) return body(0, n);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    body_ = &body;
    size_ = n;
    block_ = std::max<int64_t>(grain, n / (blocks_per_thread * threads()));
    next_ = 0;
    error_ = nullptr;
    ++generation_;
  }
  wake_.notify_all();
  run_blocks(body);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    body_ = nullptr;  // a worker that is late finds nothing to do
  }
  if (!spin_until([this] { return active_ == 0; })) {
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return active_ == 0; });
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (error_) std::rethrow_exception(error_);
}

void ThreadPool::work() {
  uint64_t seen = 0;
  const auto called = [&] { return stopping_ || generation_ != seen; };
  for (;;) {
    spin_until(called);
    const std::function<void(int64_t, int64_t)>* body = nullptr;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, called);
      if (stopping_) return;
      seen = generation_;
      body = body_;
      if (body) ++active_;
    }
    if (!body) continue;
    run_blocks(*body);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      --active_;
    }
    done_.notify_all();
  }
}

void ThreadPool::run_blocks(const std::function<void(int64_t, int64_t)>& body) {
  for (;;) {
    const int64_t begin = next_.fetch_add(block_);
    if (begin >= size_) return;
    try {
      body(begin, std::min(size_, begin + block_));
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
}

}  // namespace bittrue

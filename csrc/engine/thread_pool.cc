#include "engine/thread_pool.h"

#include <algorithm>

namespace bittrue {

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
    block_ = std::max<int64_t>(grain, (n + 4 * threads() - 1) / (4 * threads()));
    next_ = 0;
    error_ = nullptr;
    ++generation_;
  }
  wake_.notify_all();
  run_blocks();
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return next_ >= size_ && running_ == 0; });
  body_ = nullptr;
  if (error_) std::rethrow_exception(error_);
}

void ThreadPool::work() {
  uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
    }
    run_blocks();
  }
}

void ThreadPool::run_blocks() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (body_ && next_ < size_) {
    const int64_t begin = next_;
    const int64_t end = std::min(size_, begin + block_);
    next_ = end;
    ++running_;
    const auto* body = body_;
    lock.unlock();
    std::exception_ptr error;
    try {
      (*body)(begin, end);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error && !error_) error_ = error;
    --running_;
  }
  if (running_ == 0) done_.notify_all();
}

}  // namespace bittrue

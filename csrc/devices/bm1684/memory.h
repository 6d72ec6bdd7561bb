// The memories of the chip and strided views into them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bittrue::bm1684 {

constexpr int64_t lanes = 64;
constexpr int64_t lane_bytes = 512 * 1024;
constexpr int64_t local_bytes = lanes * lane_bytes;  // addresses count modulo this [measured]
constexpr uint64_t l2_base = 0x10000000;
constexpr int64_t l2_bytes = 4 * 1024 * 1024;

enum class Space : uint8_t { local, l2, device };

// A tensor in one of the memories. Strides are in bytes. Local tensors spread their channels over the lanes: channel c
// lies in lane (start_lane + c) mod 64, row (start_lane + c) div 64. Narrow tensors of the compute engine pack
// `per_word` batches into a 32-bit word.
struct View {
  Space space = Space::local;
  int64_t start_lane = 0;
  int64_t offset = 0;  // in the lane, or in the memory for l2 and device
  int64_t n = 1, c = 1, h = 1, w = 1;
  int64_t n_stride = 0, c_stride = 0, h_stride = 0, w_stride = 0;
  int64_t bytes = 4;  // of an element
  int64_t per_word = 1;

  int64_t elements() const { return n * c * h * w; }

  // Offset of an element in its memory; local memory is one array, lane after lane.
  int64_t at(int64_t in, int64_t ic, int64_t ih, int64_t iw) const {
    const int64_t inner = offset + in / per_word * n_stride + in % per_word * bytes + ih * h_stride + iw * w_stride;
    if (space != Space::local) return inner + ic * c_stride;
    const int64_t place = start_lane + ic;
    return place % lanes * lane_bytes + place / lanes * c_stride + inner;
  }

  // Bytes from `offset` to the end of the farthest element, within a lane for local tensors.
  int64_t reach() const;
};

// Zeroed bytes whose pages the system provides when they are first touched, large ones where it can.
class ZeroedBytes {
 public:
  explicit ZeroedBytes(uint64_t size);
  ~ZeroedBytes();
  ZeroedBytes(const ZeroedBytes&) = delete;
  ZeroedBytes& operator=(const ZeroedBytes&) = delete;
  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  uint64_t size_;
};

class Memory {
 public:
  // Device memory covers [device_base, device_base + device_size). Local memory starts as `fill` in every byte; device
  // memory and L2 (but for its tables) as zero. tracking: remember which bytes were written.
  Memory(uint64_t device_base, uint64_t device_size, uint8_t fill, bool tracking);

  uint8_t* data(Space space) { return bytes(space).data(); }
  const uint8_t* data(Space space) const { return const_cast<Memory*>(this)->bytes(space).data(); }
  int64_t size(Space space) const { return static_cast<int64_t>(const_cast<Memory*>(this)->bytes(space).size()); }
  uint64_t device_base() const { return device_base_; }

  // Places `view.offset` for a system address (device memory or L2); throws DataError if the tensor leaves it.
  void place_system(View& view, uint64_t address) const;

  // Host access to device memory; throws DataError outside of it.
  void write_device(uint64_t address, const uint8_t* source, uint64_t count);
  void read_device(uint64_t address, uint8_t* target, uint64_t count) const;

  // Back to the state after construction.
  void reset();

  bool tracking() const { return !written_[0].empty(); }
  // One flag a byte: whether it was ever written. Only with tracking.
  uint8_t* flags(Space space) { return written_[static_cast<size_t>(space)].data(); }
  // Flags of device memory; throws DataError outside of it and without tracking.
  void read_flags(uint64_t address, uint8_t* target, uint64_t count) const;
  // How many bytes of the tensor were never written.
  int64_t count_unwritten(const View& view) const;
  void mark_written(const View& view);

 private:
  void start();
  ZeroedBytes& bytes(Space space);
  int64_t device_offset(uint64_t address, uint64_t count) const;

  uint64_t device_base_;
  uint8_t fill_;
  ZeroedBytes local_, l2_, device_;
  std::vector<uint8_t> written_[3];  // by Space, one flag a byte
};

// Places a local address: lane and offset. Throws DataError if the tensor leaves its lanes.
void place_local(View& view, uint64_t address);

// More elements than any memory of the chip can hold: only broadcast strides could give them.
constexpr int64_t largest_tensor = int64_t(1) << 28;

// Throws DataError unless every dimension is at least 1 and the tensor is at most `largest_tensor`.
void check_shape(const View& view);

std::string hex(uint64_t value);

}  // namespace bittrue::bm1684

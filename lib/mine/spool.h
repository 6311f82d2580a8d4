/// \file Arrays that grow at their end and may be larger than memory: they lie in temporary files,
/// mapped, so that the kernel writes out what does not fit. In a folder of the caller's they
/// outlive the process, and a later run goes on where a checkpoint was made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace semdns::mine {

/// Bytes of a spool. Not thread-safe for appending; reading is, while nobody appends.
class SpoolBytes {
public:
  SpoolBytes() = default;
  SpoolBytes(const SpoolBytes &) = delete;
  SpoolBytes &operator=(const SpoolBytes &) = delete;
  ~SpoolBytes();

  /// Opens `folder`/`name` with its first `size` bytes, or with an empty `folder` a nameless file
  /// in the temporary folder ($TMPDIR). False sets `error`.
  bool open(const std::string &folder, const char *name, uint64_t size, std::string &error);
  /// Appends. False sets `error` (a full disk, as a rule); nothing is appended then.
  bool append(const void *bytes, size_t size, std::string &error);
  /// Makes the size `size`; new bytes are zero.
  bool resize(uint64_t size, std::string &error);
  /// What was appended is on disk when this returns.
  bool sync(std::string &error);

  char *data() { return base_; }
  const char *data() const { return base_; }
  uint64_t size() const { return size_; }

private:
  bool grow(uint64_t size, std::string &error);

  int fd_ = -1;
  char *base_ = nullptr;
  uint64_t size_ = 0, capacity_ = 0;
};

/// An array of plain values.
template <typename T> class Spool {
  static_assert(std::is_trivially_copyable_v<T>);

public:
  bool open(const std::string &folder, const char *name, uint64_t count, std::string &error) {
    return bytes_.open(folder, name, count * sizeof(T), error);
  }
  bool append(std::span<const T> values, std::string &error) {
    return bytes_.append(values.data(), values.size_bytes(), error);
  }
  bool append(const T &value, std::string &error) { return append(std::span(&value, 1), error); }
  bool resize(uint64_t count, std::string &error) {
    return bytes_.resize(count * sizeof(T), error);
  }
  bool sync(std::string &error) { return bytes_.sync(error); }

  T *data() { return reinterpret_cast<T *>(bytes_.data()); }
  const T *data() const { return reinterpret_cast<const T *>(bytes_.data()); }
  uint64_t size() const { return bytes_.size() / sizeof(T); }
  bool empty() const { return size() == 0; }
  T &operator[](uint64_t i) { return data()[i]; }
  const T &operator[](uint64_t i) const { return data()[i]; }
  const T *begin() const { return data(); }
  const T *end() const { return data() + size(); }

private:
  SpoolBytes bytes_;
};

} // namespace semdns::mine

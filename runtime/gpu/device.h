/// \file One GPU with an artifact on it: code, tables, and slots that batches go through.
#pragma once

#include "runtime/gpu/driver.h"
#include "semdns/format/gpu.h"
#include "semdns/gpu.h"
#include "semdns/kernel.h"

namespace semdns::gpu {

/// What of an artifact a device needs. Sizes of whole sections, in bytes.
struct Program {
  const semdns_kgpu_header *header;
  const uint8_t *image;
  semdns_kernel_tables tables;
  uint64_t textSize, keywSize, tokvSize, centSize, clsfSize;
};

/// Room for one batch, in pinned memory and on the device. `texts` and `bytes` are the most that
/// fit.
struct Slot {
  CudaHandle stream = nullptr, done = nullptr;
  char *text = nullptr;                 ///< pinned, [bytes]
  uint32_t *offsets = nullptr;          ///< pinned, [texts + 1]
  semdns_gpu_answer *answers = nullptr; ///< pinned, [texts]
  CudaAddress deviceText = 0, deviceOffsets = 0, hashes = 0, rows = 0, deviceTexts = 0, scores = 0,
              deviceAnswers = 0;
  uint64_t first = 0; ///< number of its first text, for the caller
  uint32_t count = 0; ///< texts in it
  bool busy = false;
};

inline constexpr uint32_t kSlots = 2; ///< one is filled while the device works on the other

/// Every function sets the device's context first. Functions that return false have marked the
/// device as lost and left a message in `reason`; close() may be called whatever has happened.
class Device {
public:
  /// `number` as the driver counts. On failure nothing is left open.
  bool open(const Driver &driver, int number, const Program &program, uint32_t texts,
            uint32_t bytes);
  void close();

  /// Starts on the texts that the caller has put into the slot's pinned memory.
  bool submit(Slot &slot, uint32_t stages);
  /// Waits for them; the answers are in pinned memory then.
  bool finish(Slot &slot);
  bool measure(Slot &slot, uint32_t stages, uint32_t rounds, semdns_gpu_times &times);

  semdns_gpu_device_info info = {};
  Slot slots[kSlots];
  char reason[160] = "";

private:
  bool check(int result, const char *what);
  bool makeCurrent();
  bool load(const Program &program);
  bool makeSlot(Slot &slot, uint32_t texts, uint32_t bytes);
  bool allocate(CudaAddress &address, uint64_t bytes, const char *what);
  bool upload(CudaAddress &address, const uint8_t *from, uint64_t bytes, const char *what);
  int launchRead(Slot &slot, uint32_t count, uint32_t stages);
  int launchAnswer(Slot &slot);
  template <typename Work>
  bool time(Slot &slot, uint32_t rounds, double &nanoseconds, const char *what, Work work);

  const Driver *driver_ = nullptr;
  int device_ = 0;
  CudaHandle context_ = nullptr, module_ = nullptr, read_ = nullptr, answer_ = nullptr;
  semdns_kgpu_header header_ = {};
  /// Sections, and where in them the second kernel's tables begin.
  CudaAddress text_ = 0, keyw_ = 0, tokv_ = 0, cent_ = 0, clsf_ = 0;
  uint64_t rowsAt_ = 0, vectorsAt_ = 0, exp2At_ = 0, thresholdsAt_ = 0;
};

} // namespace semdns::gpu

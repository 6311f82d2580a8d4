/// \file The ring of decisions: many writers, who never wait (a full ring loses the new record and
/// counts it), and one reader at a time. Bounded queue by sequence numbers (Vyukov 2010).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace semdns::dispatch {

/// The texts of a record, one after the other in strings(), each with its terminator. One that does
/// not fit is empty. Text comes last and takes what is left.
enum class LogText : uint8_t {
  Classified,
  Zone,
  Best,
  Engine,
  Endpoint,
  By,
  Id,
  Traceparent,
  Digest,
  Text
};
constexpr uint32_t kLogTexts = 10;
constexpr uint32_t kLogStrings = 1024; ///< bytes for all but Text

struct LogRecord {
  uint64_t sequence; ///< atomic: the ring's
  uint64_t began, ended, textHash, scopeHash, serial;
  uint32_t status, reason, stage, attempts, zonesTried;
  uint32_t confidence, bestConfidence, margin; ///< Q16
  bool pinned, hasText, textCut, hasScope;
  uint16_t offset[kLogTexts];
  uint32_t used;
  /// [kLogStrings + textBytes + 1]
  char *strings() { return reinterpret_cast<char *>(this + 1); }
  const char *strings() const { return reinterpret_cast<const char *>(this + 1); }
};

struct Log {
  uint8_t *slots;
  uint32_t capacity; ///< a power of two; 0: no log
  uint32_t stride, textBytes;
  alignas(64) uint64_t head; ///< atomic
  alignas(64) uint64_t tail; ///< the reader's
  uint64_t written, lost;    ///< atomic
};

/// `entries` is rounded up to a power of two.
size_t logMemory(uint32_t entries, uint32_t textBytes);
void initLog(Log &log, void *memory, uint32_t entries, uint32_t textBytes);

/// A record to fill, with empty texts; null when the ring is full. publishRecord() must follow.
LogRecord *claimRecord(Log &log);
void addText(const Log &log, LogRecord &record, LogText which, const char *text, size_t size);
void publishRecord(LogRecord &record);

/// The oldest record, null if none; it stays until dropRecord(). One reader at a time.
const LogRecord *oldestRecord(const Log &log);
void dropRecord(Log &log);

/// The record as a line of JSON with its newline: bytes, or 0 where it does not fit.
size_t recordToJson(const LogRecord &record, char *out, size_t size);

} // namespace semdns::dispatch

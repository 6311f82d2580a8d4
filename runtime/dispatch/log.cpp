#include "runtime/dispatch/log.h"

#include "runtime/base/utf8.h"
#include "runtime/dispatch/atomics.h"
#include "semdns/semdns.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace semdns::dispatch {
namespace {

uint32_t roundUp(uint32_t entries) {
  uint32_t n = 1;
  while (n < entries)
    n *= 2;
  return entries ? n : 0;
}

uint32_t strideOf(uint32_t textBytes) {
  return (static_cast<uint32_t>(sizeof(LogRecord)) + kLogStrings + textBytes + 1 + 63) & ~63u;
}

LogRecord &slotAt(const Log &log, uint64_t position) {
  return *reinterpret_cast<LogRecord *>(
      log.slots + static_cast<size_t>(position & (log.capacity - 1)) * log.stride);
}

/// Appends to a buffer of fixed size; once something does not fit, nothing does any more.
struct Writer {
  char *at, *end;
  bool full = false;

  void put(const char *bytes, size_t size) {
    if (full || static_cast<size_t>(end - at) < size) {
      full = true;
      return;
    }
    memcpy(at, bytes, size);
    at += size;
  }
  void text(const char *words) { put(words, strlen(words)); }
  [[gnu::format(printf, 2, 3)]] void print(const char *format, ...) {
    char line[128];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put(line, static_cast<size_t>(n));
  }
  /// Ill-formed bytes become U+FFFD.
  void quoted(const char *bytes, size_t size) {
    text("\"");
    while (size) {
      const size_t good = base::firstInvalidUtf8(bytes, size);
      for (size_t i = 0; i < good; ++i) {
        const auto c = static_cast<unsigned char>(bytes[i]);
        if (c == '"' || c == '\\')
          print("\\%c", c);
        else if (c < ' ')
          print("\\u%04x", c);
        else
          put(bytes + i, 1);
      }
      bytes += good;
      size -= good;
      if (size) {
        text("\\ufffd");
        ++bytes;
        --size;
      }
    }
    text("\"");
  }
  void member(const char *name, const char *value) {
    print(",\"%s\":", name);
    quoted(value, strlen(value));
  }
  void share(const char *name, uint32_t q16) {
    const auto millionths = static_cast<uint32_t>((uint64_t(q16) * 1000000 + 32768) >> 16);
    print(",\"%s\":%u.%06u", name, millionths / 1000000, millionths % 1000000);
  }
};

} // namespace

size_t logMemory(uint32_t entries, uint32_t textBytes) {
  return size_t(roundUp(entries)) * strideOf(textBytes);
}

void initLog(Log &log, void *memory, uint32_t entries, uint32_t textBytes) {
  log.slots = static_cast<uint8_t *>(memory);
  log.capacity = roundUp(entries);
  log.stride = strideOf(textBytes);
  log.textBytes = textBytes;
  log.head = log.tail = log.written = log.lost = 0;
  for (uint32_t i = 0; i < log.capacity; ++i)
    slotAt(log, i).sequence = i;
}

LogRecord *claimRecord(Log &log) {
  if (!log.capacity)
    return nullptr;
  uint64_t position = load(log.head);
  for (;;) {
    LogRecord &record = slotAt(log, position);
    const uint64_t sequence = __atomic_load_n(&record.sequence, __ATOMIC_ACQUIRE);
    if (sequence == position) {
      if (!__atomic_compare_exchange_n(&log.head, &position, position + 1, true, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED))
        continue;
      memset(record.offset, 0, sizeof record.offset);
      *record.strings() = 0; // what all that is absent points to
      record.used = 1;
      record.hasText = record.textCut = false;
      add(log.written, uint64_t(1));
      return &record;
    }
    if (sequence < position) { // of the round before: not read yet
      add(log.lost, uint64_t(1));
      return nullptr;
    }
    position = load(log.head);
  }
}

void addText(const Log &log, LogRecord &record, LogText which, const char *text, size_t size) {
  const uint32_t room = kLogStrings + (which == LogText::Text ? log.textBytes + 1 : 0);
  if (!size || size + 1 > room - record.used)
    return;
  record.offset[static_cast<uint8_t>(which)] = static_cast<uint16_t>(record.used);
  memcpy(record.strings() + record.used, text, size);
  record.strings()[record.used + size] = 0;
  record.used += static_cast<uint32_t>(size) + 1;
}

void publishRecord(LogRecord &record) {
  __atomic_store_n(&record.sequence, load(record.sequence) + 1, __ATOMIC_RELEASE);
}

const LogRecord *oldestRecord(const Log &log) {
  if (!log.capacity)
    return nullptr;
  const LogRecord &record = slotAt(log, log.tail);
  return __atomic_load_n(&record.sequence, __ATOMIC_ACQUIRE) == log.tail + 1 ? &record : nullptr;
}

void dropRecord(Log &log) {
  LogRecord &record = slotAt(log, log.tail);
  __atomic_store_n(&record.sequence, log.tail + log.capacity, __ATOMIC_RELEASE);
  ++log.tail;
}

size_t recordToJson(const LogRecord &r, char *out, size_t size) {
  Writer w{out, out + size};
  const auto textOf = [&](LogText which) {
    return r.strings() + r.offset[static_cast<uint8_t>(which)];
  };
  w.print("{\"time_ns\":%llu", static_cast<unsigned long long>(r.ended));
  w.print(",\"took_ns\":%llu", static_cast<unsigned long long>(r.ended - r.began));
  w.member("id", textOf(LogText::Id));
  w.member("traceparent", textOf(LogText::Traceparent));
  if (r.hasText) {
    const uint32_t at = r.offset[static_cast<uint8_t>(LogText::Text)];
    w.text(",\"text\":");
    w.quoted(r.strings() + at, at ? r.used - at - 1 : 0);
    w.print(",\"text_cut\":%s", r.textCut ? "true" : "false");
  }
  w.print(",\"text_hash\":\"%016llx\"", static_cast<unsigned long long>(r.textHash));
  if (r.hasScope)
    w.print(",\"scope_hash\":\"%016llx\"", static_cast<unsigned long long>(r.scopeHash));
  w.member("status", semdns_answer_status_text(static_cast<semdns_answer_status>(r.status)));
  w.member("reason", semdns_answer_reason_text(static_cast<semdns_answer_reason>(r.reason)));
  w.member("stage", semdns_stage_text(r.stage));
  if (r.pinned) // a person has said where this text belongs
    w.member("label", textOf(LogText::Zone));
  w.member("path", textOf(LogText::Zone));
  w.member("classified", textOf(LogText::Classified));
  w.member("best", textOf(LogText::Best));
  w.share("confidence", r.confidence);
  w.share("best_confidence", r.bestConfidence);
  w.share("margin", r.margin);
  w.print(",\"pinned\":%s", r.pinned ? "true" : "false");
  w.member("by", textOf(LogText::By));
  w.member("engine", textOf(LogText::Engine));
  w.member("endpoint", textOf(LogText::Endpoint));
  w.print(",\"attempts\":%u,\"zones_tried\":%u", r.attempts, r.zonesTried);
  w.print(",\"serial\":%llu", static_cast<unsigned long long>(r.serial));
  w.member("digest", textOf(LogText::Digest));
  w.text("}\n");
  return w.full ? 0 : static_cast<size_t>(w.at - out);
}

} // namespace semdns::dispatch

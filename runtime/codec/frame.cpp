#include "runtime/codec/frame.h"

#include "runtime/base/checked.h"

#include <string.h>

namespace semdns::codec {
namespace {

// First byte of a frame: version << 4 | blocked << 3 | mode.
constexpr uint8_t kBlocked = 8, kModeMask = 7;

size_t putVarint(uint32_t value, uint8_t *out) {
  size_t n = 0;
  for (; value >= 0x80; value >>= 7)
    out[n++] = static_cast<uint8_t>(value | 0x80);
  out[n++] = static_cast<uint8_t>(value);
  return n;
}

/// Seven bits a byte, low ones first; the shortest form only. False: cut off, too long or too
/// large.
bool getVarint(const uint8_t *in, size_t size, uint32_t &at, uint32_t &value) {
  value = 0;
  for (uint32_t shift = 0; shift < 35; shift += 7) {
    if (at >= size)
      return false;
    const uint32_t byte = in[at++];
    if (shift == 28 && byte > 15)
      return false;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80)
      return byte != 0 || shift == 0;
  }
  return false;
}

} // namespace

const char *readFrameHeader(const uint8_t *in, size_t size, FrameHeader &out) {
  out = {};
  if (size < 1)
    return "no bytes: a frame has one at least";
  if (in[0] >> 4 != kFrameVersion)
    return "not a frame of this version";
  const uint8_t mode = in[0] & kModeMask;
  out.mode = static_cast<Mode>(mode);
  out.blocked = in[0] & kBlocked;
  out.size = 1;
  if (mode == SEMDNS_CODEC_RAW)
    return out.blocked ? "raw frames have no blocks" : nullptr;
  if (mode > SEMDNS_CODEC_MAX)
    return "unknown mode";
  if (!getVarint(in, size, out.size, out.zone))
    return "the zone's number is cut off or too large";
  if (size - out.size < 4)
    return "the tables' digest is cut off";
  out.tables = base::load<uint32_t>(in + out.size);
  out.size += 4;
  if (out.blocked)
    return nullptr;
  if (!getVarint(in, size, out.size, out.length))
    return "the length is cut off or too large";
  return out.length < 1 || out.length > kMaxBlock ? "a length that one payload cannot have"
                                                  : nullptr;
}

const char *readBlockHeader(const uint8_t *in, size_t size, BlockHeader &out) {
  out = {};
  uint32_t first;
  if (!getVarint(in, size, out.size, first))
    return "a block's size is cut off or too large";
  out.raw = first & 1;
  out.last = first & 2;
  out.stored = first >> 2;
  out.length = kMaxBlock;
  if (out.last && !getVarint(in, size, out.size, out.length))
    return "the last block's length is cut off or too large";
  if (out.length > kMaxBlock || out.stored > kMaxBlock)
    return "a block larger than blocks are";
  if (out.raw ? out.stored != out.length : out.stored < 1 || out.length < 1)
    return "a block whose sizes contradict each other";
  return nullptr;
}

size_t writeFrameHeader(const FrameHeader &header, uint8_t *out) {
  out[0] = static_cast<uint8_t>(kFrameVersion << 4 | (header.blocked ? kBlocked : 0) |
                                static_cast<uint8_t>(header.mode));
  if (header.mode == Mode::Raw)
    return 1;
  size_t n = 1 + putVarint(header.zone, out + 1);
  memcpy(out + n, &header.tables, 4);
  n += 4;
  return header.blocked ? n : n + putVarint(header.length, out + n);
}

size_t writeBlockHeader(const BlockHeader &header, uint8_t *out) {
  const size_t n =
      putVarint(header.stored << 2 | (header.last ? 2u : 0u) | (header.raw ? 1u : 0u), out);
  return header.last ? n + putVarint(header.length, out + n) : n;
}

} // namespace semdns::codec

/// \file Frames: what stands before a payload (docs/format.md, "Frames"). Reading checks everything
/// and reads nothing outside of the bytes given.
#pragma once

#include "runtime/codec/coder.h"

namespace semdns::codec {

inline constexpr uint8_t kFrameVersion = 1;

/// The header of a frame.
struct FrameHeader {
  Mode mode = Mode::Raw;
  bool blocked = false; ///< blocks follow; else one payload, to the end of the frame
  uint32_t zone = 0;
  uint32_t tables = 0; ///< first four bytes of the digest of the tables
  uint32_t length = 0; ///< of the text, 1..kMaxBlock; 0 where blocked or raw
  uint32_t size = 0;   ///< bytes of the header
};

/// The header of a block.
struct BlockHeader {
  uint32_t stored = 0, length = 0; ///< bytes of the payload and of the text; both <= kMaxBlock
  bool raw = false, last = false;
  uint32_t size = 0; ///< bytes of this header
};

/// Null, or what is wrong (static text).
const char *readFrameHeader(const uint8_t *in, size_t size, FrameHeader &out);
const char *readBlockHeader(const uint8_t *in, size_t size, BlockHeader &out);

/// Write at most SEMDNS_CODEC_MAX_HEADER and SEMDNS_CODEC_BLOCK_OVERHEAD bytes; return how many.
size_t writeFrameHeader(const FrameHeader &header, uint8_t *out);
size_t writeBlockHeader(const BlockHeader &header, uint8_t *out);

} // namespace semdns::codec

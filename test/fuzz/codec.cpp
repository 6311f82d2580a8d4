// Any bytes as a frame, as a payload of each mode, and as a text: an error or bytes, never more
// than asked for; what was compressed comes back.
#include "test/unit/codec/sample.h"
#include "tools/codec_handles.h"

#include <cstdio>
#include <cstdlib>

using namespace semdns;

namespace {

constexpr size_t kLimit = 1 << 17;

struct Subject {
  std::string file = test::codecArtifact();
  Error error;
  Artifact artifact = Artifact::openMemory(file.data(), file.size(), OpenOptions{}, error);
  tools::Codec codec;

  Subject() {
    semdns_codec_options all{};
    all.size = sizeof all;
    all.zone = SEMDNS_CODEC_EVERY_ZONE;
    if (artifact)
      codec = tools::Codec::create(artifact, all, error);
    if (!codec) {
      std::fprintf(stderr, "%s\n", error.message());
      abort();
    }
  }

  void decode(const std::string &frame) {
    std::string out(kLimit, 0);
    size_t size = 0;
    const semdns_status status =
        semdns_decompress(codec.raw.get(), codec.scratch.get(), frame.data(), frame.size(),
                          out.data(), out.size(), &size, error.raw());
    semdns_frame_info info{};
    info.size = sizeof info;
    const semdns_status measured =
        semdns_frame_get_info(frame.data(), frame.size(), &info, error.raw());
    if (size > kLimit || (status != SEMDNS_OK && size))
      abort();
    if (status == SEMDNS_OK && (measured != SEMDNS_OK || info.length != size))
      abort();
    semdns_decompress_range(codec.raw.get(), codec.scratch.get(), frame.data(), frame.size(), 3,
                            1000, out.data(), 997, &size, error.raw());
  }

  void there(const uint8_t *data, size_t n, uint32_t mode) {
    semdns_compress_options how{};
    how.size = sizeof how;
    how.zone = test::kCodecZone;
    how.mode = mode;
    std::string frame(semdns_codec_bound(n), 0), back(n, 0);
    size_t size = 0, length = 0;
    if (semdns_compress(codec.raw.get(), codec.scratch.get(), &how, data, n, frame.data(),
                        frame.size(), &size, error.raw()) != SEMDNS_OK ||
        semdns_decompress(codec.raw.get(), codec.scratch.get(), frame.data(), size, back.data(), n,
                          &length, error.raw()) != SEMDNS_OK ||
        length != n || (n && memcmp(back.data(), data, n) != 0))
      abort();
  }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Subject subject;
  const std::string bytes(reinterpret_cast<const char *>(data), size);
  subject.decode(bytes);
  for (const uint32_t mode : {SEMDNS_CODEC_ZSTD, SEMDNS_CODEC_TURBO}) {
    // The same bytes behind a header that names the tables, for a text of 300 bytes.
    semdns_codec_tables tables{};
    tables.size = sizeof tables;
    semdns_codec_get_tables(subject.codec.raw.get(), test::kCodecZone, mode, &tables);
    std::string frame{char(0x10 | mode), char(test::kCodecZone)};
    frame.append(reinterpret_cast<const char *>(tables.digest), 4);
    subject.decode(frame + "\xac\x02" + bytes);
    frame[0] = char(0x18 | mode); // blocks
    subject.decode(frame + bytes);
    subject.there(data, size, mode);
  }
  return 0;
}

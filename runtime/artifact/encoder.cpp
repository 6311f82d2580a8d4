#include "runtime/artifact/encoder.h"

#include "runtime/artifact/arrays.h"
#include "runtime/artifact/features.h"

namespace semdns::artifact {

using base::fail;

namespace {

constexpr uint32_t kTag = SEMDNS_TAG_ENCM;

/// The first of `count` floats that is not 0 and not of a magnitude in [least, most]; NaN is never.
/// Denormals are below every `least`.
uint64_t firstOutside(const uint8_t *data, uint64_t count, float least, float most, bool zero,
                      bool negative) {
  for (uint64_t i = 0; i < count; ++i) {
    const float x = base::load<float>(data + 4 * i);
    const float size = x < 0 ? -x : x;
    const bool fine = (size >= least && size <= most) || (zero && x == 0);
    if (!fine || (!negative && base::load<uint32_t>(data + 4 * i) >> 31))
      return i;
  }
  return count;
}

class Checks {
public:
  Checks(Span span, base::Error &error) : span_(span), error_(error) {}

  bool floats(const char *name, uint64_t offset, uint64_t count, float least, float most, bool zero,
              bool negative) {
    const uint64_t i = firstOutside(span_.data + offset, count, least, most, zero, negative);
    if (i == count)
      return true;
    return fail(error_, SEMDNS_ERROR_SECTION, kTag, offset + 4 * i,
                "%s[%" PRIu64 "] is %g; %s%g to %g%s are possible", name, i,
                static_cast<double>(base::load<float>(span_.data + offset + 4 * i)),
                negative ? "magnitudes of " : "", static_cast<double>(least),
                static_cast<double>(most), zero ? " and 0" : "");
  }
  /// Scales of int8 rows.
  bool scales(const char *name, uint64_t offset, uint64_t count) {
    return floats(name, offset, count, SEMDNS_ENCODER_MIN_SCALE, SEMDNS_ENCODER_MAX_SCALE, true,
                  false);
  }
  /// Values of which only the largest matters; the smallest normal float is 2^-126.
  bool values(const char *name, uint64_t offset, uint64_t count, float most) {
    return floats(name, offset, count, 0x1p-126f, most, true, true);
  }
  bool bytes(const char *name, uint64_t offset, uint64_t count) {
    const uint64_t i = firstMinimum(reinterpret_cast<const int8_t *>(span_.data + offset), count);
    return i == count || fail(error_, SEMDNS_ERROR_SECTION, kTag, offset + i,
                              "%s: the value -128; -127 to 127 are possible", name);
  }
  bool linear(const char *name, uint64_t layer, const semdns_encm_linear &l) {
    if (!bytes(name, layer + l.weights, uint64_t{l.in} * l.out) ||
        !scales(name, layer + l.scales, l.out) ||
        !values(name, layer + l.bias, l.out, SEMDNS_ENCODER_MAX_BIAS) ||
        !floats(name, layer + l.smooth, l.in, SEMDNS_ENCODER_MIN_SCALE, SEMDNS_ENCODER_MAX_SMOOTH,
                false, false))
      return false;
    for (uint32_t group = 0; group < l.out / 16; ++group) {
      const uint8_t *lines = span_.data + layer + l.weights + uint64_t{group} * 16 * l.in;
      int32_t sums[16] = {};
      for (uint32_t i = 0; i < l.in / 4; ++i)
        for (uint32_t lane = 0; lane < 16; ++lane)
          for (uint32_t k = 0; k < 4; ++k)
            sums[lane] += static_cast<int8_t>(lines[64 * i + 4 * lane + k]);
      for (uint32_t lane = 0; lane < 16; ++lane) {
        const uint64_t at = layer + l.offsets + 4 * (uint64_t{group} * 16 + lane);
        const int32_t found = base::load<int32_t>(span_.data + at);
        if (found != -128 * sums[lane])
          return fail(error_, SEMDNS_ERROR_SECTION, kTag, at,
                      "%s: offset of output %u is %d; its weights give %d", name, group * 16 + lane,
                      found, -128 * sums[lane]);
      }
    }
    return true;
  }

private:
  Span span_;
  base::Error &error_;
};

bool checkShape(const semdns_encm_header &h, base::Error &error) {
  const auto bad = [&](const char *what, uint64_t found, uint64_t least, uint64_t most) {
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                "%s is %" PRIu64 "; %" PRIu64 " to %" PRIu64 " are possible", what, found, least,
                most);
  };
  const struct {
    const char *what;
    uint32_t found, least, most;
  } ranges[] = {
      {"layer_count", h.layer_count, 1, SEMDNS_ENCODER_MAX_LAYERS},
      {"heads", h.heads, 1, SEMDNS_ENCODER_MAX_HEADS},
      {"width", h.width, 16, SEMDNS_ENCODER_MAX_WIDTH},
      {"inner", h.inner, 16, SEMDNS_ENCODER_MAX_INNER},
      {"head_size", h.head_size, 1, SEMDNS_ENCODER_MAX_WIDTH},
      {"vocabulary", h.vocabulary, 1, SEMDNS_ENCODER_MAX_VOCABULARY},
      {"max_tokens", h.max_tokens, SEMDNS_ENCODER_MIN_TOKENS, SEMDNS_ENCODER_MAX_TOKENS},
      {"pooling", h.pooling, 0, SEMDNS_POOLING_MAX},
      {"activation", h.activation, 0, SEMDNS_ACTIVATION_RELU},
  };
  for (const auto &r : ranges)
    if (r.found < r.least || r.found > r.most)
      return bad(r.what, r.found, r.least, r.most);
  if (h.width % 16 || h.inner % 16)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 16,
                "width %u, inner width %u; both must be multiples of 16", h.width, h.inner);
  if (h.heads * h.head_size != h.width || h.head_room != (h.head_size + 15) / 16 * 16 ||
      h.heads * h.head_room > SEMDNS_ENCODER_MAX_WIDTH)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, 4,
                "%u heads of %u (padded to %u) do not fit width %u", h.heads, h.head_size,
                h.head_room, h.width);
  if (!(h.epsilon >= SEMDNS_ENCODER_MIN_EPSILON && h.epsilon <= SEMDNS_ENCODER_MAX_EPSILON))
    return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_encm_header, epsilon),
                "epsilon is %g; %g to %g are possible", static_cast<double>(h.epsilon),
                static_cast<double>(SEMDNS_ENCODER_MIN_EPSILON),
                static_cast<double>(SEMDNS_ENCODER_MAX_EPSILON));
  for (uint64_t r : h.reserved)
    if (r)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, offsetof(semdns_encm_header, reserved),
                  "reserved field is not zero");
  const uint64_t stride = semdns_encm_layer_of(&h).end;
  if (h.layer_stride != stride)
    return bad("layer_stride", h.layer_stride, stride, stride);
  return true;
}

} // namespace

bool Encoder::parse(Span span, Encoder &out, base::Error &error, bool trustValues) {
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_encm_header), error))
    return false;
  const semdns_encm_header &h = *reinterpret_cast<const semdns_encm_header *>(span.data);
  if (!checkShape(h, error))
    return false;
  // Within the shape's limits no product exceeds 2^38.
  const uint64_t width = h.width;
  Arrays arrays(kTag, span.data, span.size, sizeof h, error);
  if (!arrays.take("words", h.words_offset, h.vocabulary * width, 1) ||
      !arrays.take("word_scales", h.word_scales_offset, h.vocabulary, 4) ||
      !arrays.take("positions", h.positions_offset, h.max_tokens * width, 4) ||
      !arrays.take("norm", h.norm_offset, 2 * width, 4) ||
      !arrays.take("layers", h.layers_offset, h.layer_count, h.layer_stride) || !arrays.finish())
    return false;
  out.header = &h;
  out.data = span.data;
  if (trustValues)
    return true;
  Checks checks(span, error);
  const auto norm = [&](const char *name, uint64_t offset) {
    return checks.values(name, offset, 2 * width, SEMDNS_ENCODER_MAX_NORM);
  };
  if (!checks.bytes("words", h.words_offset, h.vocabulary * width) ||
      !checks.scales("word_scales", h.word_scales_offset, h.vocabulary) ||
      !checks.values("positions", h.positions_offset, h.max_tokens * width,
                     SEMDNS_ENCODER_MAX_NORM) ||
      !norm("norm", h.norm_offset))
    return false;
  const semdns_encm_layer l = semdns_encm_layer_of(&h);
  for (uint32_t i = 0; i < h.layer_count; ++i) {
    const uint64_t begin = h.layers_offset + i * h.layer_stride;
    if (!checks.linear("query, key, value", begin, l.attend) ||
        !checks.linear("output", begin, l.output) ||
        !norm("attention's norm", begin + l.attention_norm) || !checks.linear("up", begin, l.up) ||
        !checks.linear("down", begin, l.down) || !norm("output's norm", begin + l.output_norm))
      return false;
  }
  return true;
}

uint32_t encoderShapeId(const semdns_encm_header &header) {
  // FNV-1a. What is compiled in are the header's fields, all of them.
  uint32_t hash = 2166136261u;
  const auto *bytes = reinterpret_cast<const uint8_t *>(&header);
  for (uint64_t i = 0; i < sizeof header; ++i)
    hash = (hash ^ bytes[i]) * 16777619u;
  return hash ? hash : 1;
}

} // namespace semdns::artifact

/// \file The sections of a file as validated views, checked against each other.
#pragma once

#include "runtime/artifact/beam.h"
#include "runtime/artifact/classes.h"
#include "runtime/artifact/encoder.h"
#include "runtime/artifact/features.h"
#include "runtime/artifact/gold.h"
#include "runtime/artifact/gpu.h"
#include "runtime/artifact/head.h"
#include "runtime/artifact/keywords.h"
#include "runtime/artifact/meta.h"
#include "runtime/artifact/patterns.h"
#include "runtime/artifact/reader.h"
#include "runtime/artifact/text.h"
#include "runtime/artifact/wordpiece.h"
#include "runtime/artifact/zones.h"

namespace semdns::artifact {

/// Views into the bytes of a Reader. A hierarchy has all but BEAM, GOLD and stage 3's for certain;
/// a pattern library has META and nothing else of these.
struct Contents {
  Meta meta;
  Zones zones;
  Text text;
  Keywords keywords;
  Features features;
  Centroids centroids;
  Beam beam;
  Acceptance acceptance;
  WordPiece wordpiece;
  Encoder encoder;
  Head head;
  Gold gold;
  Patterns patterns;
  bool hasEncoder = false; ///< WPCE, ENCM and HEAD, which a file has together
  bool hasBeam = false;    ///< BEAM: CENT has its entries in place of the classes
  bool hasGold = false, hasPatterns = false;
};

/// Validates every known data section of `reader` by its format header, and them against each
/// other: counts, dimensions, repeated columns, the layouts that code sections name. After success
/// no index or product in them leads out of its array. Native code is not looked into (elf.h). The
/// file must lie in 64-byte aligned memory. Errors give file offsets. Allocates nothing; cost is
/// one pass.
///
/// With `trustValues`, weights are not looked at (most of the bytes): whether they keep to their
/// ranges decides whether answers are right, not where the kernels read and write.
bool parseContents(const Reader &reader, Contents &out, base::Error &error,
                   bool trustValues = false);

/// Validates every KCPU section as an ELF image (elf.h) whose semdns_kernel_info fits the data, and
/// decompresses nothing. `contents` is what parseContents gave for the same reader.
bool checkKernels(const Reader &reader, const Contents &contents, base::Error &error);

/// The same for one section: `image` is KCPU's bytes, `entry` its table entry.
bool checkKernel(Span image, const semdns_section &entry, const Contents &contents,
                 base::Error &error);

} // namespace semdns::artifact

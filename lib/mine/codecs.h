/// \file Codec tables beyond zstd's dictionary, of the documents that mine() counted.
#pragma once

#include "lib/mine/mine.h"

namespace semdns::mine {

/// Adds the tables of turbo, fast and max that `library.meta` ("mine.codecs") asks for to
/// `library.codecs`. `summary.texts` must be there (Options.keepTexts). What is stored, at least
/// `kAnonymity` owners have. Notes in `diags` say what could not be made. Memory: about 40 bytes a
/// byte of text, of which turbo takes 24 MB at most.
void addCodecs(const Summary &summary, uint32_t kAnonymity, unsigned threads, uint64_t maxTurbo,
               patterns::PatternLibrary &library, Diagnostics &diags);

} // namespace semdns::mine

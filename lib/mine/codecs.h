/// \file Codec tables beyond zstd's dictionary, of the documents that mine() counted.
#pragma once

#include "lib/mine/mine.h"

namespace semdns::mine {

/// Adds the tables of turbo, fast and max that `library.meta` ("mine.codecs") asks for to
/// `library.codecs`, but for those that are there already. `summary.texts` must be there
/// (Options.keepTexts). "mine.k_anonymity" and "mine.max_size" hold for them as for the rest. Notes
/// in `diags` say what could not be made. Memory: about 40 bytes a byte of text, of which turbo
/// takes 24 MB at most.
void addCodecs(const Summary &summary, unsigned threads, uint64_t maxTurbo,
               patterns::PatternLibrary &library, Diagnostics &diags);

} // namespace semdns::mine

/// \file The documents of a corpus, gathered: read once, split into numbered words, and kept with
/// their texts in spools, so that a corpus may be larger than memory.
#pragma once

#include "lib/mine/corpus.h"
#include "lib/mine/grams.h"
#include "lib/mine/slots.h"
#include "lib/mine/spool.h"
#include "lib/mine/words.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace semdns::mine {

/// Whose text a document is. Only text of several owners is fit to be stored (`--k-anonymity`).
enum class OwnerRule {
  Row,   ///< the row's "owner"; a document without one is its own owner
  File,  ///< each file is one owner
  Input, ///< each path that was given is one owner
};

struct DocumentEntry {
  uint8_t digest[16]; ///< first half of the SHA-256 of the text
  uint64_t text = 0, textSize = 0;
  uint64_t tokens = 0, tokenCount = 0;    ///< in the stream
  uint64_t slotted = 0, slottedCount = 0; ///< in the stream of words around slots
  uint64_t lines = 0, lineCount = 0;      ///< in the stream of short lines
  uint32_t words = 0;
  uint32_t owner = 0; ///< number of its name; 0: itself
};

/// Longer lines are no headings.
inline constexpr size_t kMaxLineWords = 8;

/// A set of documents. Fill by read() and add(); then look.
class Documents {
public:
  struct Options {
    OwnerRule owners = OwnerRule::Row;
    uint32_t shard = 0, shards = 1; ///< takes only documents whose digest falls to this shard
    unsigned threads = 1;
    bool wordsOnly = false;      ///< no slots, no lines: enough of a background
    std::string workFolder = {}; ///< keeps spools and checkpoints here; empty: nameless files
  };

  /// `vocabulary` is shared with other sets of documents.
  Documents(Options options, Vocabulary &vocabulary);
  ~Documents();

  /// Opens the spools; with a folder goes on from its checkpoint, if that was made under the same
  /// `name` and `inputs` (any text that identifies what is read).
  bool open(const std::string &name, const std::string &inputs, std::string &error);
  /// Reads `files`, from where the checkpoint stopped. Errors are reported into `diags`.
  bool read(const std::vector<CorpusFile> &files, const char *title, Diagnostics &diags);
  /// Adds one document; for those that come out of a partial library. Call finish() at the end.
  bool add(std::string_view text, std::string_view owner, std::string &error);
  bool finish(std::string &error);

  /// Replaces each occurrence of one of `runs` of words by separators.
  void cut(const std::vector<std::vector<uint32_t>> &runs);

  uint32_t size() const { return uint32_t(entries_.size()); }
  const DocumentEntry &entry(uint32_t i) const { return entries_[i]; }
  std::string_view text(uint32_t i) const {
    return {texts_.data() + entries_[i].text, entries_[i].textSize};
  }
  std::span<const uint32_t> tokens(uint32_t i) const {
    return {stream_.data() + entries_[i].tokens, entries_[i].tokenCount};
  }
  const Spool<uint32_t> &stream() const { return stream_; }
  /// Words within some ten words of a slot, and the slots themselves as words ("<date>").
  const Spool<uint32_t> &slotted() const { return slotted_; }
  /// Lines of at most kMaxLineWords words, each one word of the vocabulary: "\n" and the line's
  /// words and slots. Texts of fewer than three lines have none.
  const Spool<uint32_t> &lines() const { return lines_; }
  const std::string &ownerName(uint32_t owner) const { return owners_[owner]; }
  bool resumed() const { return resumed_; }

private:
  struct Pending;
  struct Worker;
  static void around(std::string_view text, Worker &worker, std::vector<uint32_t> &out);
  static void headings(std::string_view text, Worker &worker, std::vector<uint32_t> &out);
  bool process(std::vector<Pending> &batch, std::string &error);
  uint32_t ownerNumber(std::string_view name);
  bool checkpoint(std::string &error);

  Options options_;
  Vocabulary &vocabulary_;
  Spool<char> texts_;
  Spool<DocumentEntry> entries_;
  Spool<uint32_t> stream_, slotted_, lines_;
  Spool<char> words_, ownerNames_; // in the order of their numbers, for a later run
  std::vector<std::string> owners_{""};
  std::unordered_map<std::string, uint32_t> ownerNumbers_;
  struct Worker {
    WordSplitter splitter;
    Vocabulary vocabulary;
    std::vector<Slot> slots;
    std::vector<uint32_t> line;
    std::vector<uint32_t> global; // number in the shared vocabulary, by its own
  };
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Pending> pending_;
  uint64_t pendingBytes_ = 0;
  std::string name_, inputs_;
  uint32_t fileIndex_ = 0; // of the last document taken in
  uint64_t inFile_ = 0;    // documents of that file taken in, those of other shards included
  uint32_t savedWords_ = 1;
  uint64_t checkpointed_ = 0; // bytes of text
  bool resumed_ = false;
};

} // namespace semdns::mine

#include "lib/mine/documents.h"

#include "lib/support/files.h"
#include "lib/support/parallel.h"
#include "lib/support/progress.h"
#include "runtime/base/sha256.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>

namespace semdns::mine {

namespace {

constexpr uint64_t kBatchBytes = uint64_t(4) << 20;
constexpr uint64_t kCheckpointBytes = uint64_t(8) << 20;

bool appendName(Spool<char> &spool, std::string_view name, std::string &error) {
  const auto size = uint32_t(name.size());
  std::string bytes(reinterpret_cast<const char *>(&size), sizeof size);
  bytes += name;
  return spool.append(std::span<const char>(bytes.data(), bytes.size()), error);
}

/// Calls visit(name) for each; false if the spool is damaged.
template <typename Visit> bool forEachName(const Spool<char> &spool, Visit visit) {
  for (uint64_t at = 0; at < spool.size();) {
    uint32_t size;
    if (spool.size() - at < sizeof size)
      return false;
    std::memcpy(&size, spool.data() + at, sizeof size);
    at += sizeof size;
    if (spool.size() - at < size)
      return false;
    visit(std::string_view(spool.data() + at, size));
    at += size;
  }
  return true;
}

} // namespace

struct Documents::Pending {
  std::string text, owner;
  uint32_t fileIndex = 0;
  uint64_t inFile = 0; ///< its place in its file, from 1
  uint8_t digest[32] = {};
  std::vector<uint32_t> tokens, slotted, lines;
  uint32_t words = 0;
  uint32_t worker = 0;
  bool taken = true; ///< falls to this shard
};

Documents::Documents(Options options, Vocabulary &vocabulary)
    : options_(std::move(options)), vocabulary_(vocabulary) {}
Documents::~Documents() = default;

bool Documents::open(const std::string &name, const std::string &inputs, std::string &error) {
  name_ = name;
  inputs_ = sha256Hex(inputs);
  const std::string &folder = options_.workFolder;
  uint64_t texts = 0, entries = 0, stream = 0, words = 0, owners = 0, file = 0;
  uint64_t slotted = 0, lines = 0;
  if (!folder.empty()) {
    std::string ignored;
    if (const auto saved = readFile(folder + "/" + name + ".checkpoint", ignored)) {
      char digest[65] = {};
      unsigned long long n[9];
      if (std::sscanf(saved->c_str(), "%64s %llu %llu %llu %llu %llu %llu %llu %llu %llu", digest,
                      &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8]) != 10 ||
          inputs_ != digest) {
        error = "'" + folder + "' has the work of another run: other inputs or options";
        return false;
      }
      texts = n[0], entries = n[1], stream = n[2], words = n[3], owners = n[4], file = n[5];
      fileIndex_ = uint32_t(file);
      inFile_ = n[6];
      slotted = n[7];
      lines = n[8];
      resumed_ = true;
    }
  }
  if (!texts_.open(folder, (name + ".texts").c_str(), texts, error) ||
      !entries_.open(folder, (name + ".entries").c_str(), entries, error) ||
      !stream_.open(folder, (name + ".tokens").c_str(), stream, error) ||
      !slotted_.open(folder, (name + ".slotted").c_str(), slotted, error) ||
      !lines_.open(folder, (name + ".lines").c_str(), lines, error) ||
      !words_.open(folder, (name + ".words").c_str(), words, error) ||
      !ownerNames_.open(folder, (name + ".owners").c_str(), owners, error))
    return false;
  savedWords_ = vocabulary_.size();
  checkpointed_ = texts;
  bool good = forEachName(words_, [&](std::string_view word) { vocabulary_.intern(word); });
  savedWords_ = vocabulary_.size();
  good = good && forEachName(ownerNames_, [&](std::string_view owner) {
           ownerNumbers_.emplace(owner, uint32_t(owners_.size()));
           owners_.emplace_back(owner);
         });
  for (const auto *tokens : {&stream_, &slotted_, &lines_})
    for (const uint32_t token : *tokens)
      good = good && token < vocabulary_.size();
  for (const DocumentEntry &e : entries_)
    good = good && e.text + e.textSize <= texts_.size() &&
           e.tokens + e.tokenCount <= stream_.size() &&
           e.slotted + e.slottedCount <= slotted_.size() &&
           e.lines + e.lineCount <= lines_.size() && e.owner < owners_.size();
  if (!good)
    error = "'" + folder + "' is damaged: remove it";
  return good;
}

uint32_t Documents::ownerNumber(std::string_view name) {
  if (name.empty())
    return 0;
  const auto [at, fresh] = ownerNumbers_.emplace(name, uint32_t(owners_.size()));
  if (fresh)
    owners_.emplace_back(name);
  return at->second;
}

/// The words near slots: what a template can be made of.
void Documents::around(std::string_view text, Worker &worker, std::vector<uint32_t> &out) {
  constexpr size_t kReach = 96; // bytes to either side of a slot
  const auto take = [&](size_t from, size_t to) {
    worker.splitter.append(text.substr(from, to - from), worker.vocabulary, out);
  };
  const auto gap = [&] {
    if (!out.empty() && out.back() != WordSplitter::kGap)
      out.push_back(WordSplitter::kGap);
  };
  size_t done = 0;
  for (size_t i = 0; i < worker.slots.size(); ++i) {
    const Slot &slot = worker.slots[i];
    if (slot.begin - done > 2 * kReach || i == 0) {
      if (i)
        if (const size_t end = text.find(' ', done + kReach); end < slot.begin)
          take(done, end);
      gap();
      const size_t from = slot.begin - std::min(slot.begin - done, kReach);
      const size_t begin = from == done ? from : text.find(' ', from);
      if (begin < slot.begin)
        take(begin, slot.begin);
    } else {
      take(done, slot.begin);
    }
    out.push_back(worker.vocabulary.intern(slotName(slot.type)));
    done = slot.end;
  }
  if (!worker.slots.empty())
    take(done, std::min({text.size(), text.find(' ', std::min(done + kReach, text.size()))}));
}

/// Short lines, as words of their own.
void Documents::headings(std::string_view text, Worker &worker, std::vector<uint32_t> &out) {
  constexpr size_t kMaxBytes = 80;
  if (std::count(text.begin(), text.end(), '\n') < 2)
    return;
  size_t slot = 0;
  std::string spelling;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const size_t from = at;
    at = end + 1;
    while (slot < worker.slots.size() && worker.slots[slot].end <= from)
      ++slot;
    if (end - from > kMaxBytes)
      continue;
    worker.line.clear();
    size_t done = from;
    for (size_t s = slot; s < worker.slots.size() && worker.slots[s].begin < end; ++s) {
      if (worker.slots[s].begin < done || worker.slots[s].end > end)
        continue; // reaches across line ends
      worker.splitter.append(text.substr(done, worker.slots[s].begin - done), worker.vocabulary,
                             worker.line);
      worker.line.push_back(worker.vocabulary.intern(slotName(worker.slots[s].type)));
      done = worker.slots[s].end;
    }
    worker.splitter.append(text.substr(done, end - done), worker.vocabulary, worker.line);
    std::erase(worker.line, uint32_t(WordSplitter::kGap));
    if (worker.line.empty() || worker.line.size() > kMaxLineWords)
      continue;
    spelling.clear();
    bool letters = false;
    for (const uint32_t word : worker.line) {
      spelling += spelling.empty() ? '\n' : ' ';
      const std::string_view s = worker.vocabulary.spelling(word);
      letters |= s.front() != '<' && s.size() > 1;
      spelling += s;
    }
    if (letters)
      out.push_back(worker.vocabulary.intern(spelling));
  }
}

bool Documents::process(std::vector<Pending> &batch, std::string &error) {
  while (workers_.size() < std::max(1u, options_.threads))
    workers_.push_back(std::make_unique<Worker>());
  parallelFor(batch.size(), unsigned(workers_.size()), [&](size_t i, size_t worker) {
    Pending &document = batch[i];
    base::sha256(document.text.data(), document.text.size(), document.digest);
    uint64_t residue = 0;
    std::memcpy(&residue, document.digest, sizeof residue);
    document.taken = residue % options_.shards == options_.shard;
    if (!document.taken)
      return;
    document.worker = uint32_t(worker);
    Worker &own = *workers_[worker];
    document.words = uint32_t(own.splitter.split(document.text, own.vocabulary, document.tokens));
    if (options_.wordsOnly)
      return;
    findSlots(document.text, own.slots);
    around(document.text, own, document.slotted);
    headings(document.text, own, document.lines);
  });
  for (const auto &worker : workers_)
    for (auto word = uint32_t(worker->global.size()); word < worker->vocabulary.size(); ++word)
      worker->global.push_back(word ? vocabulary_.intern(worker->vocabulary.spelling(word)) : 0);
  parallelFor(batch.size(), unsigned(workers_.size()), [&](size_t i) {
    for (auto *tokens : {&batch[i].tokens, &batch[i].slotted, &batch[i].lines})
      for (uint32_t &token : *tokens)
        token = workers_[batch[i].worker]->global[token];
  });
  for (Pending &document : batch) {
    fileIndex_ = document.fileIndex;
    inFile_ = document.inFile;
    if (!document.taken)
      continue;
    DocumentEntry e;
    std::memcpy(e.digest, document.digest, sizeof e.digest);
    e.text = texts_.size();
    e.textSize = document.text.size();
    e.tokens = stream_.size();
    e.tokenCount = document.tokens.size();
    e.slotted = slotted_.size();
    e.slottedCount = document.slotted.size();
    // A gap behind each document, so that no run reaches from one into the next.
    document.tokens.push_back(WordSplitter::kGap);
    document.slotted.push_back(WordSplitter::kGap);
    e.lines = lines_.size();
    e.lineCount = document.lines.size();
    e.words = document.words;
    const size_t known = owners_.size();
    e.owner = ownerNumber(document.owner);
    if (owners_.size() != known && !appendName(ownerNames_, document.owner, error))
      return false;
    if (entries_.size() == UINT32_MAX - 1) {
      error = "the corpus has more than 2^32 documents: mine a part of it";
      return false;
    }
    if (!texts_.append(std::span<const char>(document.text.data(), document.text.size()), error) ||
        !stream_.append(document.tokens, error) || !slotted_.append(document.slotted, error) ||
        !lines_.append(document.lines, error) || !entries_.append(e, error))
      return false;
  }
  const bool due = texts_.size() - checkpointed_ >= kCheckpointBytes;
  return !due || checkpoint(error);
}

bool Documents::checkpoint(std::string &error) {
  checkpointed_ = texts_.size();
  if (options_.workFolder.empty())
    return true;
  for (; savedWords_ < vocabulary_.size(); ++savedWords_)
    if (!appendName(words_, vocabulary_.spelling(savedWords_), error))
      return false;
  if (!texts_.sync(error) || !entries_.sync(error) || !stream_.sync(error) ||
      !slotted_.sync(error) || !lines_.sync(error) || !words_.sync(error) ||
      !ownerNames_.sync(error))
    return false;
  std::string line = inputs_;
  for (const uint64_t n :
       {texts_.size(), entries_.size(), stream_.size(), words_.size(), ownerNames_.size(),
        uint64_t(fileIndex_), inFile_, slotted_.size(), lines_.size()})
    line += " " + std::to_string(n);
  return writeFileAtomically(options_.workFolder + "/" + name_ + ".checkpoint", line + "\n", true,
                             error);
}

bool Documents::read(const std::vector<CorpusFile> &files, const char *title, Diagnostics &diags) {
  uint64_t total = 0;
  for (const CorpusFile &file : files)
    total += file.size;
  Progress progress(title, total, "B");
  // One batch is read while another is worked on.
  std::vector<Pending> reading, working;
  uint64_t readingBytes = 0;
  std::string error;
  std::atomic<bool> good = true;
  std::thread worker;
  const auto join = [&] {
    if (worker.joinable())
      worker.join();
  };
  const auto hand = [&] {
    join();
    if (!good)
      return;
    working = std::move(reading);
    reading = {};
    readingBytes = 0;
    if (options_.threads > 1)
      worker = std::thread([&] { good = process(working, error); });
    else
      good = process(working, error);
  };
  // Where a checkpoint stopped.
  const uint32_t firstFile = fileIndex_;
  const uint64_t skip = inFile_;
  uint32_t file = UINT32_MAX;
  uint64_t inFile = 0, before = 0;
  for (uint32_t i = 0; i < firstFile && i < files.size(); ++i)
    before += files[i].size;
  const std::vector<CorpusFile> rest(files.begin() + std::min<size_t>(firstFile, files.size()),
                                     files.end());
  const size_t errorsBefore = diags.errorCount();
  bool stopped = false;
  const bool read = forEachDocument(
      rest, diags,
      [&](const Document &document) {
        if (document.fileIndex != file) {
          file = document.fileIndex;
          inFile = 0;
        }
        ++inFile;
        if (file == 0 && inFile <= skip)
          return true;
        Pending pending;
        pending.text = document.text;
        const CorpusFile &from = rest[document.fileIndex];
        if (options_.owners == OwnerRule::Row)
          pending.owner = document.owner;
        else if (options_.owners == OwnerRule::File)
          pending.owner = from.path;
        else
          pending.owner = "input " + std::to_string(from.input);
        pending.fileIndex = firstFile + file;
        pending.inFile = inFile;
        readingBytes += document.text.size();
        reading.push_back(std::move(pending));
        if (readingBytes >= kBatchBytes)
          hand();
        stopped = !good;
        return !stopped;
      },
      [&](uint64_t done) { progress.update(before + done); });
  if (!stopped)
    hand();
  join();
  if (good && read)
    good = checkpoint(error);
  if (!good)
    diags.error({}, error, "free some space, or point TMPDIR to a larger disk");
  return read && good && diags.errorCount() == errorsBefore;
}

bool Documents::add(std::string_view text, std::string_view owner, std::string &error) {
  Pending pending;
  pending.text = text;
  pending.owner = owner;
  pendingBytes_ += text.size();
  pending_.push_back(std::move(pending));
  return pendingBytes_ < kBatchBytes || finish(error);
}

bool Documents::finish(std::string &error) {
  const bool good = process(pending_, error);
  pending_.clear();
  pendingBytes_ = 0;
  return good;
}

void Documents::cut(const std::vector<std::vector<uint32_t>> &runs) {
  for (auto *stream : {&stream_, &slotted_})
    for (const auto &run : runs)
      for (uint64_t i = 0; i + run.size() <= stream->size(); ++i) {
        size_t k = 0;
        while (k < run.size() && (*stream)[i + k] == run[k])
          ++k;
        if (k == run.size())
          for (k = 0; k < run.size(); ++k)
            (*stream)[i + k] = WordSplitter::kGap;
      }
  // Lines are words of their own: those that hold a run go.
  std::vector<char> holds(vocabulary_.size(), 0);
  for (const auto &run : runs) {
    std::string text;
    for (const uint32_t word : run)
      text += " " + std::string(vocabulary_.spelling(word));
    for (uint32_t line = 1; line < vocabulary_.size(); ++line)
      if (vocabulary_.spelling(line).front() == '\n')
        holds[line] |=
            (" " + std::string(vocabulary_.spelling(line).substr(1)) + " ").find(text + " ") !=
            std::string::npos;
  }
  for (uint64_t i = 0; i < lines_.size(); ++i)
    if (holds[lines_[i]])
      lines_[i] = WordSplitter::kGap;
}

} // namespace semdns::mine
